//! What is found by words, and by whom?
//! ([search](https://spec.matrix.org/v1.19/client-server-api/#server-side-search))

use serde_json::{Value, json};
use tombolo_support::{Answer, Scene, User, text};

use super::one_server;

fn ask(scene: &Scene, user: &User, query: &str, criteria: &Value) -> Answer {
    let line = format!("POST /_matrix/client/v3/search{query}");
    scene.call(Some(user), &line, &json!({ "search_categories": { "room_events": criteria } }))
}

#[track_caller]
fn search(scene: &Scene, user: &User, criteria: &Value) -> Value {
    ask(scene, user, "", criteria).ok()["search_categories"]["room_events"].clone()
}

fn ids(found: &Value) -> Vec<String> {
    let results = found["results"].as_array().unwrap().iter();
    results.map(|result| text(&result["result"]["event_id"])).collect()
}

fn term(term: &str) -> Value {
    json!({ "search_term": term, "order_by": "recent" })
}

#[test]
fn words_are_found_in_whatever_form_and_case() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({ "name": "Harbour of ships", "topic": "On sailing" }));
    let [one, two] =
        ["Hello, world!", "worlds apart or so"].map(|body| scene.say(&alice, &room, body));
    let found = |words: &str| ids(&search(&scene, &alice, &term(words)));
    assert_eq!(found("WORLD"), [&*two, &*one]);
    assert_eq!(found("world hello"), [&*one]);
    assert_eq!(found("\"world hello\""), [""; 0]);
    assert_eq!(found("\"hello world\""), [&*one]);
    assert_eq!(found("world -hello"), [&*two]);
    assert_eq!(found("hello or apart"), [&*two, &*one]);
    assert_eq!(found("wor"), [""; 0]);
    assert_eq!((found("harbours").len(), found("sail").len()), (1, 1));
    let keyed = |keys: Value| {
        ids(&search(
            &scene,
            &alice,
            &json!({ "search_term": "harbour sailing or ships", "keys": keys }),
        ))
        .len()
    };
    assert_eq!(keyed(json!(["content.name"])), 1);
    assert_eq!((keyed(json!(["content.body", "content.topic"])), keyed(json!([]))), (0, 0));
    for harmless in [
        "",
        "%_'\"\\",
        "*",
        "body:x",
        "NEAR(a b)",
        "{body}:",
        "a AND",
        "(",
        "^",
        "-",
        "\u{0}a",
        "\"",
        "or",
    ] {
        search(&scene, &alice, &term(harmless));
    }
    search(&scene, &alice, &term(&"x\" ".repeat(300)));
    ask(&scene, &alice, "", &term(&"x\" ".repeat(400))).refused(400, "M_INVALID_PARAM");
    let bad = json!({ "search_term": "x", "keys": ["content.other"] });
    ask(&scene, &alice, "", &bad).refused(400, "M_INVALID_PARAM");
    let bad = json!({ "search_term": "x", "order_by": "other" });
    ask(&scene, &alice, "", &bad).refused(400, "M_INVALID_PARAM");
    ask(&scene, &alice, "?next_batch=x", &term("x")).refused(400, "M_INVALID_PARAM");
    ask(&scene, &alice, "", &json!({})).refused(400, "M_BAD_JSON");
}

#[test]
fn a_topic_is_found_by_each_of_its_texts() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let topic = json!({ "topic": "sailing", "m.topic": { "m.text": [
        { "body": "<b>rowing</b> markup", "mimetype": "text/html" }, { "body": "rowing" }] } });
    scene.put(&alice, &room, "state/m.room.topic", &topic).ok();
    let found = |words: &str| ids(&search(&scene, &alice, &term(words))).len();
    assert_eq!((found("sailing"), found("rowing"), found("markup")), (1, 1, 0));
}

#[test]
fn pages_go_on_over_all_rooms() {
    for order in ["recent", "rank"] {
        let scene = one_server();
        let alice = scene.register("alice");
        let rooms = [(); 3].map(|()| scene.room(&alice, &json!({})));
        let mut said: Vec<String> = (0..13)
            .map(|number| scene.say(&alice, &rooms[number % 3], &format!("message {number}")))
            .collect();
        let criteria =
            json!({ "search_term": "message", "order_by": order, "filter": { "limit": 5 } });
        let (mut all, mut query) = (Vec::new(), String::new());
        loop {
            let page = ask(&scene, &alice, &query, &criteria).ok();
            let page = page["search_categories"]["room_events"].clone();
            assert_eq!((&page["count"], &page["highlights"]), (&json!(13), &json!(["message"])));
            all.extend(ids(&page));
            match page["next_batch"].as_str() {
                Some(next) => query = format!("?next_batch={next}"),
                None => break,
            }
        }
        if order == "rank" {
            all.sort();
            said.sort();
        } else {
            let path = |event: &String| {
                let path = |room: &String| format!("/_matrix/client/v3/rooms/{room}/event/{event}");
                rooms
                    .iter()
                    .map(|room| scene.get(&alice, &path(room)))
                    .find(|answer| answer.status == 200)
            };
            let times: Vec<u64> = all
                .iter()
                .map(|event| path(event).unwrap().ok()["origin_server_ts"].as_u64().unwrap())
                .collect();
            assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
            all.sort();
            said.sort();
        }
        assert_eq!(all, said);
    }
}

