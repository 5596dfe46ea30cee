//! What is taken of what another server tells of its users?
//! ([presence](https://spec.matrix.org/v1.19/server-server-api/#presence))
//!
//! A server speaks only for its own users, and is heard of those who share a room with one of ours. What a state or a
//! status message changes is written and told; that a user is still what they were is written now and then, since who is
//! not heard of for long counts as offline. Nothing else has an effect: a user who is active now and then changes nothing.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use ruma::{Int, OwnedServerName, OwnedUserId, ServerName};
use serde::Deserialize;
use serde_json::value::RawValue;
use tombolo_platform::World;

use super::{briefly, read, stored, tell_locals};
use crate::{
    config::Config,
    flows::ours::Ours,
    objects::user_sync::messages::{MOST_STATUS, Presence, PresenceState},
    stores::{
        presences::{self, Stored},
        room_members,
    },
};

/// How many EDUs of a transaction, and how many users of one, have an effect.
pub const MOST_EDUS: usize = 10;
const MOST_USERS: usize = 100;
/// How old what was written of a user may be who has not changed (ms).
const REFRESHED: u64 = 1_200_000;
/// How many changes of a server's users are looked at in so long (ms), by one isolate, whether or not they share a room;
/// what is more is lost. Of how many servers that is counted; beyond that, it begins anew.
const MOST_CHANGES: usize = 600;
const WINDOW: u64 = 60_000;
const MOST_SERVERS: usize = 5_000;
/// When it is looked again whether a user shares a room, who may have come just now.
const AGAIN: Duration = Duration::from_secs(4);

/// How many changes of each server were looked at, and since when (ms).
#[derive(Default)]
struct Taken(RefCell<BTreeMap<OwnedServerName, (u64, usize)>>);

/// The content of `m.presence`.
#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    push: Vec<&'a RawValue>,
}

/// One user of it.
#[derive(Deserialize)]
struct Pushed {
    user_id: OwnedUserId,
    presence: String,
    last_active_ago: Option<Int>,
    status_msg: Option<String>,
    #[serde(default)]
    currently_active: bool,
}

/// Takes the presence of a transaction, and does not wait for long. What fails is lost: the next change replaces it.
pub async fn receive(world: &World, origin: &ServerName, contents: Vec<Box<RawValue>>) {
    if contents.is_empty() {
        return;
    }
    let (taking, origin, now) = (world.clone(), origin.to_owned(), world.now());
    let taken = async move {
        for content in contents {
            if let Err(error) = take_one(&taking, &origin, (&content, now)).await {
                tracing::warn!(%origin, %error, "a presence has no effect");
            }
        }
    };
    briefly(world, taken).await;
}

/// Takes what one EDU tells, which came at that time (ms).
async fn take_one(
    world: &World,
    origin: &ServerName,
    (content, now): (&RawValue, u64),
) -> Result<(), Ours> {
    if !Config::of(world)?.presence {
        return Ok(());
    }
    let strangers = take(world, Some(origin), told(origin, content, now)).await?;
    if !strangers.is_empty() {
        let (again, origin) = (world.clone(), origin.to_owned());
        world.later(async move {
            again.sleep(AGAIN).await;
            if let Err(error) = take(&again, None, strangers).await {
                tracing::info!(%origin, %error, "a presence is not known");
            }
        });
    }
    Ok(())
}

