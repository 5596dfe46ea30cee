//! With which keys do other servers sign?
//! ([retrieving server keys](https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys))
//!
//! Each server is asked for its own keys ([`super::origins`]). If servers are out of reach, the notaries that the
//! operator trusts are asked ([`super::notaries`]); if the keys of many servers are missing, the notaries are asked
//! first.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use futures_util::{
    FutureExt, StreamExt,
    future::{Either, select},
    stream,
};
use ruma::{OwnedServerName, ServerName};
use serde_json::value::RawValue;
use tombolo_platform::World;
use tombolo_protocol::server_keys::KeyRing;

use super::{
    known_keys::{Known, load, load_all},
    notaries,
    origins::{FAILED, Needed, held, known_or_asked, missing, of},
};

/// How many servers are asked at once: an invocation has six connections, and the notaries need some.
const AT_ONCE: usize = 4;
/// How many servers are asked at once in the background.
const AT_ONCE_MEANWHILE: usize = 2;
/// How long servers are asked for their own keys (ms).
const PATIENCE: u64 = 30_000;
/// The same where we are the notary of the server that asks (ms).
const PATIENCE_OF_OTHERS: u64 = 10_000;
/// How long servers are asked before the notaries are.
const BEFORE_NOTARIES: Duration = Duration::from_millis(1500);
/// If the keys of more servers than this are missing, the notaries are asked first: in a large room, many servers are
/// dead.
const MANY: usize = 20;
/// How many servers out of reach are waited for at most, and how often. If more are missing, they will not all come
/// back in a minute.
const FEW: usize = 5;
const ROUNDS: usize = 2;

/// The keys of several servers, as far as the servers or the notaries give them.
pub async fn ring(world: &World, needed: &Needed) -> KeyRing {
    gather(world, needed, None).await;
    held_of(world, needed).await
}

/// Like [`ring`], for events that are noted if they cannot be verified, and not soon asked for again. A few servers out
/// of reach are waited for. A server that the notaries do not know either is waited for only if all depends on it
/// (`awaited`).
pub async fn ring_of_all(
    world: &World,
    needed: &Needed,
    awaited: &BTreeSet<OwnedServerName>,
) -> KeyRing {
    for _ in 0..ROUNDS {
        gather(world, needed, Some(awaited)).await;
        let missing = missing(world, needed).await;
        let unanswered = |server: &&OwnedServerName| !notaries::have_answered(world, server);
        if !(1..=FEW).contains(&missing.keys().filter(unanswered).count()) {
            return held_of(world, needed).await;
        }
        world.sleep(Duration::from_millis(FAILED + 1)).await;
    }
    ring(world, needed).await
}

/// Asks for the missing keys. With `awaited`, a server that the notaries do not know is waited for only if it is among
/// these; the others are asked in the background.
async fn gather(world: &World, needed: &Needed, awaited: Option<&BTreeSet<OwnedServerName>>) {
    load_all(world, needed.keys()).await;
    let mut open = missing(world, needed).await;
    let asked = open.len();
    if asked > MANY {
        notaries::ask(world, &open).await;
        open = missing(world, &open).await;
    }
    // Notaries that know less than half of the servers prove nothing about the rest.
    let trusted = 2 * open.len() <= asked;
    let is_awaited = |server: &ServerName| {
        awaited.is_none_or(|awaited| awaited.contains(server))
            || !notaries::have_answered(world, server)
    };
    let (awaited, others): (Needed, Needed) =
        open.into_iter().partition(|(server, _)| asked <= MANY || !trusted || is_awaited(server));
    world.later(ask_themselves(world.clone(), others, AT_ONCE_MEANWHILE));
    let asking = ask_themselves(world.clone(), awaited.clone(), AT_ONCE).boxed_local().shared();
    world.later(asking.clone());
    if asked > MANY {
        return asking.await;
    }
    let pause = pin!(world.sleep(BEFORE_NOTARIES));
    let is_late = matches!(select(asking.clone(), pause).await, Either::Right(_));
    notaries::ask(world, &missing(world, &awaited).await).await;
    if is_late && missing(world, &awaited).await.keys().any(|server| is_awaited(server)) {
        asking.await;
    }
}

/// Asks each server for its own keys, until the time for it is up.
async fn ask_themselves(world: World, needed: Needed, at_once: usize) {
    let until = world.now() + PATIENCE;
    stream::iter(&needed)
        .for_each_concurrent(at_once, |(server, wanted)| {
            let world = &world;
            async move {
                if world.now() < until {
                    of(world, server, wanted).await;
                }
            }
        })
        .await;
}

async fn held_of(world: &World, needed: &Needed) -> KeyRing {
    let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
    let mut ring = KeyRing::new();
    for server in needed.keys() {
        ring.add(server.clone(), held(world, server).await, now);
    }
    ring
}

/// Which keys of a server another server asks us for as a notary.
#[derive(Debug)]
pub struct Question {
    pub server: OwnedServerName,
    /// The wanted key IDs; empty: all keys.
    pub key_ids: Vec<String>,
    /// Until when the answer should hold (ms).
    pub minimum_valid_until_ts: i64,
}

/// What we pass on as a notary: the answers of servers about their keys, as they signed them. A server is asked anew if
/// what we hold does not suffice; keys that its newest answer no longer lists come from older answers. Servers that are
/// out of reach and unknown are left out.
pub async fn answers(world: &World, questions: &[Question]) -> Vec<Box<RawValue>> {
    let until = world.now() + PATIENCE_OF_OTHERS;
    let asked = stream::iter(questions).map(|question| async move {
        let suffices = |known: &Known| {
            known.answer.is_some()
                && known.valid_until_ts >= question.minimum_valid_until_ts
                && question.key_ids.iter().all(|key_id| known.keys.keys.contains_key(key_id))
        };
        let left = Duration::from_millis(until.saturating_sub(world.now()));
        let asking = pin!(known_or_asked(world, &question.server, suffices));
        // The server that asks does not wait for ever: a server that was not reached in time counts as out of reach.
        drop(select(asking, pin!(world.sleep(left))).await);
        load(world, &question.server).await.answers(&question.key_ids)
    });
    asked.buffered(AT_ONCE).concat().await
}
