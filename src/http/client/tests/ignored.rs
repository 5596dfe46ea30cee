//! What does a user see of those they ignore?

use serde_json::{Value, json};
use tombolo_support::{Scene, User, text};

use super::one_server;

fn ignore(scene: &Scene, user: &User, ignored: &[&User]) {
    let users: serde_json::Map<String, Value> =
        ignored.iter().map(|user| (user.id.clone(), json!({}))).collect();
    let line = format!("PUT /_matrix/client/v3/user/{}/account_data/m.ignored_user_list", user.id);
    scene.call(Some(user), &line, &json!({ "ignored_users": users })).ok();
}

fn bodies(events: &Value) -> Vec<String> {
    let events = events.as_array().cloned().unwrap_or_default();
    let bodies = events.iter().filter_map(|event| event["content"]["body"].as_str());
    bodies.map(str::to_owned).collect()
}

fn invite(scene: &Scene, user: &User, invited: &User) -> String {
    scene.room(user, &json!({ "invite": [invited.id] }))
}

#[test]
fn their_messages_vanish_and_their_state_stays() {
    let scene = one_server();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    for user in [&bob, &carol] {
        scene.act(user, &room, "join", &json!({})).ok();
    }
    let levels = json!({ "users": { &alice.id: 100, &bob.id: 50 } });
    scene.put(&alice, &room, "state/m.room.power_levels", &levels).ok();
    ignore(&scene, &alice, &[&bob, &alice]);
    let since = text(&scene.sync(&alice, "")["next_batch"]);
    let [_, unheard, heard] = [(&alice, "mine"), (&bob, "unheard"), (&carol, "heard")]
        .map(|(user, body)| scene.say(user, &room, body));
    let name = scene.put(&bob, &room, "state/m.room.name", &json!({ "name": "Bob's" })).ok();
    let one = |user: &User, event: &str| {
        scene.get(user, &format!("/_matrix/client/v3/rooms/{room}/event/{event}"))
    };
    one(&alice, &unheard).refused(404, "M_NOT_FOUND");
    one(&carol, &unheard).ok();
    for event in [&heard, &text(&name["event_id"])] {
        one(&alice, event).ok();
    }
    let timeline = |user: &User, since: &str| {
        scene.pass(5000);
        scene.sync(user, &format!("since={since}"))["rooms"]["join"][&room]["timeline"].clone()
    };
    let shown = timeline(&alice, &since);
    assert_eq!(bodies(&shown["events"]), ["mine", "heard"]);
    assert_eq!(shown["events"].as_array().unwrap().last().unwrap()["type"], "m.room.name");
    let page = |dir: &str| {
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir={dir}&limit=2&from=");
        let path = if dir == "f" { format!("{path}{since}") } else { path.replace("&from=", "") };
        bodies(&scene.get(&alice, &path).ok()["chunk"])
    };
    assert_eq!(page("f"), ["mine", "heard"], "what is left out takes nobody's place");
    assert_eq!(page("b"), ["heard"]);
    assert!(bodies(&timeline(&carol, "s0")["events"]).contains(&"unheard".to_owned()));
}

#[test]
fn who_is_ignored_no_more_is_heard_from_then_on() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    ignore(&scene, &alice, &[&bob]);
    scene.pass(5000);
    let since = text(&scene.sync(&alice, "")["next_batch"]);
    scene.say(&bob, &room, "unheard");
    scene.pass(5000);
    let news = scene.sync(&alice, &format!("since={since}"));
    assert!(news.get("rooms").is_none(), "{news}");
    let since = text(&news["next_batch"]);
    ignore(&scene, &alice, &[]);
    scene.say(&bob, &room, "heard");
    scene.pass(5000);
    let news = scene.sync(&alice, &format!("since={since}"));
    assert_eq!(bodies(&news["rooms"]["join"][&room]["timeline"]["events"]), ["heard"]);
    let all = scene.sync(&alice, "");
    assert_eq!(bodies(&all["rooms"]["join"][&room]["timeline"]["events"]), ["unheard", "heard"]);
}

#[test]
fn their_invites_are_not_shown() {
    let scene = one_server();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| scene.register(name));
    ignore(&scene, &alice, &[&bob]);
    let since = text(&scene.sync(&alice, "")["next_batch"]);
    let (of_bob, of_carol) = (invite(&scene, &bob, &alice), invite(&scene, &carol, &alice));
    for parameters in [String::new(), format!("since={since}")] {
        let invites = scene.sync(&alice, &parameters)["rooms"]["invite"].clone();
        assert!(invites[&of_carol].is_object() && invites.get(&of_bob).is_none(), "{invites}");
    }
    ignore(&scene, &alice, &[&carol]);
    let invites = scene.sync(&alice, "")["rooms"]["invite"].clone();
    assert!(invites[&of_bob].is_object() && invites.get(&of_carol).is_none(), "{invites}");
    scene.act(&alice, &of_carol, "join", &json!({})).ok();
    assert!(scene.sync(&alice, "")["rooms"]["join"][&of_carol].is_object());
}

#[test]
fn a_list_without_form_ignores_nobody() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let line = format!("PUT /_matrix/client/v3/user/{}/account_data/m.ignored_user_list", alice.id);
    for content in
        [json!({}), json!({ "ignored_users": [bob.id] }), json!({ "ignored_users": { "bob": {} } })]
    {
        scene.call(Some(&alice), &line, &content).ok();
        let room = invite(&scene, &bob, &alice);
        assert!(scene.sync(&alice, "")["rooms"]["invite"][&room].is_object(), "{content}");
    }
}
