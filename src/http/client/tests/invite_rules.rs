//! Whose invites does a user get?
//! ([invite permission](https://spec.matrix.org/v1.19/client-server-api/#invite-permission))

use serde_json::{Value, json};
use tombolo_support::{Answer, Scene, User, text};

use super::one_server;

const BLOCKING: &str = "m.invite_permission_config";
const UNSTABLE: &str = "org.matrix.msc4380.invite_permission_config";
const FILTERING: &str = "org.matrix.msc4155.invite_permission_config";

fn set(scene: &Scene, user: &User, kind: &str, content: &Value) {
    let line = format!("PUT /_matrix/client/v3/user/{}/account_data/{kind}", user.id);
    scene.call(Some(user), &line, content).ok();
}

fn invite(scene: &Scene, inviter: &User, user: &User) -> (String, Answer) {
    let room = scene.room(inviter, &json!({}));
    let answer = scene.act(inviter, &room, "invite", &json!({ "user_id": user.id }));
    (room, answer)
}

/// The rooms to which a user is shown to be invited, by a sync with these parameters.
fn invites(scene: &Scene, user: &User, parameters: &str) -> Vec<String> {
    scene.pass(5000);
    let sync = scene.sync(user, parameters);
    let invites = sync["rooms"]["invite"].as_object().cloned().unwrap_or_default();
    invites.into_iter().map(|(room, _)| room).collect()
}

#[test]
fn who_blocks_all_invites_can_be_invited_in_no_way() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    for (kind, content) in [
        (UNSTABLE, json!({ "default_action": "block" })),
        (UNSTABLE, json!({ "block_all": true })),
        (FILTERING, json!({ "blocked_servers": ["*"] })),
        (BLOCKING, json!({ "default_action": "block" })),
    ] {
        set(&scene, &alice, kind, &content);
        let (room, answer) = invite(&scene, &bob, &alice);
        answer.refused(403, "M_INVITE_BLOCKED");
        let member = format!("state/m.room.member/{}", alice.id);
        scene
            .put(&bob, &room, &member, &json!({ "membership": "invite" }))
            .refused(403, "M_INVITE_BLOCKED");
        // What two readers could read in two ways is read in one.
        let line = format!("PUT /_matrix/client/v3/rooms/{room}/{member}");
        let twice = r#"{"membership":"leave","membership":"invite"}"#.to_owned();
        scene.send(Some(&bob), &line, twice).refused(403, "M_INVITE_BLOCKED");
        let create = "POST /_matrix/client/v3/createRoom";
        let state = json!({
            "type": "m.room.member",
            "state_key": alice.id,
            "content": { "membership": "invite" },
        });
        let request = json!({ "initial_state": [state] });
        scene.call(Some(&bob), create, &request).refused(400, "M_BAD_JSON");
        let request = json!({ "invite": [alice.id], "room_alias_name": "taken" });
        scene.call(Some(&bob), create, &request).refused(403, "M_INVITE_BLOCKED");
        let alias = format!("/_matrix/client/v3/directory/room/%23taken:{}", "example.org");
        scene.get(&bob, &alias).refused(404, "M_NOT_FOUND");
        assert!(invites(&scene, &alice, "").is_empty());
        let path = format!("/_matrix/client/v3/rooms/{room}/{member}");
        scene.get(&bob, &path).refused(404, "M_NOT_FOUND");
        set(&scene, &alice, kind, &json!({}));
        scene.act(&bob, &room, "invite", &json!({ "user_id": alice.id })).ok();
        assert_eq!(invites(&scene, &alice, ""), [&*room]);
        scene.act(&alice, &room, "leave", &json!({})).ok();
    }
}

#[test]
fn the_stable_item_says_more_than_the_one_of_the_proposal() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    set(&scene, &alice, UNSTABLE, &json!({ "default_action": "block" }));
    set(&scene, &alice, BLOCKING, &json!({ "default_action": "allow" }));
    invite(&scene, &bob, &alice).1.ok();
    set(&scene, &alice, BLOCKING, &json!({ "default_action": "block" }));
    invite(&scene, &bob, &alice).1.refused(403, "M_INVITE_BLOCKED");
    set(&scene, &alice, BLOCKING, &json!({}));
    invite(&scene, &bob, &alice).1.ok();
    set(&scene, &alice, FILTERING, &json!({ "blocked_users": [bob.id] }));
    invite(&scene, &bob, &alice).1.refused(403, "M_INVITE_BLOCKED");
}

#[test]
fn an_ignored_invite_is_made_and_shown_nowhere() {
    let scene = one_server();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| scene.register(name));
    set(&scene, &alice, FILTERING, &json!({ "ignored_users": [bob.id] }));
    let since = text(&scene.sync(&alice, "")["next_batch"]);
    let (ignored, answer) = invite(&scene, &bob, &alice);
    answer.ok();
    let (shown, answer) = invite(&scene, &carol, &alice);
    answer.ok();
    for parameters in [String::new(), format!("since={since}")] {
        assert_eq!(invites(&scene, &alice, &parameters), [&*shown], "{parameters}");
    }
    let notices = scene.get(&alice, "/_matrix/client/v3/notifications").ok();
    let notices = notices["notifications"].as_array().unwrap();
    let rooms: Vec<&Value> = notices.iter().map(|notice| &notice["room_id"]).collect();
    assert_eq!(rooms, [&json!(shown)]);
    scene.act(&alice, &ignored, "join", &json!({})).ok();
    assert!(scene.sync(&alice, "")["rooms"]["join"][&ignored].is_object());
}

#[test]
fn invites_that_were_there_are_hidden_while_all_are_blocked() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let since = text(&scene.sync(&alice, "")["next_batch"]);
    let (room, answer) = invite(&scene, &bob, &alice);
    answer.ok();
    for (kind, blocking) in [
        (BLOCKING, json!({ "default_action": "block" })),
        (FILTERING, json!({ "blocked_users": ["@b?b:*"] })),
    ] {
        set(&scene, &alice, kind, &blocking);
        for parameters in [String::new(), format!("since={since}")] {
            assert!(invites(&scene, &alice, &parameters).is_empty(), "{kind}");
        }
        set(&scene, &alice, kind, &json!({}));
        assert_eq!(invites(&scene, &alice, ""), [&*room], "{kind}");
    }
}

#[test]
fn lists_have_so_many_patterns() {
    let scene = one_server();
    let alice = scene.register("alice");
    let line = format!("PUT /_matrix/client/v3/user/{}/account_data/{FILTERING}", alice.id);
    let lists = |patterns: usize| json!({ "blocked_users": vec!["@a:*"; patterns] });
    scene.call(Some(&alice), &line, &lists(1000)).ok();
    scene.call(Some(&alice), &line, &lists(1001)).refused(400, "M_INVALID_PARAM");
}

#[test]
fn clients_are_told_that_invites_are_filtered() {
    let scene = one_server();
    let alice = scene.register("alice");
    let features = scene.get(&alice, "/_matrix/client/versions").ok()["unstable_features"].clone();
    for name in [
        "org.matrix.msc3391",
        "org.matrix.msc4155",
        "org.matrix.msc4380",
        "org.matrix.msc4380.stable",
        "uk.tcpip.msc4133.stable",
    ] {
        assert_eq!(features[name], json!(true), "{name}");
    }
}
