//! What may a user do to other users' events and state, by any endpoint?

use serde_json::{Value, json};
use tombolo_support::{Scene, User, encode, text};

use super::one_server;

fn joined(scene: &Scene, request: &Value) -> (User, User, String) {
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, request);
    scene.act(&bob, &room, "join", &json!({})).ok();
    (alice, bob, room)
}

/// The ways in which a client can send a redaction.
fn redactions(target: &str) -> [(String, Value); 3] {
    let content = json!({ "redacts": target, "reason": "mine now" });
    [
        (format!("redact/{target}/redaction"), json!({})),
        ("send/m.room.redaction/redaction".to_owned(), content.clone()),
        ("state/m.room.redaction".to_owned(), content),
    ]
}

#[test]
fn nobody_redacts_anothers_event_without_the_level_for_it() {
    for version in ["6", "10", "11", "12"] {
        let scene = one_server();
        let request = json!({ "room_version": version, "preset": "public_chat" });
        let (alice, bob, room) = joined(&scene, &request);
        let said = scene.say(&alice, &room, "hello");
        let topic = scene.put(&alice, &room, "state/m.room.topic", &json!({ "topic": "t" })).ok();
        let events = json!({ "users": { &alice.id: 100 }, "events": { "m.room.redaction": 0 } });
        let events = if version == "12" { json!({ "events": events["events"] }) } else { events };
        scene.put(&alice, &room, "state/m.room.power_levels", &events).ok();
        for target in [said.clone(), text(&topic["event_id"])] {
            for (rest, body) in redactions(&target) {
                scene.put(&bob, &room, &rest, &body).refused(403, "M_FORBIDDEN");
            }
        }
        let event = format!("/_matrix/client/v3/rooms/{room}/event/{said}");
        assert_eq!(scene.get(&bob, &event).ok()["content"]["body"], "hello", "{version}");
    }
}

#[test]
fn ones_own_events_and_with_the_level_others_are_redacted_by_every_way() {
    for version in ["10", "11"] {
        let scene = one_server();
        let request = json!({ "room_version": version, "preset": "public_chat" });
        let (alice, bob, room) = joined(&scene, &request);
        let levels = json!({ "users": { &alice.id: 100 }, "events": { "m.room.redaction": 0 } });
        scene.put(&alice, &room, "state/m.room.power_levels", &levels).ok();
        for (number, user) in [&alice, &bob].into_iter().enumerate() {
            for way in 0..3 {
                let said = scene.say(&bob, &room, &format!("said-{number}-{way}"));
                let (rest, body) = redactions(&said)[way].clone();
                let rest = rest.replace("/redaction", &format!("/{said}"));
                scene.put(user, &room, &rest, &body).ok();
                let event = format!("/_matrix/client/v3/rooms/{room}/event/{said}");
                assert_eq!(scene.get(&bob, &event).ok()["content"], json!({}), "{version} {rest}");
            }
        }
    }
}

#[test]
fn what_is_not_in_the_room_or_holds_it_together_is_not_redacted() {
    let scene = one_server();
    let acl = json!({ "type": "m.room.server_acl", "content": { "allow": ["*"] } });
    let request = json!({ "preset": "public_chat", "initial_state": [acl] });
    let (alice, bob, room) = joined(&scene, &request);
    let elsewhere = scene.room(&bob, &json!({}));
    let said = scene.say(&bob, &elsewhere, "elsewhere");
    let unknown = format!("${}", "u".repeat(43));
    for target in [&said, &unknown] {
        scene
            .put(&bob, &room, &format!("redact/{target}/1"), &json!({}))
            .refused(404, "M_NOT_FOUND");
    }
    for kind in ["m.room.create", "m.room.server_acl"] {
        let state = format!("/_matrix/client/v3/rooms/{room}/state/{kind}/?format=event");
        let target = text(&scene.get(&alice, &state).ok()["event_id"]);
        for user in [&alice, &bob] {
            let answer = scene.put(user, &room, &format!("redact/{target}/{kind}"), &json!({}));
            answer.refused(403, "M_FORBIDDEN");
        }
    }
    let nothing = json!({ "redacts": 5 });
    scene.put(&bob, &room, "send/m.room.redaction/x", &nothing).refused(400, "M_BAD_JSON");
}

