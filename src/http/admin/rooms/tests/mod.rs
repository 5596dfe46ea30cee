//! Do operators see which rooms there are, and does what they do with them have its effect?

mod deletion;
mod list;
mod members;

use std::{collections::BTreeSet, rc::Rc};

use serde_json::{Value, json};
use tombolo_platform::{AnyAddress, Row, Sql, SqlError, values};
use tombolo_support::{Answer, Pair, User, encode, text};

use crate::app::Tombolo;

/// A server with an operator and alice, and another one with bob.
struct Served {
    two: Pair,
    admin: User,
}

impl Served {
    fn new() -> Self {
        let two = Pair::new(Rc::new(Tombolo), ["ours.test:8448", "other.test:8448"]);
        let admin = two.scene.register("admin");
        let update = "UPDATE accounts SET admin = 1 WHERE localpart = 'admin'";
        two.scene.server.d1().run(update, values![]).unwrap();
        Self { two, admin }
    }

    fn ask(&self, line: &str, body: &Value) -> Answer {
        self.ask_as(Some(&self.admin), line, body)
    }

    fn ask_as(&self, user: Option<&User>, line: &str, body: &Value) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        self.two.scene.call(user, &format!("{method} /_synapse/admin/{path}"), body)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &Value::Null)
    }

    /// The answer about a room.
    fn of(&self, room: &str, rest: &str) -> Answer {
        self.get(&format!("v1/rooms/{}{rest}", encode(room)))
    }

    /// Has a room deleted, and waits until that has ended; answers how.
    fn delete(&self, room: &str, body: &Value) -> Value {
        let line = format!("DELETE v2/rooms/{}", encode(room));
        let id = text(&self.ask(&line, body).ok()["delete_id"]);
        self.two.scene.pass(60_000);
        self.get(&format!("v2/rooms/delete_status/{id}")).ok()
    }

    fn tables(&self, room: &str) -> Sql {
        self.two.scene.server.sql(AnyAddress::new("room", room)).unwrap()
    }

    /// The tables of a room in which something is.
    fn filled(&self, room: &str) -> BTreeSet<String> {
        let sql = self.tables(room);
        let query =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'words_%'";
        let named = |row: &Row<'_>| row.text(0);
        let names: Vec<String> = sql.rows(query, values![], named).unwrap();
        let is_filled = |name: &String| -> bool {
            let query = format!("SELECT 1 FROM {name} LIMIT 1");
            let found: Result<Option<i64>, SqlError> = sql.row(&query, values![], |row| row.int(0));
            found.unwrap().is_some()
        };
        names.into_iter().filter(is_filled).collect()
    }
}

/// A user's membership as another sees it.
fn membership(server: &Served, viewer: &User, room: &str, user: &str) -> Option<String> {
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", encode(user));
    server.two.scene.get(viewer, &path).text("membership")
}

