//! What is remembered of other servers' keys?
//!
//! The isolate's memory is asked before KV, and remembers for a while which servers KV did not hold. KV is read for
//! many servers at a time, and written once for each server whose keys changed. Both are caches: a miss or a failed
//! write only costs a request to another server.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use futures_util::{StreamExt, stream};
use ruma::{OwnedServerName, ServerName};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;
use tombolo_platform::{MOST_KEYS, World};
use tombolo_protocol::server_keys::ServerKeys;

/// How many servers are remembered at most, in the isolate's memory.
const MOST_KNOWN: usize = 10_000;
/// How long KV keeps what is known of a server, in seconds; how long a key is valid, the key itself says.
const KEPT: u64 = 30 * 24 * 3600;
/// How long we remember that KV does not hold a server (ms).
const ABSENT: u64 = 600_000;
/// How many answers older than the newest are kept of a server, and how large each may be, in bytes.
const MOST_OLDER: usize = 8;
const MAX_OLDER: usize = 16 << 10;
/// How many servers are written to KV at once.
const WRITTEN_AT_ONCE: usize = 6;

#[derive(Default)]
struct Cache {
    known: RefCell<BTreeMap<OwnedServerName, Known>>,
    /// Until when KV is not asked for a server.
    absent: RefCell<BTreeMap<OwnedServerName, u64>>,
}

/// What is known of a server's keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Known {
    pub keys: ServerKeys,
    /// The newest answer of the server about its keys, as it was signed.
    pub answer: Option<Box<RawValue>>,
    /// Older answers that list a key which no newer answer lists, newest first: a server that asks us as a notary may
    /// need it for an old event.
    #[serde(default)]
    pub older: Vec<Box<RawValue>>,
    /// Until when the newest answer holds, as it says itself (ms).
    #[serde(default)]
    pub valid_until_ts: i64,
}

/// Where something was learned of a server's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The server itself, now.
    Origin,
    /// A notary, which may have heard it long ago.
    Notary,
}

impl Known {
    /// Merges what an answer says. An older answer of a notary only adds what the newer one lacks.
    fn learn(&mut self, learned: Self, source: Source, now: i64) {
        if source == Source::Notary && learned.valid_until_ts <= self.valid_until_ts {
            self.keys.complete(learned.keys);
            self.keep(learned.answer);
            return;
        }
        self.keys.merge(learned.keys, now);
        if learned.answer.is_some() {
            let before = std::mem::replace(&mut self.answer, learned.answer);
            self.keep(before);
        }
        self.valid_until_ts = learned.valid_until_ts;
    }

    /// Puts an answer that is not the newest among the older ones, and keeps of these those that list a key which no
    /// newer answer lists.
    fn keep(&mut self, answer: Option<Box<RawValue>>) {
        let mut seen = self.answer.as_deref().map(listed).unwrap_or_default();
        let older = std::mem::take(&mut self.older);
        let mut is_needed = |answer: &RawValue| {
            let keys = listed(answer);
            let is_needed = answer.get().len() <= MAX_OLDER && !keys.is_subset(&seen);
            seen.extend(keys);
            is_needed
        };
        let all = answer.into_iter().chain(older);
        self.older = all.filter(|answer| is_needed(answer)).take(MOST_OLDER).collect();
    }

    /// The newest answer, and the older ones that list further keys among these; all answers if no key is named.
    pub fn answers(self, key_ids: &[String]) -> Vec<Box<RawValue>> {
        let newest = self.answer.as_deref().map(listed).unwrap_or_default();
        let missing: BTreeSet<&String> =
            key_ids.iter().filter(|key_id| !newest.contains(*key_id)).collect();
        let is_wanted = |answer: &RawValue| {
            key_ids.is_empty() || listed(answer).iter().any(|key_id| missing.contains(key_id))
        };
        let older = self.older.into_iter().filter(|answer| is_wanted(answer));
        self.answer.into_iter().chain(older).collect()
    }
}

/// The IDs of the keys that an answer lists, in use or not.
fn listed(answer: &RawValue) -> BTreeSet<String> {
    #[derive(Deserialize)]
    struct Listed {
        #[serde(default)]
        verify_keys: BTreeMap<String, IgnoredAny>,
        #[serde(default)]
        old_verify_keys: BTreeMap<String, IgnoredAny>,
    }
    let keys = |listed: Listed| {
        listed.verify_keys.into_keys().chain(listed.old_verify_keys.into_keys()).collect()
    };
    serde_json::from_str(answer.get()).map(keys).unwrap_or_default()
}

/// What the caches hold of a server.
pub async fn load(world: &World, server: &ServerName) -> Known {
    load_all(world, [&server.to_owned()]).await;
    world.isolate(|_| Cache::default()).known.borrow().get(server).cloned().unwrap_or_default()
}

/// Loads what KV holds of these servers into the isolate's memory.
pub async fn load_all(world: &World, servers: impl IntoIterator<Item = &OwnedServerName>) {
    let (cache, now) = (world.isolate(|_| Cache::default()), world.now());
    let unknown = |server: &&OwnedServerName| {
        !cache.known.borrow().contains_key(*server)
            && cache.absent.borrow().get(*server).is_none_or(|until| *until <= now)
    };
    let unknown: Vec<&OwnedServerName> = servers.into_iter().filter(unknown).collect();
    for servers in unknown.chunks(MOST_KEYS) {
        let keys: Vec<String> = servers.iter().map(|server| key(server)).collect();
        let Ok(mut found) = world.kv().texts(&keys).await else { continue };
        for server in servers {
            let text = found.remove(&key(server)).unwrap_or_default();
            match serde_json::from_str::<Known>(&text) {
                Ok(known) => put(&cache.known, server, known),
                Err(_) => put(&cache.absent, server, now + ABSENT),
            }
        }
    }
}

/// Adds what was learned of servers, for each server in this order. The isolate's memory has it at once; KV is written
/// in the background.
pub async fn remember(
    world: &World,
    learned: BTreeMap<OwnedServerName, Vec<Known>>,
    source: Source,
) {
    let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
    load_all(world, learned.keys()).await;
    let cache = world.isolate(|_| Cache::default());
    let mut changed = Vec::new();
    for (server, answers) in learned {
        let mut known = cache.known.borrow().get(&server).cloned().unwrap_or_default();
        let before = serde_json::to_vec(&known).ok();
        answers.into_iter().for_each(|learned| known.learn(learned, source, now));
        let after = serde_json::to_vec(&known).ok();
        put(&cache.known, &server, known);
        if after != before {
            changed.extend(after.map(|text| (key(&server), text)));
        }
    }
    let kv = world.kv();
    world.later(async move {
        let written = stream::iter(&changed).map(|(key, text)| kv.put(key, text, Some(KEPT)));
        written.buffer_unordered(WRITTEN_AT_ONCE).map(drop).collect::<()>().await;
    });
}

/// Inserts into a map in the isolate's memory. A full map is cleared first: server names can be invented, and it must
/// not grow for ever.
pub fn put<V>(map: &RefCell<BTreeMap<OwnedServerName, V>>, server: &ServerName, value: V) {
    let mut map = map.borrow_mut();
    if map.len() >= MOST_KNOWN {
        map.clear();
    }
    map.insert(server.to_owned(), value);
}

fn key(server: &ServerName) -> String {
    format!("keys:{server}")
}
