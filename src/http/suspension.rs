//! What may a suspended user not do?
//! ([account suspension](https://spec.matrix.org/v1.19/client-server-api/#account-suspension))
//!
//! They read, and take back what they did: they leave rooms, redact their own events, log out. What makes an event, a
//! name, a status message or an address that others see is refused, here for every endpoint; rooms and flows know nothing
//! of it. Receipts, typing, whether they are online, keys and media are none of these.

use bytes::Bytes;
use http::{Method, Request};
use percent_encoding::percent_decode_str;
use ruma::{EventId, RoomId, UserId};
use tombolo_platform::{AskError, World};
use tombolo_protocol::{event::fields, json::ByKey};

use crate::{
    error::{Result, suspended},
    objects::{
        room::messages::{Asker, EventById},
        room_object,
    },
};

const REDACTION: &str = "m.room.redaction";
const MEMBER: &str = "m.room.member";

/// What a request is, to a suspended user.
#[derive(Debug, PartialEq, Eq)]
enum Deed<'a> {
    Allowed,
    Forbidden,
    /// Redacting an event, which the body names where the path does not: allowed if the event is the user's own.
    Redaction(&'a str, Option<&'a str>),
    /// Setting the membership of a user: allowed if the user leaves.
    Membership(&'a str),
    /// Setting the user's presence: allowed without a status message, which is as much their own words as a name is.
    Presence,
}

/// Refuses what the user may not do while they are suspended.
pub async fn check(world: &World, user: &UserId, request: &Request<Bytes>) -> Result<()> {
    let path = request
        .uri()
        .path()
        .split('/')
        .skip(1)
        .map(|part| percent_decode_str(part).decode_utf8_lossy());
    let path: Vec<_> = path.collect();
    let path: Vec<&str> = path.iter().map(|part| &**part).collect();
    let permitted = match deed(request.method(), &path) {
        Deed::Allowed => true,
        Deed::Forbidden => false,
        Deed::Redaction(room, Some(event)) => is_own(world, user, room, event).await?,
        Deed::Redaction(room, None) => match named(request, "redacts") {
            Some(event) => is_own(world, user, room, &event).await?,
            None => false,
        },
        Deed::Membership(of) => {
            user == of && named(request, "membership").as_deref() == Some("leave")
        }
        Deed::Presence => named(request, "status_msg").is_none_or(|text| text.is_empty()),
    };
    if permitted { Ok(()) } else { Err(suspended()) }
}

/// What a method and the parts of a path are.
fn deed<'a>(method: &Method, path: &[&'a str]) -> Deed<'a> {
    let ["_matrix", "client", _, rest @ ..] = path else { return Deed::Allowed };
    // A proposal's endpoint has its name before what it will be called.
    let rest = match rest {
        [proposal, rest @ ..] if proposal.contains('.') => rest,
        rest => rest,
    };
    match (method.as_str(), rest) {
        ("POST", ["createRoom"] | ["join" | "knock", _]) => Deed::Forbidden,
        ("POST", ["rooms", _, "join" | "invite" | "kick" | "ban" | "unban" | "upgrade"]) => {
            Deed::Forbidden
        }
        ("PUT", ["rooms", room, "redact", event, _]) => Deed::Redaction(room, Some(event)),
        ("PUT", ["rooms", room, "send", REDACTION, _]) => Deed::Redaction(room, None),
        ("PUT", ["rooms", _, "state", MEMBER, of]) => Deed::Membership(of),
        ("PUT", ["rooms", _, "send" | "state" | "delayed_event", ..]) => Deed::Forbidden,
        ("PUT" | "DELETE" | "PATCH" | "POST", ["profile", ..]) => Deed::Forbidden,
        ("PUT", ["presence", ..]) => Deed::Presence,
        // A deleted alias leaves the room's canonical ones by an event of the user's.
        ("PUT" | "DELETE", ["directory", ..]) => Deed::Forbidden,
        _ => Deed::Allowed,
    }
}

/// A text in the body of a request.
fn named(request: &Request<Bytes>, name: &str) -> Option<String> {
    // Of duplicate keys the last one wins, as where the body is read for what it asks.
    let body: ByKey = serde_json::from_slice(request.body()).ok()?;
    serde_json::from_str(body.get(name)?.get()).ok()
}

/// Whether an event is the user's own. One that the user cannot see is not.
async fn is_own(world: &World, user: &UserId, room: &str, event: &str) -> Result<bool> {
    let (Ok(room), Ok(event)) = (RoomId::parse(room), EventId::parse(event)) else {
        return Ok(false);
    };
    let ask = EventById::of(event, Asker::User(user.to_owned()));
    match world.ask(&room_object(&room), &ask).await {
        Ok(event) => {
            let [sender] = fields(&event, ["sender"]);
            let sender =
                sender.and_then(|sender| serde_json::from_str::<String>(sender.get()).ok());
            Ok(sender.is_some_and(|sender| *user == *sender))
        }
        Err(AskError::Refused(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(method: &Method, path: &'a str) -> Deed<'a> {
        deed(method, &path.split('/').skip(1).collect::<Vec<_>>())
    }

    #[test]
    fn what_others_see_is_forbidden_at_every_path_it_has() {
        for path in [
            "createRoom",
            "join/!r",
            "knock/!r",
            "rooms/!r/join",
            "rooms/!r/invite",
            "rooms/!r/ban",
        ] {
            for version in ["r0", "v1", "v3", "unstable", "unstable/org.example.msc1"] {
                let path = format!("/_matrix/client/{version}/{path}");
                assert_eq!(of(&Method::POST, &path), Deed::Forbidden, "{path}");
            }
        }
        for path in [
            "rooms/!r/send/m.room.message/1",
            "rooms/!r/state/t",
            "rooms/!r/state/t/",
            "profile/@u/displayname",
        ] {
            let path = format!("/_matrix/client/v3/{path}");
            assert_eq!(of(&Method::PUT, &path), Deed::Forbidden, "{path}");
            assert_eq!(of(&Method::GET, &path), Deed::Allowed, "{path}");
        }
    }

    #[test]
    fn what_takes_back_is_looked_at_and_the_rest_allowed() {
        let of = |path| of(&Method::PUT, path);
        assert_eq!(
            of("/_matrix/client/v3/rooms/!r/redact/$e/1"),
            Deed::Redaction("!r", Some("$e"))
        );
        assert_eq!(
            of("/_matrix/client/v3/rooms/!r/send/m.room.redaction/1"),
            Deed::Redaction("!r", None)
        );
        assert_eq!(
            of("/_matrix/client/v3/rooms/!r/state/m.room.member/@u"),
            Deed::Membership("@u")
        );
        assert_eq!(of("/_matrix/client/v3/user/@u/account_data/t"), Deed::Allowed);
        assert_eq!(of("/_matrix/client/v3/sendToDevice/m.room_key/1"), Deed::Allowed);
        assert_eq!(of("/_matrix/client/v3/room_keys/keys"), Deed::Allowed);
    }
}
