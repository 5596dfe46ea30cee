//! What becomes of a room that an operator deletes?

use serde_json::{Value, json};
use tombolo_platform::{Row, SqlError, values};
use tombolo_support::{User, encode, text};

use super::{Served, membership};
use crate::objects::room::{EMPTIED, KEPT};

impl Served {
    fn is_left(&self, user: &User, room: &str) -> bool {
        let sync = self.two.scene.sync(user, "");
        sync["rooms"]["join"][room].is_null() && sync["rooms"]["invite"][room].is_null()
    }
}

/// A public room of alice with bob in it, to which dora is invited, has been deleted and blocked. Answers the room, how the
/// deletion ended, and a sync token of alice from before.
fn deleted(server: &Served) -> (String, Value, String) {
    let (scene, alice) = (&server.two.scene, &server.two.alice);
    let dora = scene.register("dora");
    let content = json!({
        "preset": "public_chat", "visibility": "public", "room_alias_name": "bad", "invite": [dora.id],
    });
    let room = scene.room(alice, &content);
    server.two.through(&server.two.bob, "join", &room).ok();
    scene.say(alice, &room, "bad words");
    let since = text(&scene.sync(alice, "")["next_batch"]);
    scene.simulation.settle(60_000);
    let ended = server.delete(&room, &json!({ "block": true }));
    assert!(server.is_left(&dora, &room) && server.is_left(alice, &room));
    (room, ended, since)
}

#[test]
fn a_deleted_room_is_gone() {
    let server = Served::new();
    let (scene, alice, bob) = (&server.two.scene, &server.two.alice, &server.two.bob);
    let (room, ended, _) = deleted(&server);
    assert_eq!((&ended["status"], &ended["room_id"]), (&json!("complete"), &json!(room)));
    let shutdown = json!({
        "kicked_users": [alice.id, "@dora:ours.test:8448"], "failed_to_kick_users": [], "local_aliases": [],
        "new_room_id": null,
    });
    assert_eq!(ended["shutdown_room"], shutdown);
    let held = server.get(&format!("v2/rooms/{}/delete_status", encode(&room))).ok();
    assert_eq!(held["results"], json!([ended]));
    // Nothing is held, and nobody finds it.
    assert_eq!(server.filled(&room), KEPT.map(ToOwned::to_owned).into());
    server.of(&room, "").refused(404, "M_NOT_FOUND");
    assert_eq!(server.get("v1/rooms").ok()["total_rooms"], 0);
    let path = "/_matrix/client/v3/directory/room/%23bad:ours.test:8448";
    scene.get(alice, path).refused(404, "M_NOT_FOUND");
    assert_eq!(scene.get(alice, "/_matrix/client/v3/publicRooms").ok()["chunk"], json!([]));
    let messages = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b");
    assert!(scene.get(alice, &messages).status >= 400);
    assert_eq!(membership(&server, bob, &room, &alice.id).as_deref(), Some("leave"));
}

#[test]
fn every_client_learns_that_a_deleted_room_was_left() {
    let server = Served::new();
    let (scene, alice) = (&server.two.scene, &server.two.alice);
    let room = scene.room(alice, &json!({ "preset": "public_chat", "room_version": "12" }));
    let since = text(&scene.sync(alice, "")["next_batch"]);
    let wish = json!({
        "ranges": [[0, 9]], "timeline_limit": 1, "required_state": [["m.room.member", "$ME"]],
    });
    let lists = json!({ "lists": { "all": wish } });
    let slide = |pos: &str| {
        let path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
        scene.call(Some(alice), &format!("POST {path}{pos}"), &lists).ok()
    };
    let shown = slide("");
    assert_eq!(shown["rooms"][&room]["initial"], true);
    assert_eq!(server.delete(&room, &json!({}))["status"], "complete");
    for more in ["", "&use_state_after=true"] {
        let sync = scene.sync(alice, &format!("since={since}{more}"));
        assert!(sync["rooms"]["leave"][&room].is_object(), "{sync}");
    }
    // This one goes by the event alone.
    let pos = text(&shown["pos"]);
    let left = &slide(&format!("?pos={pos}"))["rooms"][&room];
    let event = &left["required_state"][0];
    assert_eq!((&event["state_key"], &event["sender"]), (&json!(alice.id), &json!(alice.id)));
    assert_eq!(event["content"]["membership"], "leave");
    let dora = scene.register("dora");
    let fresh = scene.call(
        Some(&dora),
        "POST /_matrix/client/v4/sync",
        &json!({ "room_subscriptions": { &*room: {} } }),
    );
    assert!(
        fresh.status != 200
            || fresh.body["rooms"].as_object().is_none_or(serde_json::Map::is_empty)
    );
}

