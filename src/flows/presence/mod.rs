//! Who is told of a user's presence, and what is taken of what other servers tell?
//! ([presence](https://spec.matrix.org/v1.19/client-server-api/#presence),
//! [between servers](https://spec.matrix.org/v1.19/server-server-api/#presence))
//!
//! The user's object says when there is something to tell, and how often that may be; rooms are not asked. D1's copies
//! say who shares a room: those of the smallest rooms are told first, and of very many only they. D1 is told before
//! anybody else, so that who learns nothing finds it there.

mod incoming;
mod introduction;
#[cfg(test)]
mod tests;

pub use self::{
    incoming::{MOST_EDUS, receive},
    introduction::introduce,
};

use std::time::Duration;

use futures_util::{
    StreamExt,
    future::{Either, select},
    stream,
};
use ruma::{OwnedServerName, OwnedUserId, UserId};
use serde_json::{Value, json, value::to_raw_value};
use tombolo_platform::{AskError, World};

use crate::{
    config::Config,
    flows::ours::Ours,
    objects::{
        destination::messages::OweEdu,
        destination_object, user_object,
        user_sync::messages::{
            DuePresence, Presence, PresenceNews, PresenceNow, PresenceState, PresenceUntold,
            TellPresence,
        },
    },
    stores::presences::{self, STALE, Stored},
};

/// How many are told at once.
const AT_ONCE: usize = 20;
/// How long a request or an alarm waits until everybody is told: what takes longer goes on beside it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a presence is worth sending (ms); it costs no row, since one that waits longer is dropped.
const WORTH: u64 = 300_000;
/// Up to how many servers are told at once. More are told with what they get next, within a minute.
const FEW: usize = 20;

/// Runs the alarm of a user's object: tells what has changed by the time.
pub async fn due(world: &World, user: &UserId) -> Result<(), Ours> {
    if !Config::of(world)?.presence {
        return Ok(());
    }
    match world.ask(&user_object(user), &DuePresence {}).await {
        Ok(Some(due)) => tell_now(world, due).await,
        Ok(None) | Err(AskError::Refused(_)) => {}
        Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause)),
    }
    Ok(())
}

/// Tells others, and does not wait for long.
pub async fn tell_now(world: &World, told: TellPresence) {
    let telling = world.clone();
    briefly(world, async move { tell(&telling, &told).await }).await;
}

/// Does something that nobody waits for for long.
async fn briefly(world: &World, doing: impl Future<Output = ()> + 'static) {
    let waiting = select(Box::pin(doing), Box::pin(world.sleep(PATIENCE)));
    if let Either::Right((_, doing)) = waiting.await {
        world.later(doing);
    }
}

/// Tells others, beside a request.
pub fn tell_meanwhile(world: &World, told: TellPresence) {
    let telling = world.clone();
    world.later(async move { tell(&telling, &told).await });
}

/// Tells D1, then our users and other servers. Where D1 fails, the user's object has it told again.
async fn tell(world: &World, told: &TellPresence) {
    let user = &told.presence.user;
    if let Err(error) = tell_all(world, told).await {
        tracing::warn!(%user, %error, "a presence was not told");
        let untold = PresenceUntold { told_ts: told.presence.told_ts };
        // Where that fails too, others learn of it with the next change.
        if let Err(error) = world.ask(&user_object(user), &untold).await {
            tracing::warn!(%user, %error, "a presence is not told again");
        }
    }
}

async fn tell_all(world: &World, told: &TellPresence) -> Result<(), Ours> {
    let presence = &told.presence;
    presences::save(world, &[stored(presence)], true).await?;
    if !told.again {
        let locals = presences::locals(world, &presence.user).await?;
        let news = locals.into_iter().map(|local| (local, vec![presence.clone()]));
        tell_locals(world, news).await;
    }
    let servers = presences::servers(world, &presence.user).await?;
    tell_servers(world, servers, presence.user.as_str(), std::slice::from_ref(presence)).await
}

