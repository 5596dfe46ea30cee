//! What travels for end-to-end encryption: keys that are asked for, changes that are told, and messages to devices.

pub mod claim;
pub mod lists;
pub mod query;
pub mod removed;
pub mod telling;
pub mod to_device;

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::{Either, select};
use ruma::{OwnedServerName, OwnedUserId};
use tombolo_platform::{AskError, World};

use crate::{config::Config, flows::ours::Ours, remote::RemoteError};

/// How many users or servers are asked at once.
const AT_ONCE: usize = 16;

/// How long another server may take for an answer, whatever a client asks for.
const LONGEST: Duration = Duration::from_secs(10);

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
    let time = Duration::from_millis(until.saturating_sub(world.now()));
    match select(Box::pin(answer), Box::pin(world.sleep(time))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(RemoteError::Unreachable("it takes too long".to_owned())),
    }
}

/// An object that should not have refused, or did not answer.
pub fn failed<R: std::fmt::Debug>(error: AskError<R>) -> Ours {
    match error {
        AskError::Refused(refusal) => Ours::Broken(format!("{refusal:?}")),
        AskError::Unreachable(cause) => Ours::Unreachable(cause),
    }
}