#[test]
fn in_its_older_form_a_deletion_is_waited_for() {
    let server = Served::new();
    let (scene, alice) = (&server.two.scene, &server.two.alice);
    let dora = scene.register("dora");
    let room = scene.room(alice, &json!({ "preset": "public_chat" }));
    scene.act(&dora, &room, "join", &json!({})).ok();
    let line = format!("DELETE v1/rooms/{}", encode(&room));
    let ended = server.ask(&line, &json!({ "block": true })).ok();
    let shutdown = json!({
        "kicked_users": [alice.id, dora.id], "failed_to_kick_users": [], "local_aliases": [],
        "new_room_id": null,
    });
    assert_eq!(ended, shutdown);
    assert_eq!(server.filled(&room), KEPT.map(ToOwned::to_owned).into());
    let bare =
        server.two.scene.call(Some(&dora), "DELETE /_synapse/admin/v1/rooms/!a:b", &json!({}));
    bare.refused(403, "M_FORBIDDEN");
}

#[test]
fn a_deleted_room_stays_blocked_and_begins_anew_when_it_is_not() {
    let server = Served::new();
    let (scene, alice, bob) = (&server.two.scene, &server.two.alice, &server.two.bob);
    let (room, _, since) = deleted(&server);
    let since = format!("since={since}");
    assert!(scene.sync(alice, &since)["rooms"]["join"][&room].is_null());
    assert_eq!(server.of(&room, "/block").ok()["block"], true);
    let via = encode(bob.server.name());
    let join = format!("POST /_matrix/client/v3/join/{room}?server_name={via}");
    scene.call(Some(alice), &join, &json!({})).refused(403, "M_FORBIDDEN");
    let block = format!("PUT v1/rooms/{}/block", encode(&room));
    server.ask(&block, &json!({ "block": false })).ok();
    scene.call(Some(alice), &join, &json!({})).ok();
    scene.say(bob, &room, "hello again");
    scene.simulation.settle(60_000);
    let joined = &scene.sync(alice, &since)["rooms"]["join"][&room];
    let events = joined["timeline"]["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["content"]["body"] == "hello again"), "{joined}");
    scene.say(alice, &room, "and you");
    scene.simulation.settle(60_000);
    assert_eq!(membership(&server, bob, &room, &alice.id).as_deref(), Some("join"));
    let list = server.get("v1/rooms").ok();
    assert_eq!((&list["total_rooms"], &list["rooms"][0]["room_id"]), (&json!(1), &json!(room)));
}

#[test]
fn users_are_moved_to_a_new_room() {
    let server = Served::new();
    let (scene, alice) = (&server.two.scene, &server.two.alice);
    let dora = scene.register("dora");
    let content = json!({ "preset": "public_chat", "room_alias_name": "bad", "invite": [dora.id] });
    let room = scene.room(alice, &content);
    let body = json!({
        "new_room_user_id": server.admin.id, "room_name": "Sorry", "message": "It is closed.", "purge": false,
    });
    let ended = server.delete(&room, &body);
    assert_eq!(ended["status"], "complete", "{ended}");
    let shutdown = &ended["shutdown_room"];
    assert_eq!(shutdown["local_aliases"], json!(["#bad:ours.test:8448"]));
    let new = text(&shutdown["new_room_id"]);
    // Who was only invited is not moved.
    let mut moved = vec![server.admin.id.clone(), alice.id.clone()];
    moved.sort();
    assert_eq!(server.of(&new, "/members").ok()["members"], json!(moved));
    let found = scene.get(alice, "/_matrix/client/v3/directory/room/%23bad:ours.test:8448").ok();
    assert_eq!(found["room_id"], json!(new));
    let joined = &scene.sync(alice, "")["rooms"]["join"][&new];
    let events = joined["timeline"]["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["content"]["body"] == "It is closed."), "{events:?}");
    let line = format!("PUT /_matrix/client/v3/rooms/{new}/send/m.room.message/x");
    scene.call(Some(alice), &line, &json!({ "body": "no" })).refused(403, "M_FORBIDDEN");
    // Without a purge it is still there, empty, and may be deleted once more.
    let shown = server.of(&room, "").ok();
    assert_eq!((&shown["joined_members"], &shown["public"]), (&json!(0), &json!(false)));
    assert_eq!(server.delete(&room, &json!({}))["status"], "complete");
    server.of(&room, "").refused(404, "M_NOT_FOUND");
    let results = server.get(&format!("v2/rooms/{}/delete_status", encode(&room))).ok();
    assert_eq!(results["results"].as_array().unwrap().len(), 2);
    let body = json!({ "new_room_user_id": "@x:other.test" });
    let line = format!("DELETE v2/rooms/{}", encode(&new));
    server.ask(&line, &body).refused(400, "M_UNKNOWN");
    server.ask(&line, &json!({ "force_purge": true })).refused(400, "M_INVALID_PARAM");
}

#[test]
fn a_deletion_goes_on_after_a_crash() {
    for steps in 0..25_u64 {
        let server = Served::new();
        let (scene, alice, bob) = (&server.two.scene, &server.two.alice, &server.two.bob);
        let room = server.two.meet(json!({}));
        for count in 0..3 {
            let user = scene.register(&format!("user{count}"));
            scene.act(&user, &room, "join", &json!({})).ok();
        }
        scene.simulation.settle(60_000);
        let line = format!("DELETE v2/rooms/{}", encode(&room));
        let id = text(&server.ask(&line, &json!({})).ok()["delete_id"]);
        server.ask(&line, &json!({})).refused(400, "M_UNKNOWN");
        scene.pass(steps * 7);
        scene.server.crash();
        scene.simulation.settle(600_000);
        let ended = server.get(&format!("v2/rooms/delete_status/{id}")).ok();
        assert_eq!(ended["status"], "complete", "{steps} {ended}");
        assert_eq!(ended["shutdown_room"]["kicked_users"].as_array().unwrap().len(), 4);
        server.of(&room, "").refused(404, "M_NOT_FOUND");
        assert!(server.is_left(alice, &room));
        assert_eq!(membership(&server, bob, &room, &alice.id).as_deref(), Some("leave"));
        let left: Result<Option<i64>, SqlError> =
            server.tables(&room).row("SELECT count(*) FROM events", values![], |row| row.int(0));
        assert_eq!(left, Ok(Some(0)));
    }
}

#[test]
fn a_server_that_was_out_of_reach_learns_who_left() {
    let server = Served::new();
    let (scene, alice, bob) = (&server.two.scene, &server.two.alice, &server.two.bob);
    let room = server.two.meet(json!({}));
    scene.simulation.settle(60_000);
    server.two.cut(3_600_000);
    assert_eq!(server.delete(&room, &json!({}))["status"], "complete");
    assert_eq!(membership(&server, bob, &room, &alice.id).as_deref(), Some("join"));
    scene.simulation.settle(86_400_000);
    assert_eq!(membership(&server, bob, &room, &alice.id).as_deref(), Some("leave"));
}

#[test]
fn a_server_that_was_out_of_reach_gets_first_what_was_before() {
    let server = Served::new();
    let (scene, alice, bob) = (&server.two.scene, &server.two.alice, &server.two.bob);
    let room = server.two.meet(json!({}));
    scene.simulation.settle(60_000);
    server.two.cut(3_600_000);
    scene.say(alice, &room, "missed");
    scene.pass(10_000);
    // What is held stays until the other server has it.
    assert_ne!(server.delete(&room, &json!({}))["status"], "complete");
    scene.simulation.settle(2 * 86_400_000);
    assert_eq!(membership(&server, bob, &room, &alice.id).as_deref(), Some("leave"));
    let path = format!("/_matrix/client/v3/rooms/{}/messages?dir=b", encode(&room));
    assert!(scene.get(bob, &path).ok().to_string().contains("missed"));
    server.of(&room, "").refused(404, "M_NOT_FOUND");
}

#[test]
fn an_invite_to_a_room_elsewhere_is_declined() {
    let server = Served::new();
    let (scene, alice, bob) = (&server.two.scene, &server.two.alice, &server.two.bob);
    let room = scene.room(bob, &json!({ "invite": [alice.id] }));
    scene.simulation.settle(60_000);
    let ended = server.delete(&room, &json!({ "block": true }));
    assert_eq!(ended["shutdown_room"]["kicked_users"], json!([alice.id]));
    assert_eq!(ended["status"], "complete");
    assert!(server.is_left(alice, &room));
    scene.simulation.settle(600_000);
    assert_eq!(membership(&server, bob, &room, &alice.id).as_deref(), Some("leave"));
}

#[test]
fn a_room_that_is_not_known_is_blocked_all_the_same() {
    let server = Served::new();
    let ended = server.delete("!unknown:ours.test", &json!({ "block": true }));
    assert_eq!(ended["status"], "complete");
    assert_eq!(ended["shutdown_room"]["kicked_users"], json!([]));
    assert_eq!(server.of("!unknown:ours.test", "/block").ok()["block"], true);
}

#[test]
fn a_purge_knows_every_table() {
    let server = Served::new();
    let room = server.two.scene.room(&server.two.alice, &json!({}));
    let query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'words%'";
    let named = |row: &Row<'_>| row.text(0);
    let mut names: Vec<String> = server.tables(&room).rows(query, values![], named).unwrap();
    names.sort();
    let mut known: Vec<&str> = EMPTIED.into_iter().chain(KEPT).collect();
    known.sort_unstable();
    assert_eq!(names, known);
}
