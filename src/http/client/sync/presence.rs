//! What does a sync say of its user's presence, and how is that of others shown?
//! ([presence](https://spec.matrix.org/v1.19/client-server-api/#presence))

use serde_json::{Value, json};
use tombolo_platform::World;

use crate::{
    config::Config,
    error::{Result, invalid_param},
    flows::{
        presence,
        sync::{Polling, PresenceUpdate, Updates},
    },
    http::client::tokens,
    objects::user_sync::messages::PresenceState,
};

/// What the parameters `set_presence` and `since` say; `None` where there is no presence.
pub fn polling(
    world: &World,
    set_presence: Option<&str>,
    since: Option<&str>,
) -> Result<Option<Polling>> {
    let unknown = || invalid_param("set_presence is none of offline, online and unavailable");
    let says = set_presence.map(|name| PresenceState::of(name).ok_or_else(unknown)).transpose()?;
    let (since, lacks) = since.and_then(tokens::presence_of).unzip();
    let (lacks, asked) = (lacks.flatten(), false);
    Ok(Config::of(world)?.presence.then_some(Polling { says, since, lacks, asked }))
}

/// The events of users' presence.
pub fn events(update: &PresenceUpdate, now: u64) -> Vec<Value> {
    let event = |of| {
        let content = presence::content(of, now);
        json!({ "type": "m.presence", "sender": of.user, "content": content })
    };
    update.presences.iter().map(event).collect()
}

/// The token with which the client goes on.
pub fn token(updates: &Updates) -> String {
    let token = tokens::of_stream(updates.next, updates.messages_upto);
    tokens::with_presence(token, updates.presence.next, updates.presence.lacks)
}
