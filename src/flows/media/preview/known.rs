//! What is known of a URL already? A page is asked once, however many clients show a message that names it.
//!
//! What was seen is kept in KV for a while, and in the isolate's memory, since KV may not show for a minute what was
//! written. Whoever asks while somebody looks waits for what is seen.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tombolo_platform::World;

use super::{Preview, Seen, Unpreviewed};
use crate::flows::turns::{Standing, Turns};

/// How long what was seen is kept (ms).
const KEPT: u64 = 3_600_000;
/// How long a failure is, and a page whose image could not be had (ms).
const KEPT_BRIEFLY: u64 = 300_000;
/// Somebody looks: how often it is asked whether they have seen it, and until when they are waited for (ms). They may have
/// been ended.
const LOOK: u64 = 100;
const STALE: u64 = 60_000;
/// How many URLs are remembered at most, in the isolate's memory.
const MOST_KNOWN: usize = 200;

/// The looks of this isolate, and what was seen lately.
type Looks = Turns<String, Record>;

/// What was seen, or why nothing was.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    seen: Result<Preview, Unseen>,
    /// Until when that holds (ms).
    until: u64,
}

/// Why nothing was seen, where that is the page's doing.
#[derive(Clone, Serialize, Deserialize)]
enum Unseen {
    Blocked,
    Unreachable(String),
}

impl Record {
    /// Our own failures are not kept.
    fn of(seen: &Result<Seen, Unpreviewed>, now: u64) -> Option<Self> {
        let (seen, kept) = match seen {
            Ok(Seen { preview, whole: true }) => (Ok(preview.clone()), KEPT),
            Ok(Seen { preview, whole: false }) => (Ok(preview.clone()), KEPT_BRIEFLY),
            Err(Unpreviewed::Blocked) => (Err(Unseen::Blocked), KEPT_BRIEFLY),
            Err(Unpreviewed::Unreachable(why)) => {
                (Err(Unseen::Unreachable(why.clone())), KEPT_BRIEFLY)
            }
            Err(Unpreviewed::Malformed | Unpreviewed::Busy(_) | Unpreviewed::Ours(_)) => {
                return None;
            }
        };
        Some(Self { seen, until: now.saturating_add(kept) })
    }

    fn told(self) -> Result<Preview, Unpreviewed> {
        self.seen.map_err(|unseen| match unseen {
            Unseen::Blocked => Unpreviewed::Blocked,
            Unseen::Unreachable(why) => Unpreviewed::Unreachable(why),
        })
    }
}

/// What is known under a key; else what is seen now.
pub async fn once(
    world: &World,
    key: &str,
    look: impl AsyncFnOnce() -> Result<Seen, Unpreviewed>,
) -> Result<Preview, Unpreviewed> {
    let (looks, key) = (world.isolate(|_| Looks::default()), key.to_owned());
    loop {
        match looks.standing(&key, world.now()) {
            Standing::Begun => world.sleep(Duration::from_millis(LOOK)).await,
            Standing::Ended(record) => return record.told(),
            Standing::Free => break,
        }
    }
    let turn = looks.begin(key.clone(), world.now().saturating_add(STALE), MOST_KNOWN);
    if let Some(record) = kept(world, &key).await {
        turn.end(record.until, record.clone());
        return record.told();
    }
    let seen = look().await;
    if let Some(record) = Record::of(&seen, world.now()) {
        turn.end(record.until, record.clone());
        keep(world, key, record);
    }
    seen.map(|seen| seen.preview)
}

async fn kept(world: &World, key: &str) -> Option<Record> {
    // A cache that cannot be read costs a look, nothing else.
    let text = world.kv().get(key).await.ok().flatten()?;
    let record: Record = serde_json::from_slice(&text).ok()?;
    (record.until > world.now()).then_some(record)
}

/// Keeps what was seen, after it was answered.
fn keep(world: &World, key: String, record: Record) {
    let inner = world.clone();
    world.later(async move {
        let Ok(text) = serde_json::to_vec(&record) else { return };
        let ttl = record.until.saturating_sub(inner.now()) / 1000;
        // Where it is not kept, the page is asked again.
        inner.kv().put(&key, &text, Some(ttl)).await.ok();
    });
}
