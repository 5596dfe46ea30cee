//! Which endpoints are built, and which are not?

use http::Method;

use crate::http::routes;

/// The endpoints that are built, one per line; the arguments are a room, a user and a type.
const BUILT: &[&str] = &[
    "GET /.well-known/matrix/client",
    "GET /_matrix/client/versions",
    "GET /_matrix/client/v3/capabilities",
    "POST /_matrix/client/v3/register",
    "GET /_matrix/client/v3/register/available",
    "GET /_matrix/client/v3/login",
    "POST /_matrix/client/v3/login",
    "POST /_matrix/client/v1/login/get_token",
    "POST /_matrix/client/v3/refresh",
    "POST /_matrix/client/v3/logout",
    "POST /_matrix/client/v3/logout/all",
    "GET /_matrix/client/v3/account/whoami",
    "GET /_matrix/client/v3/devices",
    "GET /_matrix/client/v3/devices/D",
    "PUT /_matrix/client/v3/devices/D",
    "DELETE /_matrix/client/v3/devices/D",
    "POST /_matrix/client/v3/delete_devices",
    "POST /_matrix/client/v3/account/password",
    "POST /_matrix/client/v3/account/deactivate",
    "POST /_matrix/client/v3/createRoom",
    "POST /_matrix/client/v3/join/!r",
    "POST /_matrix/client/v3/rooms/!r/join",
    "POST /_matrix/client/v3/rooms/!r/invite",
    "POST /_matrix/client/v3/rooms/!r/leave",
    "POST /_matrix/client/v3/rooms/!r/forget",
    "POST /_matrix/client/v3/rooms/!r/kick",
    "POST /_matrix/client/v3/rooms/!r/ban",
    "POST /_matrix/client/v3/rooms/!r/unban",
    "PUT /_matrix/client/v3/rooms/!r/send/t/1",
    "PUT /_matrix/client/v3/rooms/!r/redact/$e/1",
    "GET /_matrix/client/v3/rooms/!r/event/$e",
    "GET /_matrix/client/v3/rooms/!r/state",
    "GET /_matrix/client/v3/rooms/!r/state/t",
    "GET /_matrix/client/v3/rooms/!r/state/t/",
    "GET /_matrix/client/v3/rooms/!r/state/t/k",
    "PUT /_matrix/client/v3/rooms/!r/state/t",
    "PUT /_matrix/client/v3/rooms/!r/state/t/",
    "PUT /_matrix/client/v3/rooms/!r/state/t/k",
    "GET /_matrix/client/v3/rooms/!r/messages",
    "GET /_matrix/client/v3/rooms/!r/members",
    "GET /_matrix/client/v3/rooms/!r/joined_members",
    "GET /_matrix/client/v3/rooms/!r/aliases",
    "POST /_matrix/client/v3/knock/!r",
    "GET /_matrix/client/v3/joined_rooms",
    "GET /_matrix/client/v3/directory/room/a",
    "PUT /_matrix/client/v3/directory/room/a",
    "DELETE /_matrix/client/v3/directory/room/a",
    "GET /_matrix/client/v3/profile/@u",
    "GET /_matrix/client/v3/profile/@u/displayname",
    "PUT /_matrix/client/v3/profile/@u/displayname",
    "GET /_matrix/client/v3/profile/@u/avatar_url",
    "PUT /_matrix/client/v3/profile/@u/avatar_url",
    "GET /_matrix/client/v3/user/@u/account_data/t",
    "PUT /_matrix/client/v3/user/@u/account_data/t",
    "GET /_matrix/client/v3/user/@u/rooms/!r/account_data/t",
    "PUT /_matrix/client/v3/user/@u/rooms/!r/account_data/t",
    "GET /_matrix/client/v3/user/@u/rooms/!r/tags",
    "PUT /_matrix/client/v3/user/@u/rooms/!r/tags/t",
    "DELETE /_matrix/client/v3/user/@u/rooms/!r/tags/t",
    "POST /_matrix/client/v3/user/@u/openid/request_token",
    "POST /_matrix/client/v3/user/@u/filter",
    "GET /_matrix/client/v3/user/@u/filter/1",
    "GET /_matrix/client/v3/rooms/!r/context/$e",
    "POST /_matrix/client/v3/rooms/!r/receipt/m.read/$e",
    "POST /_matrix/client/v3/rooms/!r/read_markers",
    "PUT /_matrix/client/v3/rooms/!r/typing/@u",
    "GET /_matrix/client/v3/voip/turnServer",
    "GET /_matrix/client/v3/keys/changes",
    "GET /_matrix/client/v3/pushrules/",
    "GET /_matrix/client/v3/pushrules/global/",
    "GET /_matrix/client/v3/pushrules/global/override/r",
    "PUT /_matrix/client/v3/pushrules/global/override/r",
    "DELETE /_matrix/client/v3/pushrules/global/override/r",
    "GET /_matrix/client/v3/pushrules/global/override/r/enabled",
    "PUT /_matrix/client/v3/pushrules/global/override/r/enabled",
    "GET /_matrix/client/v3/pushrules/global/override/r/actions",
    "PUT /_matrix/client/v3/pushrules/global/override/r/actions",
    "POST /_matrix/client/v3/keys/upload",
    "POST /_matrix/client/r0/keys/upload",
    "POST /_matrix/client/v3/keys/query",
    "POST /_matrix/client/r0/keys/query",
    "POST /_matrix/client/v3/keys/claim",
    "POST /_matrix/client/v3/keys/device_signing/upload",
    "POST /_matrix/client/unstable/keys/device_signing/upload",
    "POST /_matrix/client/v3/keys/signatures/upload",
    "PUT /_matrix/client/v3/sendToDevice/m.test/1",
    "PUT /_matrix/client/r0/sendToDevice/m.test/1",
    "POST /_matrix/client/v3/room_keys/version",
    "GET /_matrix/client/v3/room_keys/version",
    "GET /_matrix/client/v3/room_keys/version/1",
    "PUT /_matrix/client/v3/room_keys/version/1",
    "DELETE /_matrix/client/v3/room_keys/version/1",
    "GET /_matrix/client/v3/room_keys/keys",
    "PUT /_matrix/client/v3/room_keys/keys",
    "DELETE /_matrix/client/v3/room_keys/keys",
    "GET /_matrix/client/v3/room_keys/keys/!r",
    "PUT /_matrix/client/v3/room_keys/keys/!r",
    "DELETE /_matrix/client/v3/room_keys/keys/!r",
    "GET /_matrix/client/v3/room_keys/keys/!r/s",
    "PUT /_matrix/client/v3/room_keys/keys/!r/s",
    "DELETE /_matrix/client/v3/room_keys/keys/!r/s",
    "PUT /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device",
    "GET /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device",
    "DELETE /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device",
    "GET /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/D/events",
    "POST /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/D/events",
    "GET /_synapse/admin/v1/register",
    "POST /_synapse/admin/v1/register",
];

#[test]
fn what_is_listed_is_built() {
    let router = routes();
    for line in BUILT {
        let (method, path) = line.split_once(' ').unwrap();
        assert!(router.knows(&Method::from_bytes(method.as_bytes()).unwrap(), path), "{line}");
    }
}

#[test]
fn what_is_not_built_is_not_in_the_table() {
    let router = routes();
    for path in [
        "/_matrix/client/v3/search",
        "/_matrix/client/v3/pushers",
        "/_matrix/client/v3/rooms/!r/state/t/k/more",
        "/x/_matrix/client/versions",
    ] {
        assert!(!router.knows(&Method::POST, path) && !router.knows(&Method::GET, path), "{path}");
    }
}
