//! With which keys do other servers sign?
//! ([retrieving server keys](https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys))
//!
//! Keys are cached in the isolate and in KV; a server that did not give the key it was asked for is not asked again for a
//! while, so that events with invented key IDs cause no storm of requests.

use std::{cell::RefCell, collections::BTreeMap};

use futures_util::{StreamExt, stream};
use ruma::{OwnedServerName, ServerName};
use tombolo_platform::World;
use tombolo_protocol::{
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
    known: RefCell<BTreeMap<OwnedServerName, ServerKeys>>,
    missed: RefCell<BTreeMap<(OwnedServerName, String), u64>>,
}

/// The keys of several servers, as far as they can be had. `at`: when what they signed was signed (ms).
pub async fn ring(
    world: &World,
    needed: &BTreeMap<OwnedServerName, Vec<(String, i64)>>,
) -> KeyRing {
    let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
    let found: Vec<_> = stream::iter(needed)
        .map(|(server, wanted)| async move { (server.clone(), of(world, server, wanted).await) })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut ring = KeyRing::new();
    for (server, keys) in found {
        ring.add(server, keys, now);
    }
    ring
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
    let mut keys = match cache.known.borrow().get(server) {
        Some(keys) => keys.clone(),
        None => ServerKeys::default(),
    };
    if covered(&keys) {
        return keys;
    }
    let now = world.now();
    let time = i64::try_from(now).unwrap_or(i64::MAX);
    if keys.keys.is_empty()
        && let Ok(Some(text)) = world.kv().get(&format!("keys:{server}")).await
        && let Ok(stored) = serde_json::from_slice::<ServerKeys>(&text)
    {
        keys.merge(stored, time);
        cache.known.borrow_mut().insert(server.to_owned(), keys.clone());
    }
    let missing = |key_id: &str| (server.to_owned(), key_id.to_owned());
    let lately = |(key_id, _): &(String, i64)| {
        cache.missed.borrow().get(&missing(key_id)).is_some_and(|at| at + MISSED > now)
    };
    if covered(&keys) || wanted.iter().filter(|(key_id, at)| !keys.covers(key_id, *at)).all(lately)
    {
        return keys;
    }
    if let Ok(fetched) = fetch(world, server, time).await {
        keys.merge(fetched, time);
        // A cache that cannot be written costs a request, nothing else.
        if let Ok(text) = serde_json::to_vec(&keys) {
            world.kv().put(&format!("keys:{server}"), &text, Some(KEPT)).await.ok();
        }
        cache.known.borrow_mut().insert(server.to_owned(), keys.clone());
    }
    for (key_id, at) in wanted {
        if !keys.covers(key_id, *at) {
            cache.missed.borrow_mut().insert(missing(key_id), now);
        }
    }
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

async fn fetch(world: &World, server: &ServerName, now: i64) -> Result<ServerKeys, RemoteError> {
    let body =
        client::send(world, server, Ask::get("/_matrix/key/v2/server").within(BRIEF)).await?;
    let answer = parse_object(&body).map_err(|fault| RemoteError::Nonsense(fault.to_string()))?;
    ServerKeys::from_origin(&answer, server, now)
        .map_err(|fault| RemoteError::Nonsense(fault.to_string()))
}
