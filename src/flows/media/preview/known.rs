//! What is known of a URL already? A page is asked once, however many clients show a message that names it.
//!
//! What was seen is kept in KV for a while, and in the isolate's memory, since KV may not show for a minute what was
//! written. Whoever asks while somebody looks waits for what is seen.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tombolo_platform::World;

use super::{Preview, Seen, Unpreviewed};

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

#[derive(Default)]
struct Looks {
    known: RefCell<BTreeMap<String, Look>>,
    next: Cell<u64>,
}

#[derive(Clone)]
enum Look {
    /// Which it is, and until when it is waited for (ms).
    Begun(u64, u64),
    Ended(Record),
}

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
    let looks = world.isolate(|_| Looks::default());
    loop {
        let now = world.now();
        let found = looks.known.borrow().get(key).cloned();
        match found {
            Some(Look::Ended(record)) if record.until > now => return record.told(),
            Some(Look::Begun(_, until)) if until > now => {}
            _ => break,
        }
        world.sleep(Duration::from_millis(LOOK)).await;
    }
    let turn = Turn::begin(looks, key, world.now());
    if let Some(record) = kept(world, key).await {
        turn.end(record.clone());
        return record.told();
    }
    let seen = look().await;
    if let Some(record) = Record::of(&seen, world.now()) {
        turn.end(record.clone());
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
fn keep(world: &World, key: &str, record: Record) {
    let (inner, key) = (world.clone(), key.to_owned());
    world.later(async move {
        let Ok(text) = serde_json::to_vec(&record) else { return };
        let ttl = record.until.saturating_sub(inner.now()) / 1000;
        // Where it is not kept, the page is asked again.
        inner.kv().put(&key, &text, Some(ttl)).await.ok();
    });
}

/// That this request looks, until dropped.
struct Turn<'a> {
    looks: Rc<Looks>,
    key: &'a str,
    number: u64,
}

impl<'a> Turn<'a> {
    fn begin(looks: Rc<Looks>, key: &'a str, now: u64) -> Self {
        let number = looks.next.get();
        looks.next.set(number.saturating_add(1));
        let mut known = looks.known.borrow_mut();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(key.to_owned(), Look::Begun(number, now.saturating_add(STALE)));
        drop(known);
        Self { looks, key, number }
    }

    fn end(&self, record: Record) {
        self.replace(Some(Look::Ended(record)));
    }

    /// Replaces what is known of this look, unless there is another by now.
    fn replace(&self, by: Option<Look>) {
        let mut known = self.looks.known.borrow_mut();
        if !matches!(known.get(self.key), Some(Look::Begun(number, _)) if *number == self.number) {
            return;
        }
        match by {
            Some(look) => known.insert(self.key.to_owned(), look),
            None => known.remove(self.key),
        };
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.replace(None);
    }
}