#[test]
fn malformed_power_levels_are_the_clients_mistake() {
    for version in ["9", "11"] {
        let scene = one_server();
        let alice = scene.register("alice");
        let room = scene.room(&alice, &json!({ "room_version": version }));
        let own = json!({ &alice.id: 100 });
        for malformed in [
            json!({ "users": [] }),
            json!({ "users": own, "ban": "50" }),
            json!({ "users": { "alice": 100 } }),
            json!({ "users": own, "events": { "m.room.name": "50" } }),
        ] {
            let answer = scene.put(&alice, &room, "state/m.room.power_levels", &malformed);
            answer.refused(400, "M_BAD_JSON");
        }
        let own = json!({ "users": own });
        scene.put(&alice, &room, "state/m.room.power_levels", &own).ok();
    }
}

#[test]
fn a_second_create_event_and_a_level_of_a_creator_are_the_clients_mistake() {
    let scene = one_server();
    let alice = scene.register("alice");
    for version in ["11", "12"] {
        let room = scene.room(&alice, &json!({ "room_version": version }));
        let create = json!({ "room_version": version, "more": true });
        scene.put(&alice, &room, "state/m.room.create", &create).refused(400, "M_BAD_JSON");
    }
    let room = scene.room(&alice, &json!({ "room_version": "12" }));
    let own = json!({ "users": { &alice.id: 100 } });
    scene.put(&alice, &room, "state/m.room.power_levels", &own).refused(400, "M_BAD_JSON");
}

#[test]
fn anybody_invites_into_a_private_room_and_moderators_into_a_public_one() {
    let scene = one_server();
    let carol = scene.register("carol");
    let (alice, bob, public) = joined(&scene, &json!({ "preset": "public_chat" }));
    let private = scene.room(&alice, &json!({ "preset": "private_chat", "invite": [bob.id] }));
    scene.act(&bob, &private, "join", &json!({})).ok();
    let invite = json!({ "user_id": carol.id });
    scene.act(&bob, &public, "invite", &invite).refused(403, "M_FORBIDDEN");
    scene.act(&alice, &public, "invite", &invite).ok();
    scene.act(&bob, &private, "invite", &invite).ok();
}

#[test]
fn only_who_may_set_the_alias_has_its_server_asked() {
    let scene = one_server();
    let readable = json!({ "type": "m.room.history_visibility", "content": { "history_visibility": "world_readable" } });
    let request = json!({ "preset": "public_chat", "initial_state": [readable] });
    let (alice, bob, room) = joined(&scene, &request);
    let eve = scene.register("eve");
    let alias = json!({ "alias": "#x:unreachable.test" });
    for user in [&bob, &eve] {
        scene.put(user, &room, "state/m.room.canonical_alias", &alias).refused(403, "M_FORBIDDEN");
    }
    let answer = scene.put(&alice, &room, "state/m.room.canonical_alias", &alias);
    assert_eq!(answer.status, 502, "{}", answer.body);
}

#[test]
fn an_alias_is_deleted_by_who_may_set_the_canonical_one() {
    for version in ["9", "11", "12"] {
        let scene = one_server();
        let request =
            json!({ "room_version": version, "preset": "public_chat", "room_alias_name": "tea" });
        let (alice, bob, room) = joined(&scene, &request);
        let eve = scene.register("eve");
        let alias = "/_matrix/client/v3/directory/room/%23";
        let own = json!({ "room_id": room });
        scene.call(Some(&bob), &format!("PUT {alias}coffee:example.org"), &own).ok();
        for user in [&bob, &eve] {
            let answer =
                scene.call(Some(user), &format!("DELETE {alias}tea:example.org"), &Value::Null);
            answer.refused(403, "M_FORBIDDEN");
        }
        // The creator of a room of version 12 has no number among the levels.
        scene.call(Some(&alice), &format!("DELETE {alias}coffee:example.org"), &Value::Null).ok();
        let mut levels = json!({ "users": { &alice.id: 100, &bob.id: 50 } });
        if version == "12" {
            levels["users"].as_object_mut().unwrap().remove(&alice.id);
        }
        scene.put(&alice, &room, "state/m.room.power_levels", &levels).ok();
        scene.call(Some(&bob), &format!("DELETE {alias}tea:example.org"), &Value::Null).ok();
    }
}

