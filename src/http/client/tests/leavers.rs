//! What does a room show to a user who left, joined later, or was never in it?

use serde_json::{Value, json};
use tombolo_support::{Answer, Scene, User, text};

use super::one_server;

fn join(scene: &Scene, user: &User, room: &str) {
    scene.call(Some(user), &format!("POST /_matrix/client/v3/join/{room}"), &json!({})).ok();
}

fn leave(scene: &Scene, user: &User, room: &str) {
    let line = format!("POST /_matrix/client/v3/rooms/{room}/leave");
    scene.call(Some(user), &line, &json!({})).ok();
}

fn rename(scene: &Scene, user: &User, name: &str) {
    let line = format!("PUT /_matrix/client/v3/profile/{}/displayname", user.id);
    scene.call(Some(user), &line, &json!({ "displayname": name })).ok();
}

fn redact(scene: &Scene, user: &User, room: &str, event: &str) {
    let line = format!("PUT /_matrix/client/v3/rooms/{room}/redact/{event}/redaction");
    scene.call(Some(user), &line, &json!({ "reason": "nobody's business" })).ok();
}

/// Who was joined at a token, as a user is told.
fn joined_at(scene: &Scene, user: &User, room: &str, at: &str) -> Vec<String> {
    let path = format!("/_matrix/client/v3/rooms/{room}/members?membership=join&at={at}");
    let members = scene.get(user, &path).ok();
    let mut joined: Vec<String> = members["chunk"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| text(&member["state_key"]))
        .collect();
    joined.sort();
    joined
}

/// The token of the newest position in a room.
fn newest(scene: &Scene, user: &User, room: &str) -> String {
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=1");
    text(&scene.get(user, &path).ok()["start"])
}

#[test]
fn who_left_sees_the_senders_as_they_were_then() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    rename(&scene, &alice, "before");
    join(&scene, &bob, &room);
    scene.say(&alice, &room, "hello");
    leave(&scene, &bob, &room);
    rename(&scene, &alice, "after");
    let filter = "%7B%22lazy_load_members%22%3Atrue%7D";
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&filter={filter}");
    let name = |user: &User| {
        let page = scene.get(user, &path).ok();
        let of_alice = |member: &&Value| member["state_key"] == alice.id.as_str();
        let member = page["state"].as_array().unwrap().iter().find(of_alice).cloned();
        text(&member.unwrap()["content"]["displayname"])
    };
    assert_eq!((name(&bob), name(&alice)), ("before".to_owned(), "after".to_owned()));
}

#[test]
fn a_page_shows_its_senders_as_they_were_when_it_ends() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    rename(&scene, &alice, "before");
    scene.say(&alice, &room, "hello");
    let place = newest(&scene, &alice, &room);
    rename(&scene, &alice, "after");
    let filter = "%7B%22lazy_load_members%22%3Atrue%7D";
    let path =
        format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&from={place}&filter={filter}");
    let page = scene.get(&alice, &path).ok();
    assert_eq!(page["state"][0]["content"]["displayname"], "before", "{page}");
}

#[test]
fn who_came_later_is_told_the_members_of_earlier_as_visibility_says() {
    for (visibility, earlier) in [("joined", false), ("shared", true)] {
        let scene = one_server();
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| scene.register(name));
        let visible = json!({ "type": "m.room.history_visibility", "state_key": "", "content": { "history_visibility": visibility } });
        let request = json!({ "preset": "public_chat", "initial_state": [visible] });
        let room = scene.room(&alice, &request);
        join(&scene, &carol, &room);
        let place = newest(&scene, &alice, &room);
        leave(&scene, &carol, &room);
        join(&scene, &bob, &room);
        let both = [alice.id.clone(), carol.id.clone()];
        assert_eq!(joined_at(&scene, &alice, &room, &place), both);
        let told = joined_at(&scene, &bob, &room, &place);
        assert_eq!(told.contains(&carol.id), earlier, "{visibility}: {told:?}");
        assert_eq!(told.contains(&bob.id), !earlier, "{visibility}: {told:?}");
    }
}

#[test]
fn who_left_before_a_redaction_does_not_learn_of_it() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    join(&scene, &bob, &room);
    let said = scene.say(&alice, &room, "hello");
    leave(&scene, &bob, &room);
    redact(&scene, &alice, &room, &said);
    let path = format!("/_matrix/client/v3/rooms/{room}/event/{said}");
    let because = |user: &User| scene.get(user, &path).ok()["unsigned"]["redacted_because"].clone();
    assert!(because(&alice)["content"]["reason"].is_string());
    assert_eq!(because(&bob), Value::Null);
}

