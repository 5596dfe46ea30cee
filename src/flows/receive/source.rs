//! One server, asked for what one room lacks.

use ruma::{OwnedEventId, OwnedServerName, RoomId};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tombolo_platform::{AskError, World};
use tombolo_protocol::room_version::RoomVersion;

use super::verify::verified;
use crate::{
    flows::ours::Ours,
    objects::{
        room::messages::{Purpose, Receive, Received, Refusal},
        room_object,
    },
    remote::{
        RemoteError,
        client::{self, Ask},
    },
};

/// One room, and one server that is asked for its events.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub world: &'a World,
    pub origin: &'a OwnedServerName,
    pub room_id: &'a RoomId,
    pub version: &'static RoomVersion,
    /// Whether the server was never in the room, as far as we know: then the state that it gives counts for nothing.
    pub stranger: bool,
    /// When to stop asking the server (ms).
    pub until: u64,
}

impl Source<'_> {
    /// Asks the server, unless time is up.
    pub async fn ask<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<T, RemoteError> {
        self.in_time()?;
        client::ask(self.world, self.origin, ask).await
    }

    /// Verifies events and gives them to the room, which then judges the parked event `again` anew.
    pub async fn give(
        &self,
        purpose: Purpose,
        events: &[Box<RawValue>],
        again: &OwnedEventId,
    ) -> Result<Received, Failure> {
        let events = verified(self.world, self.version, events).await;
        let (origin, again) = (self.origin.clone(), vec![again.clone()]);
        let receive = Receive { origin, events, purpose, again };
        Ok(self.world.ask(&room_object(self.room_id), &receive).await?)
    }

    /// Fails where time is up.
    pub fn in_time(&self) -> Result<(), RemoteError> {
        if self.world.now() < self.until {
            return Ok(());
        }
        Err(RemoteError::Unreachable("it takes too long".to_owned()))
    }
}

/// Why a room does not get the events it lacks.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Remote(RemoteError),
    /// The room refuses the events, for example because we left it meanwhile.
    #[error("{0}")]
    Room(Refusal),
    #[error("{0}")]
    Ours(Ours),
}

impl<E: Into<Ours>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Ours(error.into())
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        Self::Remote(error)
    }
}

impl From<AskError<Refusal>> for Failure {
    fn from(error: AskError<Refusal>) -> Self {
        match error {
            AskError::Refused(refusal) => Self::Room(refusal),
            AskError::Unreachable(cause) => Self::Ours(Ours::Unreachable(cause)),
        }
    }
}