#[test]
fn what_was_redacted_is_found_no_more() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let [secret, open] = ["a secret", "no secret"].map(|body| scene.say(&alice, &room, body));
    let found = || ids(&search(&scene, &alice, &term("secret")));
    assert_eq!(found(), [&*open, &*secret]);
    let later = scene.say(&alice, &room, "a later secret");
    for (event, txn) in [(&secret, "1"), (&later, "2")] {
        scene.put(&alice, &room, &format!("redact/{event}/{txn}"), &json!({})).ok();
    }
    assert_eq!(found(), [open]);
}

#[test]
fn each_finds_what_they_may_see() {
    let scene = one_server();
    let [alice, bob, carl] = ["alice", "bob", "carl"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    let hidden = json!({ "history_visibility": "joined" });
    scene.set(&alice, &room, ("m.room.history_visibility", ""), &hidden);
    let say = |user: &User| scene.say(user, &room, "word");
    let before = say(&alice);
    scene.act(&bob, &room, "join", &json!({})).ok();
    let during = say(&alice);
    scene.act(&bob, &room, "leave", &json!({})).ok();
    let after = say(&alice);
    scene.pass(5000);
    let found = |user: &User| {
        let found = search(&scene, user, &term("word"));
        (found["count"].as_u64().unwrap(), ids(&found))
    };
    assert_eq!(found(&bob), (1, vec![during.clone()]), "not even the count tells of more");
    assert_eq!(found(&alice), (3, vec![after, during, before]));
    assert_eq!(found(&carl), (0, vec![]));
    let named = json!({ "search_term": "word", "filter": { "rooms": [room] } });
    assert_eq!(search(&scene, &carl, &named)["count"], 0);
    scene.act(&bob, &room, "forget", &json!({})).ok();
    assert_eq!(found(&bob), (0, vec![]));
    let line = format!("PUT /_matrix/client/v3/user/{}/account_data/m.ignored_user_list", carl.id);
    scene.act(&carl, &room, "join", &json!({})).ok();
    say(&alice);
    scene.pass(5000);
    assert_eq!(found(&carl).0, 1);
    scene.call(Some(&carl), &line, &json!({ "ignored_users": { &alice.id: {} } })).ok();
    assert_eq!(found(&carl).0, 0);
}

#[test]
fn what_stands_around_a_result_is_shown() {
    let scene = one_server();
    let alice = scene.register("alice");
    let line = format!("PUT /_matrix/client/v3/profile/{}/displayname", alice.id);
    scene.call(Some(&alice), &line, &json!({ "displayname": "Alice" })).ok();
    let room = scene.room(&alice, &json!({}));
    for number in 1..=7 {
        scene.say(&alice, &room, &format!("Message number {number}"));
    }
    let around = json!({ "before_limit": 2, "after_limit": 1, "include_profile": true });
    let found = search(
        &scene,
        &alice,
        &json!({
            "search_term": "Message 4", "order_by": "recent", "event_context": around, "include_state": true,
            "filter": { "limit": 1 }, "groupings": { "group_by": [{ "key": "room_id" }, { "key": "sender" }] },
        }),
    );
    let (result, context) = (&found["results"][0], &found["results"][0]["context"]);
    assert_eq!(
        (&result["result"]["content"]["body"], &found["count"]),
        (&json!("Message number 4"), &json!(1))
    );
    let body = |list: &str, index: usize| context[list][index]["content"]["body"].clone();
    assert_eq!(body("events_before", 0), "Message number 3");
    assert_eq!(body("events_before", 1), "Message number 2");
    assert_eq!(body("events_after", 0), "Message number 5");
    assert_eq!(context["events_after"].as_array().unwrap().len(), 1);
    assert_eq!(context["profile_info"][&alice.id]["displayname"], "Alice");
    let page = |token: &str, dir: &str| {
        let path =
            format!("/_matrix/client/v3/rooms/{room}/messages?dir={dir}&limit=1&from={token}");
        scene.get(&alice, &path).ok()["chunk"][0]["content"]["body"].clone()
    };
    assert_eq!(page(context["start"].as_str().unwrap(), "b"), "Message number 1");
    assert_eq!(page(context["end"].as_str().unwrap(), "f"), "Message number 6");
    assert!(found["state"][&room].as_array().unwrap().len() > 3);
    let event = &result["result"]["event_id"];
    assert_eq!(found["groups"]["room_id"][&room]["results"], json!([event]));
    assert_eq!(found["groups"]["sender"][&alice.id]["results"], json!([event]));
    let plain = search(&scene, &alice, &term("Message"));
    assert_eq!(plain["results"][0].get("context"), None);
    assert!(plain.get("state").is_none() && plain.get("groups").is_none());
    let none =
        search(&scene, &alice, &json!({ "search_term": "Message", "filter": { "types": ["x"] } }));
    assert_eq!((&none["results"], &none["count"]), (&json!([]), &json!(0)));
}