#[test]
fn a_rooms_aliases_are_for_those_in_it_or_for_all() {
    let scene = one_server();
    let request = json!({ "preset": "public_chat", "room_alias_name": "tea" });
    let (alice, bob, room) = joined(&scene, &request);
    let aliases = format!("/_matrix/client/v3/rooms/{room}/aliases");
    scene.get(&bob, &aliases).ok();
    scene.act(&bob, &room, "leave", &json!({})).ok();
    scene.get(&bob, &aliases).refused(403, "M_FORBIDDEN");
    let readable = json!({ "history_visibility": "world_readable" });
    scene.put(&alice, &room, "state/m.room.history_visibility", &readable).ok();
    let eve = scene.register("eve");
    assert_eq!(scene.get(&eve, &aliases).ok()["aliases"], json!(["#tea:example.org"]));
}

#[test]
fn nothing_of_a_forgotten_room_is_read() {
    let scene = one_server();
    let (alice, bob, room) = joined(&scene, &json!({ "preset": "public_chat" }));
    let said = scene.say(&alice, &room, "hello");
    scene.act(&bob, &room, "leave", &json!({})).ok();
    let get = |path: &str| scene.get(&bob, &format!("/_matrix/client/v3/rooms/{room}/{path}"));
    let paths =
        ["messages?dir=b", "members", "state", "state/m.room.create", "state/m.room.create/"];
    let member = format!("state/m.room.member/{}", bob.id);
    for path in paths.iter().copied().chain([member.as_str()]) {
        get(path).ok();
    }
    get(&format!("event/{said}")).ok();
    scene.act(&bob, &room, "forget", &json!({})).ok();
    for path in paths.iter().copied().chain([member.as_str(), "joined_members", "aliases"]) {
        get(path).refused(403, "M_FORBIDDEN");
    }
    get(&format!("event/{said}")).refused(404, "M_NOT_FOUND");
    scene.act(&bob, &room, "join", &json!({})).ok();
    get("state").ok();
    get(&format!("event/{said}")).ok();
}

#[test]
fn state_of_users_is_set_by_them_and_by_who_has_more_power() {
    let scene = one_server();
    let levels = json!({ "events": { "com.example.test": 0 } });
    let request = json!({
        "room_version": "org.matrix.msc3757.11",
        "preset": "public_chat",
        "power_level_content_override": levels,
    });
    let (alice, bob, room) = joined(&scene, &request);
    let set = |user: &User, key: &str| {
        let path = format!("state/com.example.test/{}", encode(key));
        scene.put(user, &room, &path, &json!({}))
    };
    set(&bob, &format!("{}_device:!@#$1", bob.id)).ok();
    set(&alice, &format!("{}_device:!@#$1", bob.id)).ok();
    set(&alice, "@nobody:elsewhere.org").ok();
    set(&bob, &format!("{}_device", alice.id)).refused(403, "M_FORBIDDEN");
    for key in ["@oops", "@bob:example.org@device"] {
        set(&alice, key).refused(400, "M_BAD_JSON");
    }
    let capabilities = scene.get(&alice, "/_matrix/client/v3/capabilities").ok();
    let versions = &capabilities["capabilities"]["m.room_versions"]["available"];
    assert_eq!(
        (&versions["11"], &versions["org.matrix.msc3757.11"]),
        (&json!("stable"), &json!("unstable"))
    );
}