#[test]
fn a_stranger_who_kicks_or_unbans_learns_nobodys_membership() {
    let scene = one_server();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| scene.register(name));
    let mallory = scene.register("mallory");
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    join(&scene, &bob, &room);
    let ban = json!({ "user_id": &carol.id });
    scene.call(Some(&alice), &format!("POST /_matrix/client/v3/rooms/{room}/ban"), &ban).ok();
    for deed in ["kick", "unban"] {
        let told = |user: &str| {
            let line = format!("POST /_matrix/client/v3/rooms/{room}/{deed}");
            let Answer { status, body, .. } =
                scene.call(Some(&mallory), &line, &json!({ "user_id": user }));
            (status, body.to_string())
        };
        let nobody = told("@nobody:example.org");
        assert_eq!(nobody.0, 403);
        for user in [&alice.id, &bob.id, &carol.id] {
            assert_eq!(told(user), nobody, "{deed} {user}");
        }
    }
}

#[test]
fn an_invite_or_a_knock_ends_although_everybody_left() {
    let scene = one_server();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| scene.register(name));
    let knocking = json!({ "type": "m.room.join_rules", "state_key": "", "content": { "join_rule": "knock" } });
    let room = scene.room(&alice, &json!({ "invite": [bob.id], "initial_state": [knocking] }));
    let line = format!("POST /_matrix/client/v3/knock/{room}");
    scene.call(Some(&carol), &line, &json!({})).ok();
    leave(&scene, &alice, &room);
    for (user, section) in [(&bob, "invite"), (&carol, "knock")] {
        assert!(scene.sync(user, "")["rooms"][section][&room].is_object(), "{section}");
        leave(&scene, user, &room);
        assert_eq!(scene.sync(user, "")["rooms"][section][&room], Value::Null);
    }
    scene.put(&bob, &room, "send/m.room.message/1", &json!({})).refused(403, "M_FORBIDDEN");
}

#[test]
fn who_left_may_ask_what_became_of_a_request() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let say = || scene.put(&alice, &room, "send/m.room.message/0", &json!({})).ok();
    let said = say();
    leave(&scene, &alice, &room);
    assert_eq!(say(), said);
    let another = scene.put(&alice, &room, "send/m.room.message/1", &json!({}));
    another.refused(403, "M_FORBIDDEN");
}

#[test]
fn who_redacted_knows_their_request_again() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let said = scene.say(&alice, &room, "hello");
    redact(&scene, &alice, &room, &said);
    let synced = scene.sync(&alice, "");
    let timeline = synced["rooms"]["join"][&room]["timeline"]["events"].as_array().unwrap();
    let event = timeline.iter().find(|event| event["event_id"] == said.as_str()).unwrap();
    let because = &event["unsigned"]["redacted_because"];
    assert_eq!(because["unsigned"]["transaction_id"], "redaction");
    assert_eq!(because["room_id"], Value::Null);
    let path = format!("/_matrix/client/v3/rooms/{room}/event/{said}");
    let event = scene.get(&alice, &path).ok();
    assert_eq!(event["unsigned"]["redacted_because"]["room_id"], room.as_str());
}

#[test]
fn a_stranger_who_sets_aliases_does_not_learn_whether_the_room_is_here() {
    let scene = one_server();
    let (alice, mallory) = (scene.register("alice"), scene.register("mallory"));
    let room = scene.room(&alice, &json!({}));
    let told = |room: &str| {
        let line = format!("PUT /_matrix/client/v3/rooms/{room}/state/m.room.canonical_alias");
        let content = json!({ "alias": "#tea:example.org" });
        let Answer { status, body, .. } = scene.call(Some(&mallory), &line, &content);
        (status, body)
    };
    let nowhere = told("!nowhere:example.org");
    assert_eq!((nowhere.0, &nowhere.1["errcode"]), (403, &json!("M_FORBIDDEN")));
    assert_eq!(told(&room), nowhere);
}

#[test]
fn who_is_invited_again_is_not_told_once_more_that_they_left() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    join(&scene, &bob, &room);
    leave(&scene, &bob, &room);
    let since = text(&scene.get(&bob, "/_matrix/client/v3/sync").ok()["next_batch"]);
    let line = format!("POST /_matrix/client/v3/rooms/{room}/invite");
    scene.call(Some(&alice), &line, &json!({ "user_id": bob.id })).ok();
    for whole in ["", "&full_state=true"] {
        let path = format!("/_matrix/client/v3/sync?since={since}{whole}");
        let rooms = scene.get(&bob, &path).ok()["rooms"].clone();
        assert!(rooms["invite"][&room].is_object(), "{rooms}");
        assert!(rooms["leave"].is_null(), "{rooms}");
    }
}

#[test]
fn where_a_timeline_begins_with_the_room_the_creator_is_in_it() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    let first = scene.sync(&alice, "");
    let begins = text(&first["rooms"]["join"][&room]["timeline"]["prev_batch"]);
    join(&scene, &bob, &room);
    for at in ["t0", &begins] {
        for user in [&alice, &bob] {
            assert_eq!(joined_at(&scene, user, &room, at), [alice.id.as_str()], "{at}");
        }
    }
}
