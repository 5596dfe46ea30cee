//! How do users make rooms, come and go, and write state?

use serde_json::{Value, json};
use tombolo_support::{Answer, Peer, Scene, User, encode, text};

use super::one_server;

fn state(room: &str, rest: &str) -> String {
    format!("/_matrix/client/v3/rooms/{room}/state/{rest}")
}

fn act(scene: &Scene, user: &User, room: &str, deed: &str, body: &Value) -> Answer {
    scene.call(Some(user), &format!("POST /_matrix/client/v3/rooms/{room}/{deed}"), body)
}

#[test]
fn a_room_of_every_version_begins_with_its_presets() {
    let scene = one_server();
    let alice = scene.register("alice");
    for version in ["6", "7", "8", "9", "10", "11", "12"] {
        let room = scene.room(&alice, &json!({ "room_version": version, "preset": "public_chat", "name": "Name", "topic": "Topic" }));
        assert_eq!(room.contains(':'), version != "12");
        assert_eq!(
            scene.get(&alice, &state(&room, "m.room.join_rules")).ok(),
            json!({ "join_rule": "public" })
        );
        assert_eq!(
            scene.get(&alice, &state(&room, "m.room.name/")).ok(),
            json!({ "name": "Name" })
        );
        let create = scene.get(&alice, &state(&room, "m.room.create/?format=event")).ok();
        assert_eq!(
            (&create["sender"], &create["content"]["room_version"]),
            (&json!(alice.id), &json!(version))
        );
    }
}

#[test]
fn an_impossible_room_is_not_made() {
    let scene = one_server();
    let alice = scene.register("alice");
    let path = "POST /_matrix/client/v3/createRoom";
    let call = |request: Value| scene.call(Some(&alice), path, &request);
    call(json!({ "room_version": "99" })).refused(400, "M_UNSUPPORTED_ROOM_VERSION");
    call(json!({ "room_version": 11 })).refused(400, "M_BAD_JSON");
    call(json!({ "preset": "no_such" })).refused(400, "M_INVALID_PARAM");
    call(json!({ "initial_state": [{ "type": "a", "content": { "n": 1.5 } }] }))
        .refused(400, "M_BAD_JSON");
    let levels = json!({ "users": { &alice.id: 100 } });
    call(json!({ "room_version": "12", "power_level_content_override": levels }))
        .refused(400, "M_INVALID_ROOM_STATE");
    call(json!({ "room_alias_name": "taken", "initial_state": [{ "type": "m.room.create", "content": {} }] })).refused(400, "M_INVALID_ROOM_STATE");
    // The alias of the room that was not made is free.
    call(json!({ "room_alias_name": "taken" })).ok();
    call(json!({ "room_alias_name": "taken" })).refused(400, "M_ROOM_IN_USE");
}

#[test]
fn an_invited_user_joins_and_leaves() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "invite": [bob.id], "is_direct": true }));
    act(&scene, &bob, &room, "join", &json!({})).ok();
    let joined = scene.get(&alice, &format!("/_matrix/client/v3/rooms/{room}/joined_members")).ok();
    assert_eq!(joined["joined"].as_object().unwrap().len(), 2);
    assert_eq!(
        scene.get(&bob, "/_matrix/client/v3/joined_rooms").ok()["joined_rooms"],
        json!([room])
    );
    act(&scene, &bob, &room, "leave", &json!({})).ok();
    assert_eq!(scene.get(&bob, "/_matrix/client/v3/joined_rooms").ok()["joined_rooms"], json!([]));
    act(&scene, &bob, &room, "join", &json!({})).refused(403, "M_FORBIDDEN");
}

