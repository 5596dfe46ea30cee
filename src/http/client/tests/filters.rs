//! What does a filter let through in `/sync` and `/messages`?

use serde_json::{Value, json};
use tombolo_support::{Scene, User, encode, text};

use super::one_server;

fn types(events: &Value) -> Vec<String> {
    let events = events["events"].as_array().cloned().unwrap_or_default();
    events.iter().map(|event| text(&event["type"])).collect()
}

/// A room that has something in every part of `/sync`.
fn full(scene: &Scene, user: &User) -> String {
    let room = scene.room(user, &json!({}));
    let said = scene.say(user, &room, "hello");
    scene.act(user, &room, &format!("receipt/m.read/{said}"), &json!({})).ok();
    let path = format!("/_matrix/client/v3/user/{}/rooms/{room}/account_data/x.own", user.id);
    scene.call(Some(user), &format!("PUT {path}"), &json!({ "url": "x" })).ok();
    room
}

#[test]
fn rooms_are_chosen_for_each_part() {
    let scene = one_server();
    let alice = scene.register("alice");
    let (one, two) = (full(&scene, &alice), full(&scene, &alice));
    let limit = json!({ "limit": 1 });
    for part in ["timeline", "state", "ephemeral", "account_data"] {
        for mut choice in [
            json!({ "not_rooms": [one] }),
            json!({ "rooms": [two] }),
            json!({ "rooms": [one, two], "not_rooms": [one] }),
        ] {
            let mut filter = json!({ "room": { "timeline": limit.clone() } });
            choice["limit"] = json!(1);
            filter["room"][part] = choice.clone();
            let joined = scene.filtered(&alice, &filter, "")["rooms"]["join"].clone();
            for (room, other) in [(&one, &two), (&two, &one)] {
                let shown = !types(&joined[room][part]).is_empty();
                assert_eq!(shown, *room == two, "{part} {choice} of {room} beside {other}");
            }
            for whole in ["timeline", "state", "ephemeral", "account_data"] {
                assert!(!types(&joined[&two][whole]).is_empty(), "{whole} in {joined}");
                let shown = !types(&joined[&one][whole]).is_empty();
                assert_eq!(shown, whole != part, "{whole} beside {part}: {joined}");
            }
        }
    }
}

#[test]
fn senders_and_addresses_are_looked_at_in_every_part() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = full(&scene, &alice);
    let shown = |part: &str, choice: Value| {
        let filter = json!({ "room": { part: choice } });
        types(&scene.filtered(&alice, &filter, "")["rooms"]["join"][&room][part])
    };
    assert_eq!(shown("account_data", json!({ "contains_url": true })), ["x.own"]);
    assert!(shown("account_data", json!({ "contains_url": false })).is_empty());
    assert!(shown("account_data", json!({ "senders": [alice.id] })).is_empty(), "nobody sent it");
    assert_eq!(shown("account_data", json!({ "not_senders": [alice.id] })), ["x.own"]);
    assert_eq!(shown("ephemeral", json!({ "not_types": ["m.typing"] })), ["m.receipt"]);
    assert!(shown("ephemeral", json!({ "types": ["m.typing"] })).is_empty());
    assert!(shown("timeline", json!({ "senders": [] })).is_empty());
    assert!(shown("timeline", json!({ "contains_url": true })).is_empty());
    assert!(!shown("timeline", json!({ "senders": [alice.id] })).is_empty());
}

#[test]
fn events_are_shown_as_servers_see_them_where_that_is_wanted() {
    let scene = one_server();
    let alice = scene.register("alice");
    for version in ["10", "11", "12"] {
        let room = scene.room(&alice, &json!({ "room_version": version }));
        let said = scene.say(&alice, &room, "hello");
        let filter =
            json!({ "event_format": "federation", "room": { "timeline": { "limit": 1 } } });
        let section = scene.filtered(&alice, &filter, "")["rooms"]["join"][&room].clone();
        let event = &section["timeline"]["events"][0];
        assert_eq!(event["event_id"], said);
        assert!(event["unsigned"]["transaction_id"].is_string());
        for event in [event, &section["state"]["events"][0]] {
            for key in [
                "depth",
                "hashes",
                "prev_events",
                "auth_events",
                "signatures",
                "content",
                "sender",
                "unsigned",
            ] {
                assert!(!event[key].is_null(), "{key} in {event}");
            }
        }
        let client = json!({ "event_format": "client" });
        let section = scene.filtered(&alice, &client, "")["rooms"]["join"][&room].clone();
        assert!(section["timeline"]["events"][0].get("hashes").is_none());
    }
}