/// What a server tells of its own users, the last of each.
fn told(origin: &ServerName, content: &RawValue, now: u64) -> Vec<Presence> {
    let Ok(Content { push }) = serde_json::from_str(content.get()) else { return Vec::new() };
    let told = push.into_iter().take(MOST_USERS).filter_map(|pushed| {
        let pushed: Pushed = serde_json::from_str(pushed.get()).ok()?;
        let state = PresenceState::of(&pushed.presence)?;
        let is_theirs = pushed.user_id.server_name() == origin;
        let ago = pushed.last_active_ago.map(|ago| i64::from(ago).max(0).unsigned_abs());
        let presence = Presence {
            user: pushed.user_id,
            state,
            status_msg: pushed.status_msg.and_then(shortened),
            active_ts: ago.map(|ago| now.saturating_sub(ago)).filter(|at| *at > 0),
            currently_active: pushed.currently_active && state == PresenceState::Online,
            told_ts: now,
        };
        is_theirs.then(|| (presence.user.clone(), presence))
    });
    told.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// A status message, cut to what is kept of one. A database may end a text at U+0000.
fn shortened(mut text: String) -> Option<String> {
    text.retain(|letter| letter != '\0');
    let mut end = text.len().min(MOST_STATUS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    Some(text).filter(|text| !text.is_empty())
}

/// Writes and tells what changed; answers of whom nothing is known who share no room. The changes count against the
/// origin's, unless they did before.
async fn take(
    world: &World,
    origin: Option<&ServerName>,
    told: Vec<Presence>,
) -> Result<Vec<Presence>, Ours> {
    let known = presences::of_users(world, told.iter().map(|presence| &presence.user)).await?;
    let now = world.now();
    let (mut changed, refreshed) = news(told, &known, now);
    if let Some(origin) = origin {
        changed.truncate(allowed(world, origin, changed.len()));
    }
    let users: Vec<OwnedUserId> =
        changed.iter().chain(&refreshed).map(|presence| presence.user.clone()).collect();
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let sharing = room_members::shared_since(world, &users).await?;
    let shares = |presence: &Presence| sharing.contains_key(&presence.user);
    let (changed, mut strangers): (Vec<_>, Vec<_>) = changed.into_iter().partition(shares);
    let written: Vec<Stored> =
        changed.iter().chain(refreshed.iter().filter(|of| shares(of))).map(stored).collect();
    if !written.is_empty() {
        presences::save(world, &written, false).await?;
    }
    tell(world, changed).await?;
    strangers.retain(|presence| !known.contains_key(&presence.user));
    Ok(strangers)
}

/// How many of so many changes of a server's users are looked at. It counts them.
fn allowed(world: &World, origin: &ServerName, changes: usize) -> usize {
    let (taken, now) = (world.isolate(|_| Taken::default()), world.now());
    let mut taken = taken.0.borrow_mut();
    if taken.len() >= MOST_SERVERS && !taken.contains_key(origin) {
        taken.clear();
    }
    let (since, count) = taken.entry(origin.to_owned()).or_insert((now, 0));
    if since.saturating_add(WINDOW) <= now {
        (*since, *count) = (now, 0);
    }
    let allowed = changes.min(MOST_CHANGES.saturating_sub(*count));
    *count = count.saturating_add(allowed);
    allowed
}

/// What changed, and what is to be written though it did not.
fn news(
    told: Vec<Presence>,
    known: &BTreeMap<OwnedUserId, Stored>,
    now: u64,
) -> (Vec<Presence>, Vec<Presence>) {
    let (mut changed, mut refreshed) = (Vec::new(), Vec::new());
    for presence in told {
        let is_offline = presence.state == PresenceState::Offline;
        match known.get(&presence.user) {
            // Who is not known counts as offline.
            None if is_offline && presence.status_msg.is_none() => {}
            None => changed.push(presence),
            Some(stored) => {
                // Of who counts as offline since nothing was heard, our users were told last what is stored.
                let was = read(stored.clone(), now);
                let same = stored.state == presence.state.as_str()
                    && (was.state, &was.status_msg) == (presence.state, &presence.status_msg);
                if !same {
                    changed.push(presence);
                } else if !is_offline && was.told_ts.saturating_add(REFRESHED) <= now {
                    refreshed.push(presence);
                }
            }
        }
    }
    (changed, refreshed)
}

/// Tells our users who share a room with those who changed.
async fn tell(world: &World, changed: Vec<Presence>) -> Result<(), Ours> {
    if changed.is_empty() {
        return Ok(());
    }
    let users: Vec<OwnedUserId> = changed.iter().map(|presence| presence.user.clone()).collect();
    let news = presences::locals_of(world, &users).await?.into_iter().map(|(local, with)| {
        let of_them = |presence: &&Presence| with.contains(&presence.user);
        let presences: Vec<Presence> = changed.iter().filter(of_them).cloned().collect();
        (local, presences)
    });
    tell_locals(world, news).await;
    Ok(())
}