/// Tells our users. Whom it does not reach asks D1's copy, if they are away; else they hear of the next change.
async fn tell_locals(world: &World, news: impl IntoIterator<Item = (OwnedUserId, Vec<Presence>)>) {
    let telling =
        stream::iter(news).for_each_concurrent(AT_ONCE, |(local, presences)| async move {
            let told = world.ask(&user_object(&local), &PresenceNews { presences }).await;
            if let Err(AskError::Unreachable(cause)) = told {
                tracing::info!(user = %local, cause, "a user does not hear of a presence");
            }
        });
    telling.await;
}

/// Has other servers told of some of our users, each in one EDU. It takes the place of one of the same users, or of those
/// in the same room, that is not sent yet: `whose` names them.
async fn tell_servers(
    world: &World,
    servers: Vec<OwnedServerName>,
    whose: &str,
    presences: &[Presence],
) -> Result<(), Ours> {
    if presences.is_empty() {
        return Ok(());
    }
    let now = world.now();
    let push: Vec<Value> = presences.iter().map(|presence| pushed(presence, now)).collect();
    let edu = to_raw_value(&json!({ "edu_type": "m.presence", "content": { "push": push } }))?;
    let owe = &OweEdu {
        key: format!("presence {whose}"),
        edu,
        until: Some(now.saturating_add(WORTH)),
        durable: false,
        unhurried: servers.len() > FEW,
    };
    let telling = stream::iter(servers).for_each_concurrent(AT_ONCE, |server| async move {
        if let Err(error) = world.ask(&destination_object(&server), owe).await {
            tracing::info!(%server, %error, "a server does not hear of a presence");
        }
    });
    telling.await;
    Ok(())
}

/// A presence as other servers are told it.
fn pushed(presence: &Presence, now: u64) -> Value {
    let mut pushed = content(presence, now);
    pushed["user_id"] = json!(presence.user);
    // Servers need it, whether or not it is known.
    if pushed["last_active_ago"].is_null() {
        pushed["last_active_ago"] = json!(0);
    }
    pushed
}

/// The content of an `m.presence` event.
pub fn content(presence: &Presence, now: u64) -> Value {
    let mut content = json!({ "presence": presence.state.as_str() });
    if let Some(active_ts) = presence.active_ts {
        content["last_active_ago"] = json!(now.saturating_sub(active_ts));
    }
    if let Some(status_msg) = &presence.status_msg {
        content["status_msg"] = json!(status_msg);
    }
    if presence.state == PresenceState::Online {
        content["currently_active"] = json!(presence.currently_active);
    }
    content
}

/// The presence of a user who shares a room with who asks.
pub async fn of(world: &World, user: &UserId) -> Result<Presence, Ours> {
    let offline = || Presence {
        user: user.to_owned(),
        state: PresenceState::Offline,
        status_msg: None,
        active_ts: None,
        currently_active: false,
        told_ts: 0,
    };
    if user.server_name() == Config::of(world)?.server_name {
        return match world.ask(&user_object(user), &PresenceNow {}).await {
            Ok(presence) => Ok(presence),
            Err(AskError::Refused(_)) => Ok(offline()),
            Err(AskError::Unreachable(cause)) => Err(Ours::Unreachable(cause)),
        };
    }
    let user = user.to_owned();
    let known = presences::of_users(world, [&user]).await?.remove(&user);
    Ok(known.map_or_else(offline, |stored| read(stored, world.now())))
}

/// A presence as D1 has it; who was not heard of for long is offline.
pub fn read(stored: Stored, now: u64) -> Presence {
    let Stored { user, state, status_msg, active_ts, currently_active, told_ts } = stored;
    let is_old = told_ts.saturating_add(STALE) <= now;
    let state = PresenceState::of(&state).filter(|_| !is_old).unwrap_or_default();
    let currently_active = currently_active && state == PresenceState::Online;
    Presence { user, state, status_msg, active_ts, currently_active, told_ts }
}

/// A presence as D1 gets it.
fn stored(presence: &Presence) -> Stored {
    let Presence { user, state, status_msg, active_ts, currently_active, told_ts } =
        presence.clone();
    let state = state.as_str().to_owned();
    Stored { user, state, status_msg, active_ts, currently_active, told_ts }
}
