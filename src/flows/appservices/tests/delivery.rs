//! Does a service get each event once and in order, whatever happens to it, to us, and on the way?

use serde_json::{Value, json};
use tombolo_platform::{simulated::Faults, values};
use tombolo_support::{Bridge, Manner, Pushed, encode};

use super::Bridged;
use crate::{
    flows::{appservices::registrations, tests::heard},
    objects::{appservice::messages::Backlog, appservice_object},
};

/// What is said in a row.
fn words(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("word {number}")).collect()
}

/// What the bridge heard of a room, in order.
fn heard_in(bridged: &Bridged, room: &str) -> Vec<String> {
    let events = bridged.bridge.events().into_iter().filter(|event| event["room_id"] == room);
    events.filter_map(|event| Some(event["content"]["body"].as_str()?.to_owned())).collect()
}

#[test]
fn a_service_gets_what_is_said_in_order() {
    let bridged = Bridged::new();
    let room = bridged.room();
    let words = words(5);
    words.iter().for_each(|word| drop(bridged.say(&room, word)));
    bridged.scene.pass(5_000);
    assert_eq!(bridged.bridge.heard(), words);
    let mut before = 0;
    for Pushed { path, authorization, .. } in bridged.bridge.pushed() {
        assert_eq!(authorization, "Bearer hs-slack");
        let id = path.strip_prefix("/_matrix/app/v1/transactions/").unwrap();
        let id: u64 = id.parse().unwrap();
        assert!(id > before);
        before = id;
    }
    let event = bridged.bridge.events().pop().unwrap();
    assert_eq!(event["room_id"], json!(room));
    assert!(event["unsigned"]["age"].is_u64());
    assert_eq!(event.get("hashes").or(event.get("auth_events")), None);
}

#[test]
fn what_was_said_is_at_the_bridge_in_a_moment() {
    let bridged = Bridged::new();
    let room = bridged.room();
    bridged.say(&room, "hello");
    bridged.scene.pass(100);
    assert_eq!(bridged.bridge.heard(), ["hello"]);
}

#[test]
fn a_long_backlog_arrives_once_and_in_order() {
    let bridged = Bridged::new();
    let rooms = [bridged.room(), bridged.room()];
    bridged.bridge.is(Manner::Answers(502));
    let words = words(600);
    for (number, word) in words.iter().enumerate() {
        bridged.say(&rooms[number / 50 % 2], word);
    }
    bridged.scene.pass(10_000);
    let slack = appservice_object("slack");
    let backlog =
        bridged.scene.simulation.run(bridged.scene.server.world().ask(&slack, &Backlog {}));
    let backlog = backlog.unwrap();
    assert!(backlog.rows < 100, "a row for each event: {}", backlog.rows);
    assert!(backlog.transaction.is_some() && backlog.error.unwrap().contains("502"));
    bridged.bridge.is(Manner::Takes);
    bridged.scene.simulation.settle(3_600_000);
    // What is said in two rooms at once may change places.
    for (which, room) in rooms.iter().enumerate() {
        let of_room = |number: &usize| number / 50 % 2 == which;
        let said: Vec<String> =
            (0..600).filter(of_room).map(|number| words[number].clone()).collect();
        assert!(heard_in(&bridged, room) == said, "room {which}");
    }
    let transactions = bridged.bridge.transactions();
    assert!(transactions.iter().all(|one| one["events"].as_array().unwrap().len() <= 100));
}

#[test]
fn a_transaction_is_repeated_byte_for_byte_whatever_crashes() {
    let bridged = Bridged::new();
    let room = bridged.room();
    bridged.bridge.is(Manner::Answers(500));
    bridged.say(&room, "hello");
    bridged.scene.pass(3_000);
    bridged.scene.server.crash();
    bridged.say(&room, "again");
    bridged.scene.pass(20_000);
    let failed: Vec<Pushed> =
        bridged.bridge.pushed().into_iter().filter(|pushed| !pushed.taken).collect();
    assert!(failed.len() > 2);
    for pushed in &failed {
        assert_eq!((&pushed.path, &pushed.body), (&failed[0].path, &failed[0].body));
    }
    bridged.bridge.is(Manner::Takes);
    bridged.scene.simulation.settle(3_600_000);
    assert_eq!(bridged.bridge.heard(), ["hello", "again"]);
}

