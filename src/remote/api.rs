//! What do our requests to other servers look like?
//! ([server-server API](https://spec.matrix.org/v1.19/server-server-api/))
//!
//! One function for each path, with its query, and one type for each body that is more than an event. Ruma's requests do
//! not escape the `%` of an identifier, so these are ours. Ruma's answers are read from whole HTTP responses; ours are
//! small types beside the flow that asks, read by serde within its limits.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ruma::{EventId, OwnedEventId, RoomAliasId, RoomId, ServerName, UserId};
use serde::Serialize;
use serde_json::value::RawValue;
use tombolo_protocol::{
    membership::Membership,
    room_version::{SUPPORTED, UNSTABLE},
};

/// The characters to percent-encode: all but the unreserved ones of
/// [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-2.3). A proxy may decode an encoded unreserved character,
/// and our signature would not match that path.
pub const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The keys of the server that is asked.
pub const KEYS: &str = "/_matrix/key/v2/server";
/// The keys of other servers; the body is a [`KeyQuery`].
pub const KEY_QUERY: &str = "/_matrix/key/v2/query";

/// The devices and cross-signing keys of users.
pub const QUERY_KEYS: &str = "/_matrix/federation/v1/user/keys/query";
/// One-time keys of devices.
pub const CLAIM_KEYS: &str = "/_matrix/federation/v1/user/keys/claim";

/// The keys a notary is asked for: by server and key ID, until when each must be valid.
#[derive(Serialize)]
pub struct KeyQuery<'a> {
    pub server_keys: BTreeMap<&'a ServerName, BTreeMap<&'a str, KeyCriteria>>,
}

#[derive(Serialize)]
pub struct KeyCriteria {
    pub minimum_valid_until_ts: i64,
}

/// A template of a user's own membership event: `make_join`, `make_leave` or `make_knock`. A leave may be of any room
/// version.
pub fn make(membership: Membership, room_id: &RoomId, user: &UserId) -> String {
    let endpoint = format!("v1/make_{}", membership.as_str());
    let path = path(&endpoint, [room_id.as_str(), user.as_str()]);
    match membership {
        Membership::Leave => path,
        _ => with(path, SUPPORTED.iter().chain(UNSTABLE).map(|version| ("ver", *version))),
    }
}

/// Sends a join; the body is the event. With `omit_members` the answer may leave out member events of the state.
pub fn send_join(room_id: &RoomId, event_id: &EventId, omit_members: bool) -> String {
    let omit_members = if omit_members { "true" } else { "false" };
    with(
        path("v2/send_join", [room_id.as_str(), event_id.as_str()]),
        [("omit_members", omit_members)],
    )
}

/// Sends a leave; the body is the event.
pub fn send_leave(room_id: &RoomId, event_id: &EventId) -> String {
    path("v2/send_leave", [room_id.as_str(), event_id.as_str()])
}

/// Sends a knock; the body is the event.
pub fn send_knock(room_id: &RoomId, event_id: &EventId) -> String {
    path("v1/send_knock", [room_id.as_str(), event_id.as_str()])
}

/// Invites a user of the server; the body is an [`Invite`].
pub fn invite(room_id: &RoomId, event_id: &EventId) -> String {
    path("v2/invite", [room_id.as_str(), event_id.as_str()])
}

#[derive(Serialize)]
pub struct Invite<'a> {
    pub room_version: &'a str,
    pub event: &'a RawValue,
    pub invite_room_state: &'a [Box<RawValue>],
}

/// One event.
pub fn event(event_id: &EventId) -> String {
    path("v1/event", [event_id.as_str()])
}

/// The state before an event, and its auth chain.
pub fn state(room_id: &RoomId, event_id: &EventId) -> String {
    with(path("v1/state", [room_id.as_str()]), [("event_id", event_id.as_str())])
}

/// The IDs of the events of the state before an event, and of its auth chain.
pub fn state_ids(room_id: &RoomId, event_id: &EventId) -> String {
    with(path("v1/state_ids", [room_id.as_str()]), [("event_id", event_id.as_str())])
}

/// The auth chain of an event.
pub fn event_auth(room_id: &RoomId, event_id: &EventId) -> String {
    path("v1/event_auth", [room_id.as_str(), event_id.as_str()])
}

/// These events and the events below them, `limit` at most.
pub fn backfill(room_id: &RoomId, from: &[OwnedEventId], limit: usize) -> String {
    let limit = limit.to_string();
    let from = from.iter().map(|event_id| ("v", event_id.as_str()));
    with(path("v1/backfill", [room_id.as_str()]), from.chain([("limit", &*limit)]))
}

/// The event that is closest to a time (ms), in one direction.
pub fn timestamp_to_event(room_id: &RoomId, ts: i64, backwards: bool) -> String {
    let (ts, dir) = (ts.to_string(), if backwards { "b" } else { "f" });
    with(path("v1/timestamp_to_event", [room_id.as_str()]), [("ts", &*ts), ("dir", dir)])
}

/// The events between the earliest and the latest events; the body is a [`MissingEvents`].
pub fn get_missing_events(room_id: &RoomId) -> String {
    path("v1/get_missing_events", [room_id.as_str()])
}

#[derive(Serialize)]
pub struct MissingEvents<'a> {
    pub earliest_events: &'a [OwnedEventId],
    pub latest_events: &'a [OwnedEventId],
    pub limit: usize,
    pub min_depth: u64,
}

