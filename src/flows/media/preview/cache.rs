//! What is known of a URL already? A page is asked once, however many clients show a message that names it.
//!
//! What a page said is kept in KV for a while, and in the isolate's memory, since KV may not show for a minute what was
//! written. Whoever asks while somebody fetches waits for what comes of it. What is our own failure is told to those who
//! wait, and not kept. That no more images are read for a user is told to that user alone, until more are.

use std::{rc::Rc, time::Duration};

use serde::{Deserialize, Serialize};
use tombolo_platform::World;

use super::{
    Preview, TIME, Unpreviewed,
    askers::{Askers, What},
    fetch::Fetched,
};
use crate::flows::{
    media::room::LATER,
    turns::{Standing, Turn, Turns},
};

/// How long a preview is kept (ms).
const KEPT: u64 = 3_600_000;
/// How long a failure of the page is, and a preview whose image could not be had (ms).
const KEPT_BRIEFLY: u64 = 300_000;
/// How long our own failure is told (ms).
const TOLD: u64 = 5_000;
/// Somebody fetches: how often it is asked whether they are done, and until when they are waited for (ms). They may have
/// been ended.
const LOOK: u64 = 100;
const STALE: u64 = TIME + 2_000;
/// How long a user's fetches may keep the user's next one waiting (ms): as much time is left for that.
const PATIENCE: u64 = TIME / 2;
/// How many URLs are remembered at most, in the isolate's memory.
const MOST_KNOWN: usize = 200;

type Outcome = Result<Preview, Unpreviewed>;
/// The fetches of this isolate, and what came of them lately.
type Fetches = Turns<String, Outcome>;

/// Who is told what came of a fetch, and for how long (ms).
enum Told {
    All(u64),
    Asker(u64),
    Nobody,
}

/// What is kept in KV.
#[derive(Serialize, Deserialize)]
struct Record {
    /// The preview, or why the page cannot be read.
    outcome: Result<Preview, String>,
    /// Until when that holds (ms).
    until: u64,
}

/// What is known under a key; else what is fetched now, after so long a wait (ms).
pub async fn cached(
    world: &World,
    key: String,
    asker: &str,
    fetch: impl AsyncFnOnce(u64) -> Result<Fetched, Unpreviewed>,
) -> Outcome {
    let (fetches, askers) =
        (world.isolate(|_| Fetches::default()), world.isolate(|_| Askers::default()));
    let (began, mut is_looked_up) = (world.now(), false);
    let own = format!("{key} {asker}");
    loop {
        let spent = askers.spent(asker, world.now());
        if let (Some(wait), Standing::Ended(outcome)) = (spent, fetches.standing(&own, world.now()))
            && !matches!(fetches.standing(&key, world.now()), Standing::Ended(_))
        {
            return outcome.map_err(|error| still(error, wait));
        }
        match fetches.standing(&key, world.now()) {
            Standing::Begun => {}
            Standing::Ended(outcome) => return outcome,
            Standing::Free => {
                let begins = world.now();
                let stale = begins.saturating_add(STALE);
                let turn = Rc::clone(&fetches).begin(key.clone(), (begins, stale), MOST_KNOWN);
                let stored = if is_looked_up { None } else { stored(world, &key).await };
                if let Some((outcome, until)) = stored {
                    turn.end(until, outcome.clone());
                    return outcome;
                }
                is_looked_up = true;
                let (now, waited) = (world.now(), world.now().saturating_sub(began));
                if let Some(_place) = askers.begin(What::Visit, asker, now, stale) {
                    let fetched = fetch(waited).await;
                    return tell(world, fetches, (turn, own), (key, fetched));
                }
                if waited >= PATIENCE {
                    return Err(Unpreviewed::Busy(LATER));
                }
            }
        }
        world.sleep(Duration::from_millis(LOOK)).await;
    }
}

/// How long a user still has to wait for whom no more images are read.
fn still(error: Unpreviewed, wait: u64) -> Unpreviewed {
    match error {
        Unpreviewed::Spent(_) => Unpreviewed::Spent(wait),
        error => error,
    }
}

/// Tells those who wait and those who come later what came of a fetch, under the key of all or of who asked.
fn tell(
    world: &World,
    fetches: Rc<Fetches>,
    (turn, own): (Turn<String, Outcome>, String),
    (key, fetched): (String, Result<Fetched, Unpreviewed>),
) -> Outcome {
    let (told, now) = (told(&fetched), world.now());
    let outcome = fetched.map(|fetched| fetched.preview);
    match told {
        Told::All(kept) => {
            let until = now.saturating_add(kept);
            turn.end(until, outcome.clone());
            store(world, key, &outcome, (kept, until));
        }
        Told::Asker(kept) => {
            let until = now.saturating_add(kept);
            fetches.begin(own, (now, until), MOST_KNOWN).end(until, outcome.clone());
        }
        Told::Nobody => {}
    }
    outcome
}

fn told(fetched: &Result<Fetched, Unpreviewed>) -> Told {
    let (Ok(Fetched { missing: Some(why), .. }) | Err(why)) = fetched else {
        return Told::All(KEPT);
    };
    match why {
        Unpreviewed::Malformed => Told::Nobody,
        // That is nobody else's business. The page is not asked again before more could come of it.
        Unpreviewed::Spent(wait) => Told::Asker(KEPT_BRIEFLY.min(*wait)),
        why if why.is_of_the_page() => Told::All(KEPT_BRIEFLY),
        _ => Told::All(TOLD),
    }
}

async fn stored(world: &World, key: &str) -> Option<(Outcome, u64)> {
    // A cache that cannot be read costs a fetch, nothing else.
    let text = world.kv().get(key).await.ok().flatten()?;
    let Record { outcome, until } = serde_json::from_slice(&text).ok()?;
    (until > world.now()).then(|| (outcome.map_err(Unpreviewed::Unreachable), until))
}

/// Keeps what the page said for all isolates, after it was answered. That an address is not asked is found out sooner
/// than it is read.
fn store(world: &World, key: String, outcome: &Outcome, (kept, until): (u64, u64)) {
    let outcome = match outcome {
        _ if kept <= TOLD => return,
        Ok(preview) => Ok(preview.clone()),
        Err(Unpreviewed::Unreachable(why)) => Err(why.clone()),
        Err(_) => return,
    };
    let inner = world.clone();
    world.later(async move {
        let Ok(text) = serde_json::to_vec(&Record { outcome, until }) else { return };
        // Where it is not kept, the page is asked again.
        inner.kv().put(&key, &text, Some(kept / 1000)).await.ok();
    });
}