#[test]
fn kicks_and_bans_follow_the_membership() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    let target = json!({ "user_id": bob.id, "reason": "why" });
    act(&scene, &alice, &room, "kick", &target).refused(403, "M_FORBIDDEN");
    act(&scene, &bob, &room, "join", &json!({})).ok();
    act(&scene, &bob, &room, "ban", &json!({ "user_id": alice.id })).refused(403, "M_FORBIDDEN");
    act(&scene, &alice, &room, "kick", &target).ok();
    act(&scene, &alice, &room, "unban", &target).refused(403, "M_BAD_STATE");
    act(&scene, &alice, &room, "ban", &target).ok();
    act(&scene, &alice, &room, "kick", &target).refused(403, "M_BAD_STATE");
    act(&scene, &bob, &room, "join", &json!({})).refused(403, "M_FORBIDDEN");
    act(&scene, &alice, &room, "unban", &target).ok();
    act(&scene, &bob, &room, "join", &json!({})).ok();
}

#[test]
fn a_room_is_joined_by_its_alias() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat", "room_alias_name": "tea" }));
    let alias = "/_matrix/client/v3/directory/room/%23tea:example.org";
    let found = scene.call(None, &format!("GET {alias}"), &Value::Null).ok();
    let peer = Peer::new(&scene.simulation, "peer.test", 3);
    let ask = |alias: &str| {
        let line =
            format!("GET /_matrix/federation/v1/query/directory?room_alias={}", encode(alias));
        scene.signed(&peer, &line, None)
    };
    assert_eq!(ask("#tea:example.org").ok(), found);
    ask("#none:example.org").refused(404, "M_NOT_FOUND");
    ask("#tea:peer.test").refused(400, "M_INVALID_PARAM");
    assert_eq!(found, json!({ "room_id": room, "servers": ["example.org"] }));
    assert_eq!(
        scene.call(Some(&bob), "POST /_matrix/client/v3/join/%23tea:example.org", &json!({})).ok()
            ["room_id"],
        room
    );
    scene.call(Some(&bob), &format!("DELETE {alias}"), &Value::Null).refused(403, "M_FORBIDDEN");
    scene
        .call(Some(&bob), &format!("PUT {alias}"), &json!({ "room_id": room }))
        .refused(409, "M_UNKNOWN");
    let aliases = scene.get(&bob, &format!("/_matrix/client/v3/rooms/{room}/aliases")).ok();
    assert_eq!(aliases["aliases"], json!(["#tea:example.org"]));
    scene.call(Some(&alice), &format!("DELETE {alias}"), &Value::Null).ok();
    scene.call(None, &format!("GET {alias}"), &Value::Null).refused(404, "M_NOT_FOUND");
}

#[test]
fn outsiders_learn_nothing_of_a_room() {
    let scene = one_server();
    let (alice, eve) = (scene.register("alice"), scene.register("eve"));
    let room = scene.room(&alice, &json!({}));
    let event = scene.say(&alice, &room, "hello");
    for path in
        ["state", "state/m.room.create", "messages?dir=b", "members", "joined_members", "aliases"]
    {
        for room in [room.as_str(), "!nowhere:example.org"] {
            scene
                .get(&eve, &format!("/_matrix/client/v3/rooms/{room}/{path}"))
                .refused(403, "M_FORBIDDEN");
        }
    }
    scene
        .get(&eve, &format!("/_matrix/client/v3/rooms/{room}/event/{event}"))
        .refused(404, "M_NOT_FOUND");
    act(&scene, &eve, &room, "invite", &json!({ "user_id": eve.id })).refused(403, "M_FORBIDDEN");
    scene
        .call(Some(&eve), &format!("PUT {}", state(&room, "m.room.name")), &json!({ "name": "x" }))
        .refused(403, "M_FORBIDDEN");
}

#[test]
fn state_is_written_with_and_without_a_key() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    for (rest, read) in
        [("a", "a/"), ("b/", "b"), ("c/key", "c/key"), ("d/%2F%C3%A9", "d/%2F%C3%A9")]
    {
        let sent = scene
            .call(Some(&alice), &format!("PUT {}", state(&room, rest)), &json!({ "rest": rest }))
            .ok();
        assert!(text(&sent["event_id"]).starts_with('$'));
        assert_eq!(scene.get(&alice, &state(&room, read)).ok(), json!({ "rest": rest }));
    }
    scene.get(&alice, &state(&room, "a/other")).refused(404, "M_NOT_FOUND");
}

