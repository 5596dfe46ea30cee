//! What do the notaries that the operator trusts know of other servers' keys?
//! ([querying keys through another server](https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server))
//!
//! Nobody else is asked about a server's keys: a server that gives us an event may have forged it. The query names the
//! needed keys, and until when each must be valid, so that the notary itself looks for those it does not hold.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use futures_util::{StreamExt, stream};
use ruma::{OwnedServerName, ServerName};
use serde::Deserialize;
use serde_json::value::RawValue;
use tombolo_platform::World;
use tombolo_protocol::{
    json::parse_object,
    server_keys::{MAX_VALIDITY, ServerKeys, valid_until_ts},
};

use super::{
    RemoteError,
    api::{self, KeyCriteria, KeyQuery},
    client::{self, Ask},
    known_keys::{Known, Source, put, remember},
    origins::{Needed, current, missing},
};
use crate::config::Config;

/// For how many servers a notary is asked in one request, and in how many requests at once.
const MOST_ASKED: usize = 100;
const AT_ONCE: usize = 3;
/// How long notaries are not asked again about a server that one has answered about (ms).
const ANSWERED: u64 = 60_000;

#[derive(Default)]
struct Cache {
    /// When a notary last answered about a server.
    answered: RefCell<BTreeMap<OwnedServerName, u64>>,
}

#[derive(Deserialize)]
struct Vouched {
    server_keys: Vec<Box<RawValue>>,
}

/// Asks the notaries for keys, one after the other while any key is missing. A key that a server gave itself is not
/// replaced by what a notary says.
pub async fn ask(world: &World, needed: &Needed) {
    let Ok(config) = Config::of(world) else { return };
    let mut open: Needed =
        needed.iter().filter(|(server, _)| !have_answered(world, server)).map(cloned).collect();
    for notary in &config.trusted_key_servers {
        if *notary == config.server_name || open.is_empty() {
            continue;
        }
        let found = ask_one(world, notary, &open).await;
        remember(world, found, Source::Notary).await;
        open = missing(world, &open).await;
    }
}

/// Whether a notary answered about a server just now: asking again would bring nothing new.
pub fn have_answered(world: &World, server: &ServerName) -> bool {
    let cache = world.isolate(|_| Cache::default());
    cache.answered.borrow().get(server).is_some_and(|at| at + ANSWERED > world.now())
}

/// The keys that one notary gives, by server; of several answers about a server the oldest comes first.
async fn ask_one(
    world: &World,
    notary: &ServerName,
    open: &Needed,
) -> BTreeMap<OwnedServerName, Vec<Known>> {
    let cache = world.isolate(|_| Cache::default());
    let wanted: Vec<(&OwnedServerName, &Vec<(String, i64)>)> = open.iter().collect();
    let failed = Cell::new(false);
    let answers = stream::iter(wanted.chunks(MOST_ASKED)).map(|wanted| {
        let (cache, failed) = (&cache, &failed);
        async move {
            if failed.get() {
                return BTreeMap::new();
            }
            match query(world, notary, wanted).await {
                Ok(found) => {
                    let now = world.now();
                    wanted.iter().for_each(|(server, _)| put(&cache.answered, server, now));
                    found
                }
                Err(error) => {
                    tracing::info!(%notary, %error, "a notary vouches for nobody");
                    failed.set(true);
                    BTreeMap::new()
                }
            }
        }
    });
    answers
        .buffer_unordered(AT_ONCE)
        .fold(BTreeMap::new(), |mut all, found| async move {
            all.extend(found);
            all
        })
        .await
}

async fn query<'a>(
    world: &World,
    notary: &ServerName,
    wanted: &[(&'a OwnedServerName, &'a Vec<(String, i64)>)],
) -> Result<BTreeMap<OwnedServerName, Vec<Known>>, RemoteError> {
    // If the room version does not check when a key was valid, any time will do.
    let criteria = |at: i64| KeyCriteria { minimum_valid_until_ts: at.max(0) };
    let of_server = |keys: &'a [(String, i64)]| {
        keys.iter().map(|(key_id, at)| (&**key_id, criteria(*at))).collect()
    };
    let server_keys = wanted.iter().map(|(server, keys)| (&***server, of_server(keys))).collect();
    let body = client::content(&KeyQuery { server_keys })?;
    let vouched: Vouched = client::ask(world, notary, Ask::post(api::KEY_QUERY, &body)).await?;
    let notary_keys = current(world, notary).await;
    let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
    let mut found: BTreeMap<OwnedServerName, Vec<Known>> = BTreeMap::new();
    for answer in vouched.server_keys {
        let Ok(object) = parse_object(answer.get().as_bytes()) else { continue };
        let Ok((server, keys)) = ServerKeys::from_notary(&object, notary, &notary_keys, now) else {
            continue;
        };
        if wanted.iter().any(|(asked, _)| **asked == server) {
            let valid_until_ts = valid_until_ts(&object).min(now.saturating_add(MAX_VALIDITY));
            let known = Known { keys, answer: Some(answer), older: Vec::new(), valid_until_ts };
            found.entry(server).or_default().push(known);
        }
    }
    found.values_mut().for_each(|answers| answers.sort_by_key(|known| known.valid_until_ts));
    Ok(found)
}

fn cloned(
    (server, keys): (&OwnedServerName, &Vec<(String, i64)>),
) -> (OwnedServerName, Vec<(String, i64)>) {
    (server.clone(), keys.clone())
}
