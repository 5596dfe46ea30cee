//! What does a client learn of others' devices?

use ruma::RoomId;
use serde_json::{Value, json};
use tombolo_platform::values;
use tombolo_support::{Scene, User, text};

use super::one_server;
use crate::objects::room_object;

fn changes(scene: &Scene, user: &User, from: &str, to: &str) -> Value {
    scene.get(user, &format!("/_matrix/client/v3/keys/changes?from={from}&to={to}")).ok()
}

#[test]
fn what_changed_between_two_tokens_is_what_the_syncs_between_them_said() {
    let scene = one_server();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    let mut tokens = Vec::new();
    let mut sync = || {
        scene.pass(5_000);
        let since = tokens.last().map(|since| format!("since={since}")).unwrap_or_default();
        let sync = scene.sync(&alice, &since);
        tokens.push(text(&sync["next_batch"]));
        sync["device_lists"].clone()
    };
    assert_eq!(sync(), Value::Null);
    scene.act(&carol, &room, "join", &json!({})).ok();
    let came = json!({ "changed": [carol.id], "left": [] });
    assert_eq!(sync(), came);
    scene.act(&bob, &room, "leave", &json!({})).ok();
    let left = json!({ "changed": [], "left": [bob.id] });
    assert_eq!(sync(), left);
    scene.say(&alice, &room, "hello");
    assert_eq!(sync(), Value::Null);
    let [first, second, third, last] = tokens.try_into().unwrap();
    assert_eq!(changes(&scene, &alice, &first, &second), came);
    assert_eq!(changes(&scene, &alice, &second, &third), left);
    let both = json!({ "changed": [carol.id], "left": [bob.id] });
    assert_eq!(changes(&scene, &alice, &first, &last), both);
    for (from, to) in [(&third, &last), (&second, &second), (&last, &first)] {
        assert_eq!(changes(&scene, &alice, from, to), json!({ "changed": [], "left": [] }));
    }
}

#[test]
fn who_changed_rooms_between_two_tokens_had_not_left_whatever_came_later() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let rooms = [(); 2].map(|()| scene.room(&alice, &json!({ "preset": "public_chat" })));
    scene.act(&bob, &rooms[0], "join", &json!({})).ok();
    let sync = |since: &str| {
        scene.pass(5_000);
        scene.sync(&alice, since)
    };
    let first = text(&sync("")["next_batch"]);
    scene.act(&bob, &rooms[0], "leave", &json!({})).ok();
    scene.act(&bob, &rooms[1], "join", &json!({})).ok();
    let moved = sync(&format!("since={first}"));
    let came = json!({ "changed": [bob.id], "left": [] });
    assert_eq!(moved["device_lists"], came);
    let second = text(&moved["next_batch"]);
    scene.act(&bob, &rooms[1], "leave", &json!({})).ok();
    let gone = json!({ "changed": [], "left": [bob.id] });
    assert_eq!(sync(&format!("since={second}"))["device_lists"], gone);
    assert_eq!(changes(&scene, &alice, &first, &second), came);
}

#[test]
fn who_left_is_told_of_those_who_were_there_whatever_became_of_the_past() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.pass(5_000);
    let since = text(&scene.sync(&bob, "")["next_batch"]);
    scene.act(&bob, &room, "leave", &json!({})).ok();
    scene.pass(5_000);
    scene.act(&alice, &room, "leave", &json!({})).ok();
    // As where a resolution finds late that she had left before.
    let sql = scene.server.sql(&room_object(&RoomId::parse(room).unwrap())).unwrap();
    let rewrite =
        "UPDATE past SET sn = (SELECT sn FROM now WHERE type = 'm.room.member' AND key = ?1)
                   WHERE type = 'm.room.member' AND key = ?1";
    assert_eq!(sql.run(rewrite, values![alice.id.as_str()]).unwrap(), 1);
    scene.server.crash();
    let sync = scene.sync(&bob, &format!("since={since}"));
    assert_eq!(sync["device_lists"], json!({ "changed": [], "left": [alice.id] }));
}

#[test]
fn changes_lie_between_two_sync_tokens() {
    let scene = one_server();
    let alice = scene.register("alice");
    let path = |query: &str| format!("/_matrix/client/v3/keys/changes?{query}");
    for query in ["from=t1&to=s2", "from=s1&to=x", "from=&to=s1"] {
        scene.get(&alice, &path(query)).refused(400, "M_INVALID_PARAM");
    }
    scene.get(&alice, &path("from=s1")).refused(400, "M_MISSING_PARAM");
    scene
        .call(None, &format!("GET {}", path("from=s1&to=s2")), &Value::Null)
        .refused(401, "M_MISSING_TOKEN");
}
