//! Does a room stand with its alias and its invites, whatever other servers say?

use serde_json::json;
use tombolo_support::encode;

use crate::flows::tests::{ours, two_servers};

#[test]
fn a_new_room_has_its_alias_and_its_invites() {
    let two = two_servers();
    let carol = two.scene.register("carol");
    let content = json!({ "room_alias_name": "here", "invite": [carol.id, two.bob.id] });
    let room = two.scene.room(&two.alice, &content);
    let alias = encode("#here:ours.test:8448");
    let path = format!("GET /_matrix/client/v3/directory/room/{alias}");
    assert_eq!(two.scene.call(None, &path, &json!(null)).ok()["room_id"], room);
    for user in [&carol, &two.bob] {
        assert!(two.scene.sync(user, "")["rooms"]["invite"][&room].is_object(), "{}", user.id);
    }
}

#[test]
fn a_room_stands_though_an_invited_users_server_is_silent() {
    let two = two_servers();
    two.cut(600_000);
    let before = two.scene.simulation.now();
    let room = two.scene.room(&two.alice, &json!({ "invite": [two.bob.id] }));
    let took = two.scene.simulation.now() - before;
    assert!(took <= 11_000, "{took} ms");
    two.scene.say(&two.alice, &room, "hello");
    assert!(two.scene.sync(&two.bob, "")["rooms"]["invite"][&room].is_null());
}

#[test]
fn a_room_that_is_refused_gives_its_alias_back() {
    let scene = ours();
    let alice = scene.register("alice");
    let line = "POST /_matrix/client/v3/createRoom";
    let create = json!({ "type": "m.room.create", "content": {} });
    let content = json!({ "room_alias_name": "here", "initial_state": [create] });
    scene.call(Some(&alice), line, &content).refused(400, "M_INVALID_ROOM_STATE");
    scene.room(&alice, &json!({ "room_alias_name": "here" }));
    let again = json!({ "room_alias_name": "here" });
    scene.call(Some(&alice), line, &again).refused(400, "M_ROOM_IN_USE");
}