#[test]
fn only_operators_ask() {
    let server = Served::new();
    let room = encode(&server.two.scene.room(&server.two.alice, &json!({})));
    for line in [
        "GET v1/rooms".to_owned(),
        format!("GET v1/rooms/{room}"),
        format!("GET v1/rooms/{room}/members"),
        format!("GET v1/rooms/{room}/state"),
        format!("GET v1/rooms/{room}/forward_extremities"),
        format!("GET v1/rooms/{room}/block"),
        format!("PUT v1/rooms/{room}/block"),
        format!("POST v1/rooms/{room}/make_room_admin"),
        format!("POST v1/join/{room}"),
        format!("DELETE v2/rooms/{room}"),
        format!("GET v2/rooms/{room}/delete_status"),
        "GET v2/rooms/delete_status/x".to_owned(),
    ] {
        let body = json!({ "block": true, "user_id": server.two.alice.id });
        server.ask_as(Some(&server.two.alice), &line, &body).refused(403, "M_FORBIDDEN");
        server.ask_as(None, &line, &body).refused(401, "M_MISSING_TOKEN");
    }
    for (line, body, status, errcode) in [
        ("GET v1/rooms/!unknown:ours.test", json!(null), 404, "M_NOT_FOUND"),
        ("GET v1/rooms/!unknown:ours.test/members", json!(null), 404, "M_NOT_FOUND"),
        ("GET v1/rooms/!unknown:ours.test/state", json!(null), 404, "M_NOT_FOUND"),
        ("GET v1/rooms/unknown", json!(null), 400, "M_INVALID_PARAM"),
        ("GET v1/rooms/unknown/block", json!(null), 400, "M_INVALID_PARAM"),
        ("PUT v1/rooms/!unknown:ours.test/block", json!({}), 400, "M_BAD_JSON"),
        ("PUT v1/rooms/!unknown:ours.test/block", json!({ "block": 1 }), 400, "M_BAD_JSON"),
        ("DELETE v2/rooms/!unknown:ours.test", json!({ "block": "x" }), 400, "M_BAD_JSON"),
        ("DELETE v2/rooms/!unknown:ours.test", json!({ "purge": 0 }), 400, "M_BAD_JSON"),
        ("DELETE v2/rooms/unknown", json!({}), 400, "M_INVALID_PARAM"),
        ("GET v2/rooms/!unknown:ours.test/delete_status", json!(null), 404, "M_NOT_FOUND"),
        ("GET v2/rooms/delete_status/x.y", json!(null), 404, "M_NOT_FOUND"),
        ("POST v1/join/!unknown:ours.test", json!({}), 400, "M_BAD_JSON"),
        ("POST v1/join/!unknown:ours.test", json!({ "user_id": "@a:b.c" }), 400, "M_UNKNOWN"),
        ("POST v1/rooms/!unknown:ours.test/make_room_admin", json!({}), 400, "M_UNKNOWN"),
        ("POST v1/rooms/%23a:ours.test:8448/make_room_admin", json!({}), 404, "M_NOT_FOUND"),
    ] {
        server.ask(line, &body).refused(status, errcode);
    }
}

