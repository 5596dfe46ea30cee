//! What travels for end-to-end encryption: keys that are asked for, changes that are told, and messages to devices.

pub mod claim;
mod copies;
pub mod lists;
pub mod query;
pub mod removed;
pub mod telling;
#[cfg(test)]
mod tests;
pub mod to_device;

use std::{collections::BTreeMap, fmt, time::Duration};

use futures_util::future::{Either, select};
use ruma::{OwnedServerName, OwnedUserId};
use tombolo_platform::{AskError, Limits, World};

use crate::{config::Config, flows::ours::Ours, remote::RemoteError, stores::accounts};

/// How many users or servers are asked at once.
const AT_ONCE: usize = 16;

/// How long another server may take for an answer, whatever a client asks for.
const LONGEST: Duration = Duration::from_secs(10);

/// What is read of another server's answer.
const LIMITS: Limits = Limits { time: LONGEST, bytes: 8 << 20 };

/// How many users are looked for without asking whether they are there.
const FEW: usize = 20;

/// What concerns users, by where they live.
pub struct Homes<T> {
    pub ours: BTreeMap<OwnedUserId, T>,
    pub others: BTreeMap<OwnedServerName, BTreeMap<OwnedUserId, T>>,
}

impl<T> Homes<T> {
    pub fn of(world: &World, users: BTreeMap<OwnedUserId, T>) -> Result<Self, Ours> {
        let config = Config::of(world)?;
        let mut homes = Self { ours: BTreeMap::new(), others: BTreeMap::new() };
        for (user, of_user) in users {
            if user.server_name() == config.server_name {
                homes.ours.insert(user, of_user);
            } else {
                let server = user.server_name().to_owned();
                homes.others.entry(server).or_default().insert(user, of_user);
            }
        }
        Ok(homes)
    }
}

/// Those of these users of ours that are there. Of a few nobody asks: they have no keys and no devices if they are not
/// there. Of many it is asked at once, so that not an object is asked for each name that somebody thinks of.
async fn existing<T>(
    world: &World,
    mut users: BTreeMap<OwnedUserId, T>,
) -> Result<BTreeMap<OwnedUserId, T>, Ours> {
    if users.len() > FEW {
        let names: Vec<&str> = users.keys().map(|user| user.localpart()).collect();
        let existing = accounts::existing(world, &names).await?;
        users.retain(|user, _| existing.contains(user.localpart()));
    }
    Ok(users)
}

/// When a client stops waiting for other servers, by the time that it gives (ms).
fn deadline(world: &World, timeout: Option<Duration>) -> u64 {
    let time = timeout.map_or(LONGEST, |timeout| timeout.min(LONGEST));
    world.now() + u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Waits for another server until then (ms).
async fn in_time<T>(
    world: &World,
    until: u64,
    answer: impl Future<Output = Result<T, RemoteError>>,
) -> Result<T, RemoteError> {
    let late = || Err(RemoteError::Unreachable("it takes too long".to_owned()));
    let time = Duration::from_millis(until.saturating_sub(world.now()));
    if time.is_zero() {
        return late();
    }
    match select(Box::pin(answer), Box::pin(world.sleep(time))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => late(),
    }
}

/// An object that should not have refused, or did not answer.
pub fn failed<R: fmt::Debug>(error: AskError<R>) -> Ours {
    match error {
        AskError::Refused(refusal) => Ours::Broken(format!("{refusal:?}")),
        AskError::Unreachable(cause) => Ours::Unreachable(cause),
    }
}

/// What an object answered; `None` where it refused, since who is gone has nothing to say, or to be told.
fn unless_gone<T, R: fmt::Debug>(answer: Result<T, AskError<R>>) -> Result<Option<T>, Ours> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(AskError::Refused(_)) => Ok(None),
        Err(AskError::Unreachable(cause)) => Err(Ours::Unreachable(cause)),
    }
}
