//! With which keys do other servers sign?
//! ([retrieving server keys](https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys))
//!
//! Keys are cached in the isolate and in KV, with the answer they came in, which we pass on as a notary. A server that
//! did not give the key it was asked for is not asked again for a while, so that events with invented key IDs cause no
//! storm of requests. For servers out of reach the notaries that the operator trusts are asked, where many are unknown
//! before those themselves, and nobody else: whoever gives us an event may have forged it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

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

/// How long a server that answered without the key it was asked for is left alone, so that events with invented key IDs
/// cause no storm of requests (ms).
const ANSWERED: u64 = 60_000;
/// How long a server that did not answer is left alone (ms).
const FAILED: u64 = 10_000;
/// How many servers are remembered at most, in the isolate's memory.
const MOST_KNOWN: usize = 10_000;
/// How long KV keeps what is known of a server, in seconds; what is valid within it is decided by the keys themselves.
const KEPT: u64 = 30 * 24 * 3600;
/// How many servers are asked at once: an invocation has six connections.
const AT_ONCE: usize = 6;
/// How long servers are asked themselves (ms).
const PATIENCE: u64 = 30_000;
/// Where more servers than this are unknown, notaries are asked before they are.
const MANY: usize = 20;
/// As many servers are waited for, and so often; where more are missing, they will not all come back in a minute.
const FEW: usize = 5;
const ROUNDS: usize = 2;
/// For how many servers a notary is asked in one request.
const MOST_ASKED: usize = 100;

#[derive(Default)]
struct Cache {
    known: RefCell<BTreeMap<OwnedServerName, Known>>,
    /// Until when a server is not asked again.
    left_alone: RefCell<BTreeMap<OwnedServerName, u64>>,
    /// When notaries last answered about a server.
    vouched_for: RefCell<BTreeMap<OwnedServerName, u64>>,
}

/// What is known of a server's keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Known {
    keys: ServerKeys,
    /// The newest answer of the server itself, as it was signed.
    answer: Option<Box<RawValue>>,
}

/// The keys of several servers, as far as they can be had from them or from the notaries that the operator trusts. With
/// each key ID: when what it signed was signed (ms).
pub async fn ring(
    world: &World,
    needed: &BTreeMap<OwnedServerName, Vec<(String, i64)>>,
) -> KeyRing {
    let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
    // Of the many servers of a large room, many are dead.
    if missing(world, needed).await.len() > MANY {
        ask_notaries(world, &missing(world, needed).await, now).await;
    }
    let patient_until = world.now() + PATIENCE;
    stream::iter(needed)
        .for_each_concurrent(AT_ONCE, |(server, wanted)| async move {
            if world.now() < patient_until {
                of(world, server, wanted).await;
            }
        })
        .await;
    let missing = missing(world, needed).await;
    if !missing.is_empty() {
        ask_notaries(world, &missing, now).await;
    }
    let mut ring = KeyRing::new();
    for server in needed.keys() {
        ring.add(server.clone(), held(world, server).await, now);
    }
    ring
}

/// Like [`ring`], where nobody asks again soon for what cannot be verified: a few servers out of reach are waited for.
pub async fn ring_of_all(
    world: &World,
    needed: &BTreeMap<OwnedServerName, Vec<(String, i64)>>,
) -> KeyRing {
    for _ in 0..ROUNDS {
        let keys = ring(world, needed).await;
        if !(1..=FEW).contains(&missing(world, needed).await.len()) {
            return keys;
        }
        world.sleep(Duration::from_millis(FAILED + 1)).await;
    }
    ring(world, needed).await
}

/// The servers whose keys, as far as they are known, do not cover what is needed. Ours are not among them: what our key
/// did not sign is not ours.
async fn missing(
    world: &World,
    needed: &BTreeMap<OwnedServerName, Vec<(String, i64)>>,
) -> Vec<OwnedServerName> {
    let own = Config::of(world).ok().map(|config| config.server_name.clone());
    let mut missing = Vec::new();
    for (server, wanted) in needed {
        if Some(server) != own.as_ref() && !covers(&held(world, server).await, wanted) {
            missing.push(server.clone());
        }
    }
    missing
}

/// The keys of a server as we hold them.
async fn held(world: &World, server: &ServerName) -> ServerKeys {
    match Config::of(world) {
        Ok(config) if *server == config.server_name => own(&config),
        _ => load(world, server).await.keys,
    }
}