#[test]
fn an_alias_that_leads_elsewhere_is_not_canonical() {
    let scene = one_server();
    let alice = scene.register("alice");
    let (room, path) =
        (scene.room(&alice, &json!({ "room_alias_name": "tea" })), "m.room.canonical_alias");
    let put =
        |content: Value| scene.call(Some(&alice), &format!("PUT {}", state(&room, path)), &content);
    put(json!({ "alias": "#nowhere:example.org" })).refused(400, "M_BAD_ALIAS");
    put(json!({ "alias": "tea" })).refused(400, "M_INVALID_PARAM");
    put(json!({ "alias": "#tea:example.org", "alt_aliases": [1] })).refused(400, "M_BAD_JSON");
    put(json!({ "alias": "#tea:example.org" })).ok();
    put(json!({})).ok();
}

#[test]
fn an_alias_that_is_deleted_is_canonical_no_more() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat", "room_alias_name": "tea" }));
    act(&scene, &bob, &room, "join", &json!({})).ok();
    let path = |alias: &str| format!("/_matrix/client/v3/directory/room/%23{alias}:example.org");
    for (user, alias) in [(&alice, "cake"), (&bob, "jam")] {
        let line = format!("PUT {}", path(alias));
        scene.call(Some(user), &line, &json!({ "room_id": room })).ok();
    }
    let canonical = state(&room, "m.room.canonical_alias");
    let content = json!({
        "alias": "#tea:example.org",
        "alt_aliases": ["#cake:example.org", "#jam:example.org"],
        "more": { "x": 1 },
    });
    scene.call(Some(&alice), &format!("PUT {canonical}"), &content).ok();
    let delete = |user: &User, alias: &str| {
        scene.call(Some(user), &format!("DELETE {}", path(alias)), &Value::Null).ok();
        scene.get(&alice, &canonical).ok()
    };
    assert_eq!(delete(&bob, "jam"), content, "who made it may not say what the room is called");
    let without_tea = json!({ "alt_aliases": content["alt_aliases"], "more": { "x": 1 } });
    assert_eq!(delete(&alice, "tea"), without_tea);
    assert_eq!(
        delete(&alice, "cake"),
        json!({ "alt_aliases": ["#jam:example.org"], "more": { "x": 1 } })
    );
}

#[test]
fn an_acl_must_not_shut_this_server_out() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let put = |content: Value| {
        scene.call(Some(&alice), &format!("PUT {}", state(&room, "m.room.server_acl")), &content)
    };
    put(json!({ "allow": [] })).refused(403, "M_FORBIDDEN");
    put(json!({ "allow": ["*"], "deny": ["evil.org"] })).ok();
}

#[test]
fn a_join_may_say_more_but_not_what_servers_say() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    let body = json!({
        "reason": "why", "org.example.own": 1, "membership": "ban",
        "join_authorised_via_users_server": alice.id, "third_party_signed": null,
    });
    scene.act(&bob, &room, "join", &body).ok();
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", bob.id);
    let expected = json!({
        "membership": "join", "displayname": "bob", "reason": "why", "org.example.own": 1,
    });
    assert_eq!(scene.get(&alice, &path).ok(), expected);
    let carol = scene.register("carol");
    let deep = (0..200).fold(json!(1), |inner, _| json!({ "a": inner }));
    for body in [json!({ "a": 1.5 }), json!({ "a": 9_007_199_254_740_992_u64 }), deep] {
        scene.act(&carol, &room, "join", &body).refused(400, "M_BAD_JSON");
    }
    scene.act(&carol, &room, "join", &json!([])).refused(400, "M_BAD_JSON");
    scene
        .act(&carol, &room, "join", &json!({ "a": "x".repeat(70_000) }))
        .refused(413, "M_TOO_LARGE");
    scene.act(&carol, &room, "join", &json!({ "reason": null })).ok();
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", carol.id);
    assert_eq!(
        scene.get(&alice, &path).ok(),
        json!({ "membership": "join", "displayname": "carol" })
    );
}