#[test]
fn there_is_one_transaction_at_a_time() {
    let bridged = Bridged::new();
    let room = bridged.room();
    bridged.bridge.is(Manner::Works(3_000));
    let words = words(10);
    for word in &words {
        bridged.say(&room, word);
        bridged.scene.pass(1_000);
    }
    bridged.scene.simulation.settle(3_600_000);
    assert_eq!((bridged.bridge.heard(), bridged.bridge.most_at_once()), (words, 1));
}

#[test]
fn a_service_of_older_drafts_gets_its_events_at_the_older_path() {
    let bridged = Bridged::new();
    bridged.bridge.is(Manner::Old);
    let room = bridged.room();
    bridged.say(&room, "hello");
    bridged.scene.pass(1_000);
    assert_eq!(bridged.bridge.heard(), ["hello"]);
}

#[test]
fn a_service_that_never_answers_delays_nobody() {
    let bridged = Bridged::new();
    let other = Bridge::new(&bridged.scene.simulation, "other-bridge.test");
    let more = json!({ "sender_localpart": "other" });
    bridged.register(&other.registration("other", "slack_", &more));
    let room = bridged.room();
    bridged.bridge.is(Manner::Works(600_000));
    for word in ["one", "two"] {
        bridged.say(&room, word);
        bridged.scene.pass(1_000);
    }
    assert_eq!(other.heard(), ["one", "two"]);
    assert_eq!(heard(&bridged.scene, &bridged.ghost, &room), ["one", "two"]);
    assert_eq!(bridged.bridge.heard(), <[&str; 0]>::default());
}

#[test]
fn a_service_without_a_url_is_owed_nothing() {
    let bridged = Bridged::with(&json!({ "url": Value::Null }));
    let room = bridged.room();
    bridged.say(&room, "hello");
    bridged.scene.pass(10_000);
    assert!(bridged.scene.server.sql(&appservice_object("slack")).is_none());
}

#[test]
fn nothing_is_lost_while_the_registrations_cannot_be_read() {
    let bridged = Bridged::new();
    let room = bridged.room();
    // Another process, which remembers nothing.
    bridged.scene.server.crash();
    bridged.scene.simulation.faults(Faults { lost_d1: 1000, ..Faults::NONE });
    bridged.say(&room, "hello");
    bridged.scene.pass(10_000);
    bridged.say(&room, "again");
    bridged.scene.pass(10_000);
    assert_eq!(heard(&bridged.scene, &bridged.ghost, &room), ["hello", "again"]);
    assert_eq!(bridged.bridge.heard(), <[&str; 0]>::default());
    bridged.scene.simulation.faults(Faults::NONE);
    bridged.scene.simulation.settle(600_000);
    assert_eq!(bridged.bridge.heard(), ["hello", "again"]);
}

#[test]
fn what_could_not_be_told_is_told_when_it_can_be() {
    let bridged = Bridged::new();
    let room = bridged.room();
    bridged.say(&room, "hello");
    bridged.scene.simulation.faults(Faults { lost_ask: 1000, ..Faults::NONE });
    bridged.scene.pass(20_000);
    bridged.scene.simulation.faults(Faults::NONE);
    bridged.say(&room, "again");
    bridged.scene.simulation.settle(600_000);
    assert_eq!(bridged.bridge.heard(), ["hello", "again"]);
}

#[test]
fn nothing_is_kept_for_a_service_that_was_removed() {
    let bridged = Bridged::new();
    let room = bridged.room();
    bridged.bridge.is(Manner::Answers(502));
    bridged.say(&room, "hello");
    bridged.scene.pass(10_000);
    let world = bridged.scene.server.world();
    assert!(bridged.scene.simulation.run(registrations::remove(&world, "slack")).unwrap());
    bridged.bridge.is(Manner::Takes);
    bridged.say(&room, "again");
    bridged.scene.simulation.settle(3_600_000);
    let slack = appservice_object("slack");
    let backlog = bridged.scene.simulation.run(world.ask(&slack, &Backlog {})).unwrap();
    assert_eq!((backlog.rows, backlog.transaction), (0, None));
    assert_eq!(bridged.bridge.heard(), <[&str; 0]>::default());
}