/// Asks the notaries for the keys of other servers, in turn while there are any missing. A key that a server gave
/// itself is not replaced by what a notary says.
async fn ask_notaries(world: &World, servers: &[OwnedServerName], now: i64) {
    let Ok(config) = Config::of(world) else { return };
    let cache = world.isolate(|_| Cache::default());
    let time = world.now();
    let lately = |server: &&OwnedServerName| {
        cache.vouched_for.borrow().get(*server).is_some_and(|at| at + ANSWERED > time)
    };
    let mut open: BTreeSet<OwnedServerName> =
        servers.iter().filter(|server| !lately(server)).cloned().collect();
    for notary in config.trusted_key_servers.iter().filter(|notary| **notary != config.server_name)
    {
        let asked: Vec<OwnedServerName> = open.iter().cloned().collect();
        for servers in asked.chunks(MOST_ASKED) {
            let answers = match ask_notary(world, notary, servers, now).await {
                Ok(answers) => answers,
                Err(error) => {
                    tracing::info!(%notary, %error, "a notary vouches for nobody");
                    break;
                }
            };
            for server in servers {
                let mut vouched_for = cache.vouched_for.borrow_mut();
                forget_if_full(&mut vouched_for);
                vouched_for.insert(server.clone(), time);
            }
            for (server, known) in answers {
                if open.remove(&server) {
                    remember(world, &server, known, now).await;
                }
            }
        }
    }
}

/// The answers of these servers about their keys, as they signed them: what a notary passes on. Those out of reach and
/// unknown are left out.
pub async fn answers(world: &World, servers: &[OwnedServerName]) -> Vec<Box<RawValue>> {
    let asked = stream::iter(servers).map(|server| async move {
        current(world, server).await;
        load(world, server).await.answer
    });
    asked.buffered(AT_ONCE).filter_map(|answer| async { answer }).collect().await
}

/// The keys of a server, asked for anew if those known do not cover what is wanted: (key ID, time of signing).
pub async fn of(world: &World, server: &ServerName, wanted: &[(String, i64)]) -> ServerKeys {
    known_or_asked(world, server, |keys| covers(keys, wanted)).await
}

/// The keys of a server, asked for anew if it signs with none of those known any more.
async fn current(world: &World, server: &ServerName) -> ServerKeys {
    let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
    let live =
        |keys: &ServerKeys| keys.keys.values().any(|key| !key.retired && key.valid_until_ts >= now);
    known_or_asked(world, server, live).await
}

async fn known_or_asked(
    world: &World,
    server: &ServerName,
    suffice: impl Fn(&ServerKeys) -> bool,
) -> ServerKeys {
    let keys = held(world, server).await;
    if suffice(&keys) || Config::of(world).is_ok_and(|config| *server == config.server_name) {
        return keys;
    }
    let cache = world.isolate(|_| Cache::default());
    let now = world.now();
    let is_left_alone = cache.left_alone.borrow().get(server).is_some_and(|until| *until > now);
    if is_left_alone {
        return keys;
    }
    let time = i64::try_from(now).unwrap_or(i64::MAX);
    let (keys, pause) = match fetch(world, server, time).await {
        Ok(fetched) => (remember(world, server, fetched, time).await, ANSWERED),
        Err(_) => (keys, FAILED),
    };
    if !suffice(&keys) {
        let mut left_alone = cache.left_alone.borrow_mut();
        forget_if_full(&mut left_alone);
        left_alone.insert(server.to_owned(), now + pause);
    }
    keys
}

/// Keeps a map in the isolate's memory from growing for ever: names of servers can be invented.
fn forget_if_full<K: Ord, V>(map: &mut BTreeMap<K, V>) {
    if map.len() >= MOST_KNOWN {
        map.clear();
    }
}

fn covers(keys: &ServerKeys, wanted: &[(String, i64)]) -> bool {
    wanted.iter().all(|(key_id, at)| keys.covers(key_id, *at))
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
    let mut all = cache.known.borrow_mut();
    forget_if_full(&mut all);
    all.insert(server.to_owned(), known.clone());
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
    let mut all = cache.known.borrow_mut();
    forget_if_full(&mut all);
    all.insert(server.to_owned(), known);
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
    let vouched: Vouched =
        client::ask(world, notary, Ask::post("/_matrix/key/v2/query", &body)).await?;
    let notary_keys = current(world, notary).await;
    let read = |answer: Box<RawValue>| {
        let object = parse_object(answer.get().as_bytes()).ok()?;
        let (server, keys) = ServerKeys::from_notary(&object, notary, &notary_keys, now).ok()?;
        Some((server, Known { keys, answer: Some(answer) }))
    };
    Ok(vouched.server_keys.into_iter().filter_map(read).collect())
}
