//! Rooms: how they are made, entered and left, what is said and read in them, and what they are called.

pub mod aliases;
mod by_time;
mod context;
pub mod create_room;
pub mod events;
mod hierarchy;
pub mod members;
pub mod membership;
pub mod messages;
mod public_rooms;
pub mod receipts;
mod relations;
pub mod state;
pub mod thread_subscriptions;
mod threads;
pub mod typing;
mod upgrade;

use ruma::{RoomId, UserId};
use tombolo_platform::{AskError, Message, World};
use tombolo_protocol::membership::Membership;

use crate::{
    error::{Error, Result, forbidden, not_found},
    http::router::Router,
    objects::{
        room::{
            RoomClass,
            messages::{MembershipOf, Refusal},
        },
        room_object,
    },
};

pub fn routes(router: &mut Router) {
    create_room::routes(router);
    membership::routes(router);
    events::routes(router);
    state::routes(router);
    messages::routes(router);
    context::routes(router);
    members::routes(router);
    aliases::routes(router);
    receipts::routes(router);
    relations::routes(router);
    by_time::routes(router);
    threads::routes(router);
    thread_subscriptions::routes(router);
    typing::routes(router);
    upgrade::routes(router);
    public_rooms::routes(router);
    hierarchy::routes(router);
}

/// Asks a room. To a client, a room that is unknown here is one they are not in.
pub async fn ask_room<M: Message<Class = RoomClass, Refusal = Refusal>>(
    world: &World,
    room_id: &RoomId,
    message: &M,
) -> Result<M::Reply> {
    match world.ask(&room_object(room_id), message).await {
        Err(AskError::Refused(Refusal::Absent)) => Err(not_in_room()),
        answer => Ok(answer?),
    }
}

/// Refuses unless the user is joined to the room.
pub async fn must_be_joined(world: &World, user: &UserId, room_id: &RoomId) -> Result<()> {
    if is_joined(world, user, room_id).await? { Ok(()) } else { Err(not_in_room()) }
}

/// Whether the user is joined to the room; to a room that is unknown here they are not.
pub async fn is_joined(world: &World, user: &UserId, room_id: &RoomId) -> Result<bool> {
    let ask = MembershipOf { user: user.to_owned(), live: false };
    match world.ask(&room_object(room_id), &ask).await {
        Err(AskError::Refused(Refusal::Absent)) => Ok(false),
        membership => Ok(membership? == Some(Membership::Join)),
    }
}

/// The error for an event that is unknown here, or that the user may not see.
pub fn no_event() -> Error {
    not_found("There is no such event, or it is not for you")
}

/// The error for a room that the user is not in, whether or not the room exists.
pub fn not_in_room() -> Error {
    forbidden("You are not in this room")
}
