//! Which keys does a server say it signs with?

use std::{cell::RefCell, collections::BTreeMap};

use ruma::{OwnedServerName, ServerName};
use serde_json::value::RawValue;
use tombolo_platform::World;
use tombolo_protocol::{
    canonical_json,
    json::parse_object,
    server_keys::{MAX_VALIDITY, ServerKeys, VerifyKey, valid_until_ts},
};

use super::{
    RemoteError, api,
    client::{self, Ask, BRIEF},
    known_keys::{Known, Source, load, put, remember},
};
use crate::config::Config;

/// The needed keys of each server: the key ID, and the time at which the key must have been valid (ms).
pub type Needed = BTreeMap<OwnedServerName, Vec<(String, i64)>>;

/// How long a server that answered without the wanted key is left alone (ms), so that events with invented key IDs
/// cause no storm of requests.
const ANSWERED: u64 = 60_000;
/// How long a server that did not answer is left alone (ms).
pub(super) const FAILED: u64 = 10_000;

/// Until when a server is not asked again.
#[derive(Default)]
struct LeftAlone(RefCell<BTreeMap<OwnedServerName, u64>>);

/// The keys of a server, asked for anew if the known ones do not cover what is wanted: key IDs, each with a time of
/// signing.
pub async fn of(world: &World, server: &ServerName, wanted: &[(String, i64)]) -> ServerKeys {
    known_or_asked(world, server, |known| covers(&known.keys, wanted)).await
}

/// The keys of a server, asked for anew if none of the known ones is in use any more.
pub async fn current(world: &World, server: &ServerName) -> ServerKeys {
    let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
    let live = |known: &Known| {
        known.keys.keys.values().any(|key| !key.retired && key.valid_until_ts >= now)
    };
    known_or_asked(world, server, live).await
}

/// The needed keys that are not known. Our own keys are never missing: an event that our key did not sign is not ours.
pub async fn missing(world: &World, needed: &Needed) -> Needed {
    let own = Config::of(world).ok().map(|config| config.server_name.clone());
    let mut missing = Needed::new();
    for (server, wanted) in needed {
        if Some(server) != own.as_ref() && !covers(&held(world, server).await, wanted) {
            missing.insert(server.clone(), wanted.clone());
        }
    }
    missing
}

/// The keys of a server as we hold them.
pub(super) async fn held(world: &World, server: &ServerName) -> ServerKeys {
    match Config::of(world) {
        Ok(config) if *server == config.server_name => own(&config),
        _ => load(world, server).await.keys,
    }
}

/// The keys of a server as they are known; asked for anew if they do not suffice.
pub(super) async fn known_or_asked(
    world: &World,
    server: &ServerName,
    suffices: impl Fn(&Known) -> bool,
) -> ServerKeys {
    if let Ok(config) = Config::of(world)
        && *server == config.server_name
    {
        return own(&config);
    }
    let mut known = load(world, server).await;
    if suffices(&known) {
        return known.keys;
    }
    let (left_alone, now) = (world.isolate(|_| LeftAlone::default()), world.now());
    if left_alone.0.borrow().get(server).is_some_and(|until| *until > now) {
        return known.keys;
    }
    let pause = match fetch(world, server).await {
        Ok(fetched) => {
            let learned = BTreeMap::from([(server.to_owned(), vec![fetched])]);
            remember(world, learned, Source::Origin).await;
            known = load(world, server).await;
            ANSWERED
        }
        Err(_) => FAILED,
    };
    if !suffices(&known) {
        put(&left_alone.0, server, world.now() + pause);
    }
    known.keys
}

fn covers(keys: &ServerKeys, wanted: &[(String, i64)]) -> bool {
    wanted.iter().all(|(key_id, at)| keys.covers(key_id, *at))
}

/// Our own key, for events of our users that come back in other servers' answers.
fn own(config: &Config) -> ServerKeys {
    let key = VerifyKey {
        key: config.signing_key.public_key(),
        valid_until_ts: i64::MAX,
        retired: false,
    };
    ServerKeys { keys: BTreeMap::from([(config.signing_key.key_id().to_owned(), key)]) }
}

async fn fetch(world: &World, server: &ServerName) -> Result<Known, RemoteError> {
    let nonsense = |fault: String| RemoteError::Nonsense(fault);
    let body = client::send(world, server, Ask::get(api::KEYS).within(BRIEF)).await?;
    let object = parse_object(&body).map_err(|fault| nonsense(fault.to_string()))?;
    let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
    let keys = ServerKeys::from_origin(&object, server, now)
        .map_err(|fault| nonsense(fault.to_string()))?;
    let answer = RawValue::from_string(canonical_json::to_string(&object)).ok();
    let valid_until_ts = valid_until_ts(&object).min(now.saturating_add(MAX_VALIDITY));
    Ok(Known { keys, answer, older: Vec::new(), valid_until_ts })
}