#[test]
fn a_room_is_shown_as_it_is() {
    let server = Served::new();
    let (scene, alice) = (&server.two.scene, &server.two.alice);
    let content = json!({
        "preset": "public_chat", "name": "Lobby", "topic": "Talk", "visibility": "public", "room_alias_name": "lobby",
    });
    let room = scene.room(alice, &content);
    server.two.through(&server.two.bob, "join", &room).ok();
    let shown = server.of(&room, "").ok();
    for (name, value) in [
        ("room_id", json!(room)),
        ("name", json!("Lobby")),
        ("topic", json!("Talk")),
        ("canonical_alias", json!("#lobby:ours.test:8448")),
        ("joined_members", json!(2)),
        ("joined_local_members", json!(1)),
        ("joined_local_devices", json!(1)),
        ("creator", json!(alice.id)),
        ("encryption", json!(null)),
        ("federatable", json!(true)),
        ("public", json!(true)),
        ("join_rules", json!("public")),
        ("history_visibility", json!("shared")),
        ("room_type", json!(null)),
        ("forgotten", json!(false)),
        ("tombstoned", json!(false)),
        ("replacement_room", json!(null)),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    let state = server.of(&room, "/state").ok();
    assert_eq!(shown["state_events"], state["state"].as_array().unwrap().len());
    let named = server.of(&room, "/state?type=m.room.name").ok();
    assert_eq!(named["state"][0]["content"]["name"], "Lobby");
    assert_eq!(named["state"].as_array().unwrap().len(), 1);
    let mut both = vec![alice.id.clone(), server.two.bob.id.clone()];
    both.sort();
    assert_eq!(server.of(&room, "/members").ok(), json!({ "members": both, "total": 2 }));
    for name in [room.as_str(), "#lobby:ours.test:8448"] {
        let ends = server.of(name, "/forward_extremities").ok();
        assert_eq!((&ends["count"], ends["results"][0]["depth"].is_u64()), (&json!(1), true));
    }
    // Who is gone and has forgotten it counts no more.
    scene.act(alice, &room, "leave", &json!({})).ok();
    let shown = server.of(&room, "").ok();
    assert_eq!((&shown["joined_members"], &shown["forgotten"]), (&json!(0), &json!(false)));
    assert_eq!(server.of(&room, "/members").ok()["total"], 0);
    scene.act(alice, &room, "forget", &json!({})).ok();
    assert_eq!(server.of(&room, "").ok()["forgotten"], true);
}

#[test]
fn an_operator_brings_a_user_in_and_gives_them_power() {
    let server = Served::new();
    let (scene, alice) = (&server.two.scene, &server.two.alice);
    let dora = scene.register("dora");
    let room = scene.room(alice, &json!({ "preset": "private_chat" }));
    let at = encode(&room);
    let join = format!("POST v1/join/{at}");
    let who = json!({ "user_id": dora.id });
    // The operator is not in the room, and so invites nobody.
    server.ask(&join, &who).refused(403, "M_FORBIDDEN");
    let make = format!("POST v1/rooms/{at}/make_room_admin");
    assert_eq!(server.ask(&make, &Value::Null).ok(), json!({}));
    scene.act(&server.admin, &room, "join", &json!({})).ok();
    let levels = format!("/_matrix/client/v3/rooms/{room}/state/m.room.power_levels/");
    assert_eq!(scene.get(alice, &levels).ok()["users"][&server.admin.id], 100);
    assert_eq!(server.ask(&join, &who).ok(), json!({ "room_id": room }));
    assert_eq!(server.ask(&join, &who).ok(), json!({ "room_id": room }));
    assert_eq!(server.of(&room, "/members").ok()["total"], 3);
    server.ask(&make, &who).ok();
    assert_eq!(scene.get(alice, &levels).ok()["users"][&dora.id], 100);
    server.ask(&join, &json!({ "user_id": "@nobody:ours.test:8448" })).refused(404, "M_NOT_FOUND");
    // Where no user of ours has power, nobody gives any.
    let theirs = server.two.scene.room(&server.two.bob, &json!({ "preset": "public_chat" }));
    let via = encode(server.two.bob.server.name());
    let line = format!("POST v1/join/{}?server_name={via}", encode(&theirs));
    server.ask(&line, &json!({ "user_id": alice.id })).ok();
    let make = format!("POST v1/rooms/{}/make_room_admin", encode(&theirs));
    server.ask(&make, &Value::Null).refused(400, "M_UNKNOWN");
}

#[test]
fn nobody_comes_into_a_blocked_room_through_this_server() {
    let server = Served::new();
    let (scene, alice, bob) = (&server.two.scene, &server.two.alice, &server.two.bob);
    let dora = scene.register("dora");
    let room = scene.room(alice, &json!({ "preset": "public_chat" }));
    let block = format!("PUT v1/rooms/{}/block", encode(&room));
    assert_eq!(server.of(&room, "/block").ok(), json!({ "block": false }));
    assert_eq!(server.ask(&block, &json!({ "block": true })).ok(), json!({ "block": true }));
    let blocked = json!({ "block": true, "user_id": server.admin.id });
    assert_eq!(server.of(&room, "/block").ok(), blocked);
    server.two.scene.server.evict();
    scene.act(&dora, &room, "join", &json!({})).refused(403, "M_FORBIDDEN");
    let refused = server.two.through(bob, "join", &room);
    assert!(refused.status >= 400, "{refused:?}");
    for user in [&dora, bob] {
        let invite = json!({ "user_id": user.id });
        scene.act(alice, &room, "invite", &invite).refused(403, "M_FORBIDDEN");
    }
    // Who is in it stays, may speak, and may be called otherwise.
    scene.say(alice, &room, "still here");
    let member = ("m.room.member", alice.id.as_str());
    scene.set(alice, &room, member, &json!({ "membership": "join", "displayname": "Al" }));
    // A room that is not known is blocked, too: no invite comes in.
    let theirs = scene.room(bob, &json!({ "preset": "public_chat" }));
    server.ask(&format!("PUT v1/rooms/{}/block", encode(&theirs)), &json!({ "block": true })).ok();
    let invite = json!({ "user_id": alice.id });
    scene.act(bob, &theirs, "invite", &invite).refused(403, "M_FORBIDDEN");
    let via = encode(bob.server.name());
    let join = format!("POST /_matrix/client/v3/join/{theirs}?server_name={via}");
    scene.call(Some(alice), &join, &json!({})).refused(403, "M_FORBIDDEN");
    server.ask(&block, &json!({ "block": false })).ok();
    scene.act(&dora, &room, "join", &json!({})).ok();
    server.two.through(bob, "join", &room).ok();
}

#[test]
fn who_was_invited_to_a_room_that_was_blocked_since_declines() {
    let server = Served::new();
    let (scene, bob) = (&server.two.scene, &server.two.bob);
    let dora = scene.register("dora");
    let content = json!({ "invite": [dora.id] });
    let rooms = [&server.two.alice, bob].map(|user| scene.room(user, &content));
    scene.pass(10_000);
    let since = text(&scene.sync(&dora, "")["next_batch"]);
    for room in &rooms {
        let block = format!("PUT v1/rooms/{}/block", encode(room));
        server.ask(&block, &json!({ "block": true })).ok();
        scene.act(&dora, room, "leave", &json!({})).ok();
    }
    let sync = scene.sync(&dora, &format!("since={since}"));
    assert!(rooms.iter().all(|room| sync["rooms"]["leave"][room].is_object()), "{sync}");
    scene.pass(60_000);
    assert_eq!(membership(&server, bob, &rooms[1], &dora.id).as_deref(), Some("leave"));
}

#[test]
fn no_other_server_lets_a_user_into_a_blocked_room() {
    let server = Served::new();
    let (scene, alice, bob) = (&server.two.scene, &server.two.alice, &server.two.bob);
    let dora = scene.register("dora");
    // Dora is in the room by which bob's server may let her in, and ours cannot know it by itself.
    let allowing = scene.room(bob, &json!({ "preset": "public_chat" }));
    let via = encode(bob.server.name());
    let line =
        |deed: &str, room: &str| format!("POST /_matrix/client/v3/{deed}/{room}?server_name={via}");
    scene.call(Some(&dora), &line("join", &allowing), &json!({})).ok();
    let rule = json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": allowing }] });
    let state = json!([{ "type": "m.room.join_rules", "state_key": "", "content": rule }]);
    let room = scene.room(bob, &json!({ "initial_state": state, "invite": [alice.id] }));
    scene.simulation.settle(60_000);
    scene.call(Some(alice), &line("join", &room), &json!({})).ok();
    let at = |room: &str| format!("PUT v1/rooms/{}/block", encode(room));
    server.ask(&at(&room), &json!({ "block": true })).ok();
    scene.call(Some(&dora), &line("join", &room), &json!({})).refused(403, "M_FORBIDDEN");
    assert_eq!(membership(&server, bob, &room, &dora.id), None);
    // Nor is a knock sent to another server.
    let rule = json!([{ "type": "m.room.join_rules", "state_key": "", "content": { "join_rule": "knock" } }]);
    let knocked = scene.room(bob, &json!({ "initial_state": rule }));
    server.ask(&at(&knocked), &json!({ "block": true })).ok();
    scene.call(Some(&dora), &line("knock", &knocked), &json!({})).refused(403, "M_FORBIDDEN");
    assert_eq!(membership(&server, bob, &knocked, &dora.id), None);
    server.ask(&at(&room), &json!({ "block": false })).ok();
    scene.call(Some(&dora), &line("join", &room), &json!({})).ok();
}
