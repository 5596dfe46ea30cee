//! What is wanted of a room, by all lists that show it and by its name?

use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};

use crate::objects::{room::messages::RequiredState, user_sync::stream::Last};

/// A room that a list shows, or that the client names.
pub struct InScope {
    pub room_id: OwnedRoomId,
    pub last: Last,
    /// The lists that show it.
    pub lists: Vec<String>,
    /// Whether the client names it.
    pub subscribed: bool,
    pub config: Config,
}

impl InScope {
    /// A room of which nothing is wanted yet.
    pub fn of(room: &OwnedRoomId, last: &Last) -> Self {
        let (room_id, last, config) = (room.clone(), last.clone(), Config::default());
        Self { room_id, last, lists: Vec::new(), subscribed: false, config }
    }
}

/// What all that names a room wants of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    #[serde(rename = "l")]
    pub limit: u32,
    /// What any of these includes is wanted.
    #[serde(rename = "s")]
    pub required: Vec<RequiredState>,
}

impl Config {
    /// Wants what another one does, too.
    pub fn add(&mut self, limit: u32, required: &RequiredState) {
        self.limit = self.limit.max(limit);
        if let Err(place) = self.required.binary_search(required) {
            self.required.insert(place, required.clone());
        }
    }
}
