//! With which keys do other servers sign?
//! ([retrieving server keys](https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys))
//!
//! Keys are cached in the isolate and in KV, with the answer they came in, which we pass on as a notary. A server that did
//! not give the key it was asked for is not asked again for a while, so that events with invented key IDs cause no storm
//! of requests. What servers out of reach signed is verified with the keys that the server which gave us their events
//! vouches for: it had to verify them itself.

use std::{cell::RefCell, collections::BTreeMap};

use futures_util::{StreamExt, stream};
use ruma::{OwnedServerName, ServerName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
use tombolo_platform::World;
use tombolo_protocol::{
    canonical_json,
    json::parse_object,
    server_keys::{KeyRing, ServerKeys, VerifyKey},
};

use super::{
    RemoteError,
    client::{self, Ask, BRIEF},
};
use crate::config::Config;

/// How long a server that failed to give a key is left alone (ms).
const MISSED: u64 = 60_000;
/// How long KV keeps what is known of a server, in seconds; what is valid within it is decided by the keys themselves.
const KEPT: u64 = 30 * 24 * 3600;
/// How many servers are asked at once: an invocation has six connections.
const AT_ONCE: usize = 6;

#[derive(Default)]
struct Cache {
    known: RefCell<BTreeMap<OwnedServerName, Known>>,
    missed: RefCell<BTreeMap<(OwnedServerName, String), u64>>,
}

/// What is known of a server's keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Known {
    keys: ServerKeys,
    /// The newest answer of the server itself, as it was signed.
    answer: Option<Box<RawValue>>,
}

/// The keys of several servers, as far as they can be had from them or from the server that gave us what they signed.
/// With each key ID: when what it signed was signed (ms).
pub async fn ring(
    world: &World,
    needed: &BTreeMap<OwnedServerName, Vec<(String, i64)>>,
    notary: &ServerName,
) -> KeyRing {
    let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
    let found: Vec<_> = stream::iter(needed)
        .map(|(server, wanted)| async move { (server.clone(), of(world, server, wanted).await) })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut ring = KeyRing::new();
    let mut missing = Vec::new();
    for (server, keys) in found {
        let wanted = &needed[&server];
        if server != notary && !wanted.iter().all(|(key_id, at)| keys.covers(key_id, *at)) {
            missing.push(server.clone());
        }
        ring.add(server, keys, now);
    }
    if !missing.is_empty()
        && let Ok(vouched) = ask_notary(world, notary, &missing, now).await
    {
        for (server, known) in vouched.into_iter().filter(|(server, _)| missing.contains(server)) {
            ring.add(server.clone(), known.keys.clone(), now);
            remember(world, &server, known, now).await;
        }
    }
    ring
}

/// The answers of these servers about their keys, as they signed them: what a notary passes on. Those out of reach and
/// unknown are left out.
pub async fn answers(world: &World, servers: &[OwnedServerName]) -> Vec<Box<RawValue>> {
    let at = i64::try_from(world.now()).unwrap_or(i64::MAX);
    let asked = stream::iter(servers).map(|server| async move {
        let known = load(world, server).await;
        let live = known.keys.keys.values().any(|key| !key.retired && key.valid_until_ts >= at);
        if !live {
            of(world, server, &[(String::new(), at)]).await;
        }
        load(world, server).await.answer
    });
    asked.buffered(AT_ONCE).filter_map(|answer| async { answer }).collect().await
}

/// The keys of a server, asked for anew if those known do not cover what is wanted: (key ID, time of signing).
pub async fn of(world: &World, server: &ServerName, wanted: &[(String, i64)]) -> ServerKeys {
    if let Ok(config) = Config::of(world)
        && *server == config.server_name
    {
        return own(&config);
    }
    let cache = world.isolate(|_| Cache::default());
    let covered = |keys: &ServerKeys| wanted.iter().all(|(key_id, at)| keys.covers(key_id, *at));
    let keys = load(world, server).await.keys;
    let now = world.now();
    let time = i64::try_from(now).unwrap_or(i64::MAX);
    let missing = |key_id: &str| (server.to_owned(), key_id.to_owned());
    let lately = |(key_id, _): &(String, i64)| {
        cache.missed.borrow().get(&missing(key_id)).is_some_and(|at| at + MISSED > now)
    };
    if covered(&keys) || wanted.iter().filter(|(key_id, at)| !keys.covers(key_id, *at)).all(lately)
    {
        return keys;
    }
    let keys = match fetch(world, server, time).await {
        Ok(fetched) => remember(world, server, fetched, time).await,
        Err(_) => keys,
    };
    for (key_id, at) in wanted {
        if !keys.covers(key_id, *at) {
            cache.missed.borrow_mut().insert(missing(key_id), now);
        }
    }
    keys
}

