//! What does the DNS say? ([DNS over HTTPS](https://www.rfc-editor.org/rfc/rfc8484), in the JSON form resolvers share)
//!
//! Workers have no resolver of their own to ask for SRV records, and `fetch` does not tell which address it reached.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use serde::Deserialize;
use tombolo_platform::{Limits, World};
use tombolo_protocol::discovery::Record;

use crate::config::Config;

const LIMITS: Limits = Limits { time: Duration::from_secs(5), bytes: 64 << 10 };

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Answer", default)]
    answer: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: u16,
    data: String,
}

/// The SRV records of a name; none where there are none, or no resolver is configured or reached.
pub async fn srv(world: &World, name: &str) -> Vec<Record> {
    let entries = query(world, name, "SRV").await.unwrap_or_default();
    entries
        .iter()
        .filter(|entry| entry.kind == 33)
        .filter_map(|entry| record(&entry.data))
        .collect()
}

/// The addresses of a name; `None` where nobody can tell.
pub async fn addresses(world: &World, name: &str) -> Option<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for kind in ["A", "AAAA"] {
        addresses.extend(
            query(world, name, kind)
                .await?
                .iter()
                .filter_map(|entry| entry.data.parse::<IpAddr>().ok()),
        );
    }
    Some(addresses)
}

async fn query(world: &World, name: &str, kind: &str) -> Option<Vec<Entry>> {
    let resolver = Config::of(world).ok()?.dns_over_https.clone()?;
    let request = Request::builder()
        .uri(format!("{resolver}?name={name}&type={kind}"))
        .header(header::ACCEPT, "application/dns-json")
        .body(Bytes::new())
        .ok()?;
    let response = world.fetch(request, LIMITS).await.ok()?;
    let answer: Answer = serde_json::from_slice(response.body()).ok()?;
    Some(answer.answer)
}

/// `priority weight port target.`
fn record(data: &str) -> Option<Record> {
    let mut words = data.split_whitespace();
    let mut number = || words.next()?.parse::<u16>().ok();
    let (priority, weight, port) = (number()?, number()?, number()?);
    let target = words.next()?.trim_end_matches('.').to_owned();
    Some(Record { priority, weight, port, target })
}