#[test]
fn events_have_the_fields_that_are_wanted() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = full(&scene, &alice);
    let filter =
        json!({ "event_fields": ["type", "content.body"], "room": { "timeline": { "limit": 1 } } });
    let section = scene.filtered(&alice, &filter, "")["rooms"]["join"][&room].clone();
    assert_eq!(
        section["timeline"]["events"],
        json!([{ "type": "m.room.message", "content": { "body": "hello" } }])
    );
    assert!(
        section["state"]["events"]
            .as_array()
            .unwrap()
            .contains(&json!({ "type": "m.room.create" }))
    );
    assert_eq!(section["account_data"]["events"][0]["content"], json!({ "url": "x" }));
    let none = scene.filtered(&alice, &json!({ "event_fields": [] }), "");
    assert!(none["rooms"]["join"][&room]["timeline"]["events"][0]["event_id"].is_string());
}

#[test]
fn a_filter_names_only_so_many_fields() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = full(&scene, &alice);
    let fields = |count: usize| {
        let mut paths: Vec<String> =
            (1..count).map(|number| format!("content.x{number}")).collect();
        paths.push("type".to_owned());
        json!({ "event_fields": paths })
    };
    let line = format!("POST /_matrix/client/v3/user/{}/filter", alice.id);
    let id = text(&scene.call(Some(&alice), &line, &fields(200)).ok()["filter_id"]);
    let stored = scene.sync(&alice, &format!("filter={id}"));
    let inline = scene.filtered(&alice, &fields(200), "");
    for shown in [stored, inline] {
        let event = &shown["rooms"]["join"][&room]["timeline"]["events"][0];
        assert_eq!(event.as_object().unwrap().len(), 1, "{event}");
    }
    scene.call(Some(&alice), &line, &fields(201)).refused(400, "M_INVALID_PARAM");
    let many = fields(201).to_string();
    let many = encode(&many);
    let path = format!("/_matrix/client/v3/sync?filter={many}");
    scene.get(&alice, &path).refused(400, "M_INVALID_PARAM");
}

#[test]
fn a_filter_is_read_alike_where_it_is_stored_and_in_a_query() {
    let scene = one_server();
    let alice = scene.register("alice");
    let line = format!("POST /_matrix/client/v3/user/{}/filter", alice.id);
    let both = |filter: Value| {
        let path = format!("/_matrix/client/v3/sync?filter={}", encode(&filter.to_string()));
        [scene.call(Some(&alice), &line, &filter), scene.get(&alice, &path)]
    };
    for junk in [
        json!({ "room": [] }),
        json!({ "account_data": [] }),
        json!({ "room": { "timeline": [] } }),
        json!({ "room": { "rooms": ["x"] } }),
        json!({ "room": { "timeline": { "limit": -1 } } }),
        json!({ "room": { "state": { "senders": "x" } } }),
    ] {
        for answer in both(junk) {
            answer.refused(400, "M_BAD_JSON");
        }
    }
    let more =
        json!({ "x.own": [], "room": { "x.own": 1, "timeline": { "limit": u32::MAX, "x": {} } } });
    for answer in both(more) {
        answer.ok();
    }
}

#[test]
fn a_timeline_of_no_events_has_none_and_its_room_has_all_state() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = full(&scene, &alice);
    let filter = json!({ "room": { "timeline": { "limit": 0 } } });
    let shown = &scene.filtered(&alice, &filter, "")["rooms"]["join"][&room];
    assert_eq!(
        (&shown["timeline"]["events"], &shown["timeline"]["limited"]),
        (&json!([]), &json!(true))
    );
    let state = scene.get(&alice, &format!("/_matrix/client/v3/rooms/{room}/state")).ok();
    assert_eq!(types(&shown["state"]).len(), state.as_array().unwrap().len());
}

#[test]
fn a_page_of_no_events_has_none() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = full(&scene, &alice);
    for dir in ["b", "f"] {
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir={dir}&limit=0");
        let page = scene.get(&alice, &path).ok();
        assert_eq!((&page["chunk"], &page["end"]), (&json!([]), &page["start"]));
    }
    let path = format!("/_matrix/client/v3/rooms/{room}/messages");
    scene.get(&alice, &path).refused(400, "M_MISSING_PARAM");
}