/// What the caches hold of a server.
async fn load(world: &World, server: &ServerName) -> Known {
    let cache = world.isolate(|_| Cache::default());
    let held = cache.known.borrow().get(server).cloned();
    if let Some(known) = held {
        return known;
    }
    // A cache that cannot be read is as good as an empty one.
    let stored = world.kv().get(&format!("keys:{server}")).await.ok().flatten();
    let stored = stored.and_then(|text| serde_json::from_slice::<Known>(&text).ok());
    let Some(known) = stored else { return Known::default() };
    cache.known.borrow_mut().insert(server.to_owned(), known.clone());
    known
}

/// Adds what was learned to the caches; answers all that is known now.
async fn remember(world: &World, server: &ServerName, learned: Known, now: i64) -> ServerKeys {
    let cache = world.isolate(|_| Cache::default());
    let mut known = load(world, server).await;
    known.keys.merge(learned.keys, now);
    known.answer = learned.answer.or(known.answer);
    // A cache that cannot be written costs a request, nothing else.
    if let Ok(text) = serde_json::to_vec(&known) {
        world.kv().put(&format!("keys:{server}"), &text, Some(KEPT)).await.ok();
    }
    let keys = known.keys.clone();
    cache.known.borrow_mut().insert(server.to_owned(), known);
    keys
}

/// Our own key: events of our users come back to us in answers.
fn own(config: &Config) -> ServerKeys {
    let key = VerifyKey {
        key: config.signing_key.public_key(),
        valid_until_ts: i64::MAX,
        retired: false,
    };
    ServerKeys { keys: BTreeMap::from([(config.signing_key.key_id().to_owned(), key)]) }
}

async fn fetch(world: &World, server: &ServerName, now: i64) -> Result<Known, RemoteError> {
    let nonsense = |fault: String| RemoteError::Nonsense(fault);
    let body =
        client::send(world, server, Ask::get("/_matrix/key/v2/server").within(BRIEF)).await?;
    let object = parse_object(&body).map_err(|fault| nonsense(fault.to_string()))?;
    let keys = ServerKeys::from_origin(&object, server, now)
        .map_err(|fault| nonsense(fault.to_string()))?;
    let answer = RawValue::from_string(canonical_json::to_string(&object)).ok();
    Ok(Known { keys, answer })
}

#[derive(Deserialize)]
struct Vouched {
    server_keys: Vec<Box<RawValue>>,
}

/// Asks a server for the keys of others ([querying keys through another server]).
///
/// [querying keys through another server]: https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server
async fn ask_notary(
    world: &World,
    notary: &ServerName,
    servers: &[OwnedServerName],
    now: i64,
) -> Result<Vec<(OwnedServerName, Known)>, RemoteError> {
    let wanted: Map<String, Value> =
        servers.iter().map(|server| (server.to_string(), json!({}))).collect();
    let body = json!({ "server_keys": wanted });
    let ask = Ask::post("/_matrix/key/v2/query", &body).within(BRIEF);
    let vouched: Vouched = client::ask(world, notary, ask).await?;
    let notary_keys = load(world, notary).await.keys;
    let read = |answer: Box<RawValue>| {
        let object = parse_object(answer.get().as_bytes()).ok()?;
        let (server, keys) = ServerKeys::from_notary(&object, notary, &notary_keys, now).ok()?;
        Some((server, Known { keys, answer: Some(answer) }))
    };
    Ok(vouched.server_keys.into_iter().filter_map(read).collect())
}
