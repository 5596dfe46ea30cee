//! What can a client ask? ([Client-Server API](https://spec.matrix.org/v1.19/client-server-api/))
//!
//! One file per resource; each registers its own routes. What is built nowhere is `404 M_UNRECOGNIZED`.

pub mod account_data;
pub mod aliases;
pub mod create_room;
pub mod devices;
pub mod discovery;
pub mod events;
pub mod filters;
pub mod login;
pub mod members;
pub mod membership;
pub mod messages;
pub mod profiles;
pub mod push_rules;
pub mod receipts;
pub mod register;
pub mod state;
pub mod sync;
#[cfg(test)]
mod tests;
pub mod tokens;
pub mod typing;
pub mod usernames;

use ruma::{RoomId, UserId};
use tombolo_platform::{AskError, Message, World};

use super::{auth::Session, router::Router};
use crate::{
    error::{Error, Result, forbidden},
    flows::room,
    objects::room::{RoomClass, messages::Refusal},
};

/// Registers everything a client can ask.
pub fn routes(router: &mut Router) {
    discovery::routes(router);
    register::routes(router);
    login::routes(router);
    devices::routes(router);
    create_room::routes(router);
    membership::routes(router);
    events::routes(router);
    state::routes(router);
    messages::routes(router);
    members::routes(router);
    aliases::routes(router);
    profiles::routes(router);
    account_data::routes(router);
    filters::routes(router);
    receipts::routes(router);
    typing::routes(router);
    push_rules::routes(router);
    sync::routes(router);
}

/// Asks a room. To a client, a room that is not here is one they are not in.
pub async fn ask_room<M: Message<Class = RoomClass, Refusal = Refusal>>(
    world: &World,
    room_id: &RoomId,
    message: &M,
) -> Result<M::Reply> {
    match world.ask(&room(room_id), message).await {
        Err(AskError::Refused(Refusal::Absent)) => Err(not_in_room()),
        answer => Ok(answer?),
    }
}

/// What a user learns of a room they are not in, whether it exists or not.
pub fn not_in_room() -> Error {
    forbidden("You are not in this room")
}

/// Refused unless the caller is this user.
pub fn must_be(caller: &Session, user: &UserId) -> Result<()> {
    if caller.user == user {
        Ok(())
    } else {
        Err(forbidden("You may not do this for another user"))
    }
}