#[test]
fn a_stored_filter_is_its_users_and_is_remembered() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let room = full(&scene, &alice);
    let store = |user: &User, filter: Value| {
        let line = format!("POST /_matrix/client/v3/user/{}/filter", user.id);
        text(&scene.call(Some(user), &line, &filter).ok()["filter_id"])
    };
    let (all, one) =
        (json!({ "room": { "rooms": [] } }), json!({ "room": { "timeline": { "limit": 1 } } }));
    let (nothing, first) = (store(&alice, all), store(&bob, one));
    assert_eq!(nothing, first, "users count their filters apart");
    scene.simulation.record();
    for _ in 0..2 {
        assert!(scene.sync(&alice, &format!("filter={nothing}")).get("rooms").is_none());
        scene.sync(&bob, &format!("filter={first}"));
    }
    let asked = scene.simulation.transcript().matches(" Filter {\"filter_id\"").count();
    assert_eq!(asked, 2, "once for each user");
    scene.get(&alice, "/_matrix/client/v3/sync?filter=99").refused(404, "M_NOT_FOUND");
    assert!(scene.sync(&alice, "")["rooms"]["join"][&room].is_object());
}

#[test]
fn the_whole_state_comes_again_where_that_is_wanted() {
    let scene = one_server();
    let alice = scene.register("alice");
    let (room, quiet) = (full(&scene, &alice), full(&scene, &alice));
    let since = text(&scene.sync(&alice, "")["next_batch"]);
    scene.say(&alice, &room, "more");
    let news = scene.sync(&alice, &format!("since={since}"));
    assert!(types(&news["rooms"]["join"][&room]["state"]).is_empty());
    assert!(news["rooms"]["join"].get(&quiet).is_none());
    let whole = scene.sync(&alice, &format!("since={since}&full_state=true"));
    for room in [&room, &quiet] {
        let state = types(&whole["rooms"]["join"][room]["state"]);
        for kind in ["m.room.create", "m.room.member", "m.room.power_levels"] {
            assert!(state.contains(&kind.to_owned()), "{state:?}");
        }
    }
    assert_eq!(types(&whole["rooms"]["join"][&room]["timeline"]), ["m.room.message"]);
}

#[test]
fn rooms_that_were_left_come_where_they_are_wanted_with_what_is_kept_of_them() {
    let scene = one_server();
    let alice = scene.register("alice");
    let room = full(&scene, &alice);
    scene.act(&alice, &room, "leave", &json!({})).ok();
    assert!(scene.sync(&alice, "").get("rooms").is_none());
    let wanted = json!({ "room": { "include_leave": true } });
    let left = scene.filtered(&alice, &wanted, "")["rooms"]["leave"][&room].clone();
    assert!(types(&left["timeline"]).contains(&"m.room.message".to_owned()), "{left}");
    assert_eq!(types(&left["account_data"]), ["x.own"]);
    assert!(left.get("summary").is_none() && left.get("ephemeral").is_none());
    scene.act(&alice, &room, "forget", &json!({})).ok();
    assert!(scene.filtered(&alice, &wanted, "").get("rooms").is_none());
}

#[test]
fn a_new_room_is_told_of_though_all_in_it_is_hidden() {
    let scene = one_server();
    let alice = scene.register("alice");
    let since = text(&scene.filtered(&alice, &json!({}), "")["next_batch"]);
    let room = full(&scene, &alice);
    let none = json!({ "types": [] });
    let hidden =
        json!({ "timeline": none, "state": none, "ephemeral": none, "account_data": none });
    let filter = json!({ "room": hidden });
    let told = scene.filtered(&alice, &filter, &format!("&since={since}"));
    let news = &told["rooms"]["join"][&room];
    assert_eq!(news["summary"]["m.joined_member_count"], 1, "{told}");
    assert!(types(&news["timeline"]).is_empty() && types(&news["state"]).is_empty(), "{told}");
    let next = text(&told["next_batch"]);
    scene.say(&alice, &room, "again");
    let later = scene.filtered(&alice, &filter, &format!("&since={next}"));
    assert!(later["rooms"]["join"].get(&room).is_none(), "{later}");
    let whole = scene.filtered(&alice, &filter, &format!("&full_state=true&since={next}"));
    assert!(whole["rooms"]["join"].get(&room).is_some(), "{whole}");
}
