//! Whom does an operator bring into a room, and whom do they give power there?

use serde_json::{Value, json};
use tombolo_support::{User, encode};

use super::Served;

impl Served {
    /// The power levels of users, as somebody in the room sees them.
    fn levels(&self, viewer: &User, room: &str) -> Value {
        let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.power_levels/");
        self.two.scene.get(viewer, &path).ok()["users"].clone()
    }
}

fn make_admin(room: &str) -> String {
    format!("POST v1/rooms/{}/make_room_admin", encode(room))
}

#[test]
fn who_has_as_much_power_keeps_it() {
    let server = Served::new();
    let (scene, alice, bob) = (&server.two.scene, &server.two.alice, &server.two.bob);
    let dora = scene.register("dora");
    for (version, level) in [("11", 100), ("12", 150)] {
        let levels = json!({ "users": { &alice.id: 100, &dora.id: level } });
        let levels = if version == "12" { json!({ "users": { &dora.id: level } }) } else { levels };
        let room = scene.room(alice, &json!({
            "room_version": version, "power_level_content_override": levels, "invite": [dora.id],
        }));
        scene.act(&dora, &room, "join", &json!({})).ok();
        let before = server.levels(alice, &room);
        for user in [alice, &dora] {
            server.ask(&make_admin(&room), &json!({ "user_id": user.id })).ok();
            assert_eq!(server.levels(alice, &room), before, "{version}");
        }
    }
    // Also who has more than anybody here.
    let levels = json!({ "users": { &bob.id: 100, &alice.id: 50 }, "events": { "m.room.power_levels": 50 } });
    let room = scene.room(
        bob,
        &json!({
            "room_version": "11", "preset": "public_chat", "power_level_content_override": levels,
        }),
    );
    let via = encode(bob.server.name());
    let join = format!("POST /_matrix/client/v3/join/{room}?server_name={via}");
    scene.call(Some(alice), &join, &json!({})).ok();
    server.ask(&make_admin(&room), &json!({ "user_id": bob.id })).ok();
    assert_eq!(server.levels(alice, &room), levels["users"]);
}

#[test]
fn who_is_banned_is_given_no_power() {
    let server = Served::new();
    let (scene, alice) = (&server.two.scene, &server.two.alice);
    let dora = scene.register("dora");
    let room = scene.room(alice, &json!({}));
    let who = json!({ "user_id": dora.id });
    scene.act(alice, &room, "ban", &who).ok();
    server.ask(&make_admin(&room), &who).refused(403, "M_FORBIDDEN");
    assert_eq!(server.levels(alice, &room)[&dora.id], Value::Null);
}

#[test]
fn nobody_gives_power_where_nobody_has_any() {
    let server = Served::new();
    let (scene, alice) = (&server.two.scene, &server.two.alice);
    let room = scene.room(alice, &json!({ "room_version": "11" }));
    let levels = json!({ "users": { &alice.id: 0 } });
    scene.set(alice, &room, ("m.room.power_levels", ""), &levels);
    server.ask(&make_admin(&room), &json!({ "user_id": alice.id })).refused(400, "M_UNKNOWN");
}

#[test]
fn who_may_join_by_another_room_is_brought_in_by_an_operator_who_is_not_there() {
    let server = Served::new();
    let (scene, alice) = (&server.two.scene, &server.two.alice);
    let dora = scene.register("dora");
    let space = scene.room(alice, &json!({ "preset": "public_chat" }));
    let allow = json!([{ "type": "m.room_membership", "room_id": space }]);
    let rule = json!({ "join_rule": "restricted", "allow": allow });
    let state = json!([{ "type": "m.room.join_rules", "state_key": "", "content": rule }]);
    let room = scene.room(alice, &json!({ "initial_state": state }));
    let join = format!("POST v1/join/{}", encode(&room));
    let who = json!({ "user_id": dora.id });
    server.ask(&join, &who).refused(403, "M_FORBIDDEN");
    scene.act(&dora, &space, "join", &json!({})).ok();
    assert_eq!(server.ask(&join, &who).ok()["room_id"], json!(room));
}