/// A transaction; the body is a [`Transaction`].
pub fn send(txn_id: &str) -> String {
    path("v1/send", [txn_id])
}

#[derive(Serialize)]
pub struct Transaction<'a> {
    pub origin: &'a ServerName,
    pub origin_server_ts: u64,
    pub pdus: &'a [Box<RawValue>],
    pub edus: Vec<&'a RawValue>,
}

/// The rooms that a server publishes, by a filter in the body.
pub const PUBLIC_ROOMS: &str = "/_matrix/federation/v1/publicRooms";

/// The rooms that a server publishes: `limit` at most (0: as many as it gives), from a token on.
pub fn public_rooms(limit: usize, since: Option<&str>) -> String {
    let limit = (limit > 0).then(|| limit.to_string());
    let limit = limit.as_deref().map(|limit| ("limit", limit));
    let since = since.map(|since| ("since", since));
    with(PUBLIC_ROOMS.to_owned(), limit.into_iter().chain(since))
}

/// A room and, of a space, its children.
pub fn hierarchy(room_id: &RoomId, suggested_only: bool) -> String {
    let suggested_only = if suggested_only { "true" } else { "false" };
    with(path("v1/hierarchy", [room_id.as_str()]), [("suggested_only", suggested_only)])
}

/// The room that an alias names.
pub fn directory(alias: &RoomAliasId) -> String {
    with(path("v1/query", ["directory"]), [("room_alias", alias.as_str())])
}

/// All devices of a user.
pub fn user_devices(user: &UserId) -> String {
    path("v1/user/devices", [user.as_str()])
}

/// A file of the server. It waits so long for one that is not uploaded yet (ms).
pub fn download(media_id: &str, patience: u64) -> String {
    with(path("v1/media/download", [media_id]), [("timeout_ms", &*patience.to_string())])
}

/// The same, for servers that do not know the endpoint above yet. It is not to fetch the file from others.
pub fn legacy_download(server: &ServerName, media_id: &str, patience: u64) -> String {
    let path =
        format!("/_matrix/media/v3/download/{}/{}", encode(server.as_str()), encode(media_id));
    with(path, [("allow_remote", "false"), ("timeout_ms", &*patience.to_string())])
}

/// A user's profile, or one field of it.
pub fn profile(user: &UserId, field: Option<&str>) -> String {
    let field = field.map(|field| ("field", field));
    with(path("v1/query", ["profile"]), [("user_id", user.as_str())].into_iter().chain(field))
}

fn path<'a>(endpoint: &str, arguments: impl IntoIterator<Item = &'a str>) -> String {
    let mut path = format!("/_matrix/federation/{endpoint}");
    for argument in arguments {
        path.push('/');
        path.push_str(&encode(argument));
    }
    path
}

/// A path with a query.
fn with<'a>(mut path: String, query: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut mark = '?';
    for (name, value) in query {
        path.push(mark);
        path.push_str(name);
        path.push('=');
        path.push_str(&encode(value));
        mark = '&';
    }
    path
}

fn encode(id: &str) -> String {
    utf8_percent_encode(id, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use ruma::{event_id, owned_event_id, room_alias_id, room_id, user_id};

    use super::*;

    fn says(path: String, expected: &str) {
        assert_eq!(path, format!("/_matrix/federation/{expected}"));
    }

    #[test]
    fn a_path_says_which_arguments() {
        let (room, user) = (room_id!("!a/b:c.d"), user_id!("@e-_~:f"));
        says(
            make(Membership::Join, room, user),
            "v1/make_join/%21a%2Fb%3Ac.d/%40e-_~%3Af?ver=6&ver=7&ver=8&ver=9&ver=10&ver=11&ver=12&ver=org.matrix.msc3757.10&ver=org.matrix.msc3757.11",
        );
        says(make(Membership::Leave, room, user), "v1/make_leave/%21a%2Fb%3Ac.d/%40e-_~%3Af");
        says(send("1 2"), "v1/send/1%202");
    }

    #[test]
    fn media_are_asked_for_by_two_paths() {
        says(download("aB-_", 5), "v1/media/download/aB-_?timeout_ms=5");
        let legacy = legacy_download(ruma::server_name!("a.b:1"), "c", 5);
        let expected = "/_matrix/media/v3/download/a.b%3A1/c?allow_remote=false&timeout_ms=5";
        assert_eq!(legacy, expected);
    }

    #[test]
    fn a_query_says_each_of_its_values() {
        let (room, event) = (room_id!("!a:b"), event_id!("$x"));
        says(send_join(room, event, false), "v2/send_join/%21a%3Ab/%24x?omit_members=false");
        says(state(room, event), "v1/state/%21a%3Ab?event_id=%24x");
        let below = [owned_event_id!("$x"), owned_event_id!("$y")];
        says(backfill(room, &below, 100), "v1/backfill/%21a%3Ab?v=%24x&v=%24y&limit=100");
        says(timestamp_to_event(room, -5, true), "v1/timestamp_to_event/%21a%3Ab?ts=-5&dir=b");
        says(directory(room_alias_id!("#a&b:c")), "v1/query/directory?room_alias=%23a%26b%3Ac");
        let user = user_id!("@a:b");
        says(profile(user, None), "v1/query/profile?user_id=%40a%3Ab");
        says(profile(user, Some("x=y")), "v1/query/profile?user_id=%40a%3Ab&field=x%3Dy");
    }
}
