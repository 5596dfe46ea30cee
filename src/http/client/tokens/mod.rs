//! Which position does a pagination or sync token name?
//! ([pagination](https://spec.matrix.org/v1.19/client-server-api/#pagination))
//!
//! `t<n>` is a position in the room, as `/messages` and `prev_batch` give it; `s<n>` a position in the user's stream,
//! as `/sync` gives it.

#[cfg(test)]
mod tests;

use ruma::RoomId;
use tombolo_platform::{AskError, MAX_INTEGER, World};

use crate::{
    error::{Result, invalid_param},
    http::auth::{Session, user_object},
    objects::{
        room::messages::Position,
        user_sync::messages::{Refusal, RoomPosition, StreamPosition},
    },
};

/// A token, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// Everything of the user's stream up to here.
    Sync(StreamPosition),
    /// A position in the room.
    Room(Position),
}

impl Token {
    /// Reads a token; nothing else but digits follows its letter.
    pub fn parse(token: &str) -> Option<Self> {
        let digits = token.get(1..).filter(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        })?;
        let number = digits.parse().ok().filter(|number| *number < MAX_INTEGER)?;
        match token.as_bytes().first()? {
            b's' => Some(Self::Sync(number)),
            b't' => Some(Self::Room(number)),
            _ => None,
        }
    }
}

/// The token of a position in a room.
pub fn of_room(position: Position) -> String {
    format!("t{position}")
}

/// The token of a position in a user's stream.
pub fn of_stream(position: StreamPosition) -> String {
    format!("s{position}")
}

/// The position in the user's stream that a sync token names.
pub fn stream_position(token: &str) -> Result<StreamPosition> {
    match Token::parse(token) {
        Some(Token::Sync(position)) => Ok(position),
        _ => Err(invalid_param("This is no sync token")),
    }
}

/// The position in a room that a client's token names.
pub async fn place(
    world: &World,
    caller: &Session,
    room_id: &RoomId,
    token: &str,
) -> Result<Position> {
    match Token::parse(token).ok_or_else(|| invalid_param("No such pagination token"))? {
        Token::Room(position) => Ok(position),
        Token::Sync(at) => {
            let position = RoomPosition { room_id: room_id.to_owned(), at };
            match world.ask(&user_object(&caller.user), &position).await {
                Ok(position) => Ok(position),
                // At that token the user knew nothing of the room: their history of it begins later.
                Err(AskError::Refused(Refusal::NotFound)) => Ok(0),
                Err(error) => Err(error.into()),
            }
        }
    }
}
