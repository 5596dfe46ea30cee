//! Which records does DNS have? ([DNS over HTTPS](https://www.rfc-editor.org/rfc/rfc8484), in the JSON form that
//! resolvers share)
//!
//! Workers have no resolver that could be asked for SRV records, and `fetch` does not tell which address it reached.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use serde::Deserialize;
use tombolo_platform::{Limits, World};
use tombolo_protocol::discovery::Record;

use super::{RemoteError, reach};
use crate::config::Config;

const LIMITS: Limits = Limits { time: Duration::from_secs(5), bytes: 64 << 10 };

/// The status codes that settle a question: there is an answer, or there is no such name.
const SETTLED: [u16; 2] = [0, 3];

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Status")]
    status: u16,
    #[serde(rename = "Answer", default)]
    answer: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: u16,
    data: String,
}

/// The SRV records of a name; none if the operator has configured no resolver.
///
/// # Errors
/// The resolver gave no answer that settles the question.
pub async fn srv(world: &World, name: &str) -> Result<Vec<Record>, RemoteError> {
    let entries = query(world, name, "SRV").await?;
    let records = entries.iter().filter(|entry| entry.kind == 33);
    Ok(records.filter_map(|entry| record(&entry.data)).collect())
}

/// The addresses of a name; none if the operator has configured no resolver.
///
/// # Errors
/// The resolver gave no answer that settles the question, or the name has no address.
pub async fn addresses(world: &World, name: &str) -> Result<Vec<IpAddr>, RemoteError> {
    let mut addresses = Vec::new();
    if Config::of(world).is_ok_and(|config| config.dns_over_https.is_none()) {
        return Ok(addresses);
    }
    for kind in ["A", "AAAA"] {
        let entries = query(world, name, kind).await?;
        addresses.extend(entries.iter().filter_map(|entry| entry.data.parse::<IpAddr>().ok()));
    }
    if addresses.is_empty() {
        return Err(RemoteError::Refused(format!("DNS: {name} has no address")));
    }
    Ok(addresses)
}

async fn query(world: &World, name: &str, kind: &str) -> Result<Vec<Entry>, RemoteError> {
    let failed = |reason: String| RemoteError::Unasked(format!("DNS: {name} {kind}: {reason}"));
    let config = Config::of(world).map_err(|error| failed(error.to_string()))?;
    let Some(resolver) = &config.dns_over_https else { return Ok(Vec::new()) };
    let request = Request::builder()
        .uri(format!("{resolver}?name={name}&type={kind}"))
        .header(header::ACCEPT, "application/dns-json")
        .body(Bytes::new())
        .map_err(|error| failed(error.to_string()))?;
    let response =
        reach::fetch(world, request, LIMITS).await.map_err(|error| failed(error.to_string()))?;
    let answer: Answer =
        serde_json::from_slice(response.body()).map_err(|error| failed(error.to_string()))?;
    if !SETTLED.contains(&answer.status) {
        return Err(failed(format!("status {}", answer.status)));
    }
    Ok(answer.answer)
}

/// Reads `priority weight port target.`.
fn record(data: &str) -> Option<Record> {
    let mut words = data.split_whitespace();
    let mut number = || words.next()?.parse::<u16>().ok();
    let (priority, weight, port) = (number()?, number()?, number()?);
    let target = words.next()?.trim_end_matches('.').to_owned();
    Some(Record { priority, weight, port, target })
}
