//! Which position does a pagination or sync token name?
//! ([pagination](https://spec.matrix.org/v1.19/client-server-api/#pagination))
//!
//! `t<n>` is a position in the room, as `/messages` and `prev_batch` give it; `s<n>` a position in the user's stream,
//! as `/sync` gives it. `s<n>_<m>` is one where messages to the device were given up to `m` only: there were too many for
//! one answer. What follows a `p` is up to when (ms) its client knows the presence of others; in `p<n>_<m>`, `m` is from
//! when on D1 is still to be asked for it. `d<n>` is up to where messages to the dehydrated device were given, `u<n>` from where on a page of subscriptions to threads goes back.
//! `c<m>_<n>` is a position in the user's stream as a sliding sync gives it, and what was sent over the connection by then.

#[cfg(test)]
mod tests;

use ruma::RoomId;
use tombolo_platform::{AskError, MAX_INTEGER, World};

use crate::{
    error::{Result, invalid_param},
    http::auth::{Session, user_object},
    objects::{
        room::messages::Position,
        user_sync::messages::{ConnectionPos, Refusal, RoomPosition, StreamPosition},
    },
};

/// A token, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// Everything of the user's stream up to here, but for messages to the device.
    Sync(StreamPosition),
    /// A position in the room.
    Room(Position),
}

impl Token {
    /// Reads a token; nothing else but its numbers follows its letter.
    pub fn parse(token: &str) -> Option<Self> {
        match token.as_bytes().first()? {
            b's' => Some(Self::Sync(of_sync(token)?.0)),
            b't' => Some(Self::Room(number(token.get(1..)?)?)),
            b'c' => Some(Self::Sync(of_sliding(token)?.at)),
            _ => None,
        }
    }
}

fn of_sync(token: &str) -> Option<(StreamPosition, StreamPosition)> {
    let numbers = token.strip_prefix('s')?;
    let (numbers, heard) = numbers.split_once('p').map_or((numbers, None), |(n, p)| (n, Some(p)));
    if heard.is_some_and(|heard| of_presence(heard).is_none()) {
        return None;
    }
    match numbers.split_once('_') {
        Some((position, messages)) => Some((number(position)?, number(messages)?)),
        None => number(numbers).map(|position| (position, position)),
    }
}

fn of_sliding(token: &str) -> Option<ConnectionPos> {
    let (id, at) = token.strip_prefix('c')?.split_once('_')?;
    Some(ConnectionPos { id: number(id)?, at: number(at)? })
}

fn number(digits: &str) -> Option<i64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| is_number && *number < MAX_INTEGER)
}

/// The token of a position in a room.
pub fn of_room(position: Position) -> String {
    format!("t{position}")
}

/// The token of a position in a user's stream. `messages` is up to where messages to the device were given, if not all.
pub fn of_stream(position: StreamPosition, messages: Option<StreamPosition>) -> String {
    match messages {
        Some(messages) => format!("s{position}_{messages}"),
        None => format!("s{position}"),
    }
}

/// Up to when the client of a sync token knows the presence of others (ms), if it knows it, and from when on D1 is still to
/// be asked for it, if it is.
pub fn presence_of(token: &str) -> Option<(u64, Option<u64>)> {
    of_presence(token.split_once('p')?.1)
}

fn of_presence(numbers: &str) -> Option<(u64, Option<u64>)> {
    let time = |digits| u64::try_from(number(digits)?).ok();
    match numbers.split_once('_') {
        Some((heard, lacks)) => Some((time(heard)?, Some(time(lacks)?))),
        None => Some((time(numbers)?, None)),
    }
}

/// The same token, of a client that knows so much of the presence of others.
pub fn with_presence(token: String, heard: Option<u64>, lacks: Option<u64>) -> String {
    match (heard, lacks) {
        (Some(heard), Some(lacks)) => format!("{token}p{heard}_{lacks}"),
        (Some(heard), None) => format!("{token}p{heard}"),
        (None, _) => token,
    }
}

/// The position in the user's stream that a sync token names, and up to which its device has got its messages.
pub fn stream_positions(token: &str) -> Result<(StreamPosition, StreamPosition)> {
    of_sync(token).ok_or_else(|| invalid_param("This is no sync token"))
}

/// The token of a position in a connection.
pub fn of_connection(pos: ConnectionPos) -> String {
    format!("c{}_{}", pos.id, pos.at)
}

/// The position in a connection that a token names.
pub fn connection_pos(token: &str) -> Result<ConnectionPos> {
    of_sliding(token).ok_or_else(|| Refusal::UnknownPos.into())
}

/// The token of a position up to which messages to the dehydrated device were given.
pub fn of_batch(position: StreamPosition) -> String {
    format!("d{position}")
}

/// The position that such a token names.
pub fn batch_position(token: &str) -> Result<StreamPosition> {
    let position = token.strip_prefix('d').and_then(number);
    position.ok_or_else(|| invalid_param("This is no token of such messages"))
}

/// The token of a position in a user's stream from which a page of subscriptions to threads goes back.
pub fn of_subscriptions(position: StreamPosition) -> String {
    format!("u{position}")
}

/// The position at which such a page begins or ends: sync tokens are taken, too.
pub fn subscriptions_position(token: &str) -> Result<StreamPosition> {
    let position = match token.strip_prefix('u') {
        Some(digits) => number(digits),
        None => of_sync(token).map(|(position, _)| position),
    };
    position.ok_or_else(|| invalid_param("This is no token of subscriptions"))
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

/// The same, of a token that may be left out; an empty one counts as left out.
pub async fn place_if(
    world: &World,
    caller: &Session,
    room_id: &RoomId,
    token: Option<&str>,
) -> Result<Option<Position>> {
    match token.filter(|token| !token.is_empty()) {
        Some(token) => place(world, caller, room_id, token).await.map(Some),
        None => Ok(None),
    }
}
