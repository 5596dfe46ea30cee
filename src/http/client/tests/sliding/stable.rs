//! What differs in the form of the proposal that was accepted?

use serde_json::{Value, json};
use tombolo_support::{Pair, User, encode};

use super::*;
use crate::app::Tombolo;

const STABLE: &str = "POST /_matrix/client/v4/sync";

#[test]
fn everything_is_in_the_body_and_has_its_new_name() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "name": "n", "preset": "public_chat" }));
    let invited = scene.room(&bob, &json!({ "invite": [alice.id] }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.say(&alice, &room, "one");
    scene.say(&alice, &room, "two");
    settle(&scene);
    let include = json!([{}, { "type": "m.room.member", "state_key": alice.id }]);
    let exclude = json!([{ "type": "m.room.create" }]);
    let required = json!({ "include": include, "exclude": exclude, "lazy_members": true });
    let list = |limit: u32| json!({ "range": [0, 9], "timeline_limit": limit, "required_state": required });
    let ask = |pos: Value, lists: Value| {
        let body = json!({ "conn_id": "main", "pos": pos, "timeout": 0, "lists": lists });
        scene.call(Some(&alice), STABLE, &body).ok()
    };
    let first = ask(json!(null), json!({ "a": list(1), "b": list(1) }));
    let shown = &first["rooms"][&room];
    assert_eq!((&shown["membership"], &shown["lists"]), (&json!("join"), &json!(["a", "b"])));
    let keys = state(shown);
    let member = |user: &User| pairs(&[("m.room.member", &user.id)])[0].clone();
    assert!(keys.contains(&member(&alice)) && !keys.contains(&member(&bob)));
    assert!(!keys.contains(&pairs(&[("m.room.create", "")])[0]));
    assert!(shown.get("notification_count").is_none());
    let invite = &first["rooms"][&invited];
    assert_eq!(invite["membership"], "invite");
    assert!(invite["stripped_state"].is_array() && invite.get("invite_state").is_none());
    let second = ask(first["pos"].clone(), json!({ "a": list(2) }));
    let shown = &second["rooms"][&room];
    assert_eq!((said(shown).len(), &shown["expanded_timeline"]), (2, &json!(true)));
    assert_eq!(second["lists"], json!({ "a": { "count": 2 } }));
}

#[test]
fn what_is_unread_is_no_news_where_it_is_not_said() {
    let scene = one_server();
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    let event = scene.say(&bob, &room, "one");
    settle(&scene);
    let list = json!({ "range": [0, 9], "timeline_limit": 1, "required_state": {} });
    let ask = |pos: &Value| {
        let body = json!({ "pos": pos, "lists": { "all": list } });
        scene.call(Some(&alice), STABLE, &body).ok()
    };
    let first = ask(&json!(null));
    let read = format!("POST /_matrix/client/v3/rooms/{room}/receipt/m.read/{}", encode(&event));
    scene.call(Some(&alice), &read, &json!({})).ok();
    settle(&scene);
    assert_eq!(ask(&first["pos"])["rooms"], json!({}));
}

#[test]
fn an_invite_that_ended_is_left_by_who_ended_it() {
    let two = Pair::new(std::rc::Rc::new(Tombolo), ["example.org", "other.test:8448"]);
    for by_alice in [true, false] {
        let room = two.scene.room(&two.alice, &json!({ "invite": [two.bob.id] }));
        settle(&two.scene);
        let list = json!({ "range": [0, 9], "timeline_limit": 1, "required_state": {} });
        let stable = |pos: &Value| {
            let body = json!({ "conn_id": "stable", "pos": pos, "lists": { "all": list } });
            two.scene.call(Some(&two.bob), STABLE, &body).ok()
        };
        let mut client = Client::of(&two.scene, &two.bob, 5);
        assert!(client.next_of(&room)["invite_state"].is_array());
        let first = stable(&json!(null));
        assert_eq!(first["rooms"][&room]["membership"], "invite");
        let by = match by_alice {
            true => {
                let kick = json!({ "user_id": two.bob.id });
                two.scene.act(&two.alice, &room, "kick", &kick).ok();
                &two.alice
            }
            false => {
                two.scene.act(&two.bob, &room, "leave", &json!({})).ok();
                &two.bob
            }
        };
        settle(&two.scene);
        let second = stable(&first["pos"])["rooms"][&room].clone();
        assert_eq!(second["membership"], "leave");
        for left in [client.next_of(&room), second] {
            let leave = &left["required_state"][0];
            assert_eq!(leave["content"]["membership"], "leave", "{left}");
            assert_eq!([&leave["sender"], &leave["state_key"]], [&by.id, &two.bob.id]);
            for hidden in ["prev_batch", "invite_state", "stripped_state"] {
                assert!(left.get(hidden).is_none(), "{hidden}");
            }
        }
        assert_eq!(client.next()["rooms"], json!({}));
    }
}

#[test]
fn state_and_limits_have_to_be_said() {
    let scene = one_server();
    let alice = scene.register("alice");
    for wrong in [
        json!({ "lists": { "a": { "timeline_limit": 1 } } }),
        json!({ "lists": { "a": { "required_state": {} } } }),
        json!({ "lists": { "a": { "timeline_limit": 1, "required_state": [["*", "*"]] } } }),
        json!([]),
        json!({ "timeout": "soon" }),
    ] {
        scene.call(Some(&alice), STABLE, &wrong).refused(400, "M_BAD_JSON");
    }
    let room = json!({ "timeline_limit": 1, "required_state": {} });
    let rooms: serde_json::Map<_, _> =
        (0..101).map(|n| (format!("!{n}:x"), room.clone())).collect();
    let many = json!({ "room_subscriptions": rooms });
    scene.call(Some(&alice), STABLE, &many).refused(400, "M_INVALID_PARAM");
    scene.call(Some(&alice), STABLE, &json!({ "pos": "s1" })).refused(400, "M_UNKNOWN_POS");
}

#[test]
fn names_of_lists_are_opaque_identifiers() {
    let scene = one_server();
    let alice = scene.register("alice");
    let list = json!({ "timeline_limit": 1, "required_state": {} });
    let asks = |name: &str| scene.call(Some(&alice), STABLE, &json!({ "lists": { name: list } }));
    for name in ["Foo-list_1.2~3", "a", &"x".repeat(255)] {
        asks(name).ok();
    }
    for name in ["", "a b", "ä", "a/b", "*", &"x".repeat(256)] {
        asks(name).refused(400, "M_INVALID_PARAM");
    }
}