#[test]
fn amid_all_kinds_of_faults_each_event_arrives_once_and_in_order() {
    let bridged = Bridged::new();
    let room = bridged.room();
    let words = words(60);
    for (number, word) in words.iter().enumerate() {
        bridged.scene.simulation.faults(Faults::NONE);
        bridged.say(&room, word);
        bridged.scene.simulation.faults(Faults { crashes_per_million: 5_000, ..Faults::HARSH });
        let answers = if number % 20 < 5 { Manner::Answers(503) } else { Manner::Works(200) };
        bridged.bridge.is(answers);
        bridged.scene.pass(700);
    }
    bridged.scene.simulation.faults(Faults::NONE);
    bridged.bridge.is(Manner::Takes);
    bridged.scene.simulation.settle(3_600_000);
    assert_eq!(bridged.bridge.heard(), words);
    let pushed = bridged.bridge.pushed();
    for (number, one) in pushed.iter().enumerate() {
        let same = pushed[..number].iter().filter(|other| other.path == one.path);
        same.for_each(|other| assert_eq!(other.body, one.body));
    }
}

#[test]
fn whatever_success_a_service_answers_it_has_taken_the_transaction() {
    for status in [201, 202, 204] {
        let bridged = Bridged::new();
        let room = bridged.room();
        bridged.bridge.is(Manner::Answers(status));
        for word in ["hello", "again"] {
            bridged.say(&room, word);
            bridged.scene.pass(30_000);
        }
        let pushed = bridged.bridge.pushed();
        let [.., hello, again] = &*pushed else { panic!("{pushed:?}") };
        assert!(
            hello.body.contains("hello") && again.body.contains("again"),
            "{status}: {pushed:?}"
        );
    }
}

#[test]
fn a_transaction_is_as_long_as_proxies_let_through() {
    let bridged = Bridged::new();
    let room = bridged.room();
    bridged.bridge.is(Manner::Answers(502));
    let long = "x".repeat(60_000);
    (0..30).for_each(|_| drop(bridged.say(&room, &long)));
    bridged.bridge.is(Manner::Takes);
    bridged.scene.simulation.settle(3_600_000);
    assert_eq!(bridged.bridge.heard().len(), 30);
    assert!(bridged.bridge.pushed().iter().all(|pushed| pushed.body.len() < 1_000_000));
}

#[test]
fn what_was_redacted_while_a_service_was_down_never_reaches_it() {
    let bridged = Bridged::new();
    let (room, alice, scene) = (bridged.room(), &bridged.alice, &bridged.scene);
    bridged.bridge.is(Manner::Answers(502));
    bridged.say(&room, "first");
    scene.pass(5_000);
    let said = bridged.say(&room, "secret");
    scene.pass(5_000);
    scene.put(alice, &room, &format!("redact/{}/r", encode(&said)), &json!({})).ok();
    bridged.bridge.is(Manner::Takes);
    scene.simulation.settle(3_600_000);
    assert_eq!(bridged.kinds()[1..], ["m.room.message", "m.room.message", "m.room.redaction"]);
    assert!(bridged.bridge.pushed().iter().all(|pushed| !pushed.body.contains("secret")));
}

#[test]
fn a_deleted_room_stays_until_a_service_that_was_down_has_what_was_said() {
    let bridged = Bridged::new();
    let (room, alice, scene) = (bridged.room(), &bridged.alice, &bridged.scene);
    let update = "UPDATE accounts SET admin = 1 WHERE localpart = 'alice'";
    scene.server.d1().run(update, values![]).unwrap();
    bridged.bridge.is(Manner::Answers(502));
    bridged.say(&room, "first");
    scene.pass(5_000);
    bridged.say(&room, "last");
    let room = encode(&room);
    scene.call(Some(alice), &format!("DELETE /_synapse/admin/v2/rooms/{room}"), &json!({})).ok();
    let status = || {
        let path = format!("/_synapse/admin/v2/rooms/{room}/delete_status");
        scene.get(alice, &path).ok()["results"][0]["status"].clone()
    };
    scene.pass(600_000);
    assert_eq!(status(), "active");
    bridged.bridge.is(Manner::Takes);
    scene.simulation.settle(3_600_000);
    assert_eq!(status(), "complete");
    assert_eq!(bridged.bridge.heard(), ["first", "last"]);
    assert_eq!(bridged.kinds()[3..], ["leave", "leave"]);
}
