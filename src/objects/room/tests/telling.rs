//! Does a follower that could not be told get the news the next time?

use serde_json::{Value, json, value::RawValue};
use tombolo_protocol::event::Pdu;

use super::scene::*;
use crate::objects::room::messages::*;

fn end_telling(scene: &Scene, to: Position, users: &[&str], servers: &[&str]) {
    let lagging_users = users.iter().map(|name| user(name, OURS)).collect();
    let lagging_servers = servers.iter().map(|name| (*name).try_into().unwrap()).collect();
    let lagging = scene.ask(Undelivered {}).unwrap().lagging;
    scene.ask(Told { to, lagging, lagging_users, lagging_servers, copy_lagging: false }).unwrap();
}

fn leave(scene: &Scene, localpart: &str) {
    let (member, content) = (user(localpart, OURS), json!({ "membership": "leave" }));
    scene.send(localpart, "m.room.member", Some(member.as_str()), &content).unwrap();
}

fn sender_of_leave(event: &RawValue) -> String {
    let event: Value = serde_json::from_str(event.get()).unwrap();
    assert_eq!(event["content"]["membership"], "leave");
    event["sender"].as_str().unwrap().to_owned()
}

fn users(undelivered: &UndeliveredReply) -> Vec<&str> {
    undelivered.users.iter().map(|news| news.user.localpart()).collect()
}

#[test]
fn an_invite_to_a_room_elsewhere() {
    let scene = Scene::empty();
    let invite = scene.invite_to_theirs("carl");
    let event = checked(&invite);
    let origin = THEIRS.try_into().unwrap();
    let version = scene.version.id.to_string();
    scene.ask(Invited { version, event, origin, stripped: Vec::new() }).unwrap();
    for _ in 0..2 {
        let undelivered = scene.ask(Undelivered {}).unwrap();
        assert_eq!(users(&undelivered), ["carl"]);
        end_telling(&scene, undelivered.to, &["carl"], &[]);
    }
    let to = scene.ask(Undelivered {}).unwrap().to;
    end_telling(&scene, to, &[], &[]);
    assert!(users(&scene.ask(Undelivered {}).unwrap()).is_empty());
}

#[test]
fn a_message_to_a_user_and_a_server() {
    let scene = Scene::new("11");
    scene.join_bob();
    let to = scene.ask(Undelivered {}).unwrap().to;
    end_telling(&scene, to, &[], &[]);
    scene.send("alice", "m.room.message", None, &json!({ "body": "hi" })).unwrap();
    for _ in 0..2 {
        let undelivered = scene.ask(Undelivered {}).unwrap();
        assert_eq!(users(&undelivered), ["alice"]);
        let [due] = undelivered.servers.as_slice() else { panic!("{undelivered:?}") };
        assert_eq!((due.server.as_str(), due.since, due.events), (THEIRS, to, true));
        end_telling(&scene, undelivered.to, &["alice"], &[THEIRS]);
    }
}

#[test]
fn a_receipt_to_a_server() {
    let scene = Scene::new("11");
    scene.join_bob();
    let event_id = scene.send("alice", "m.room.message", None, &json!({ "body": "hi" })).unwrap();
    let to = scene.ask(Undelivered {}).unwrap().to;
    end_telling(&scene, to, &[], &[]);
    let (user, kind) = (user("alice", OURS), "m.read".to_owned());
    scene.ask(Receipt { user, kind, thread: None, event_id, ts: 1 }).unwrap();
    for _ in 0..2 {
        let undelivered = scene.ask(Undelivered {}).unwrap();
        let [due] = undelivered.servers.as_slice() else { panic!("{undelivered:?}") };
        assert_eq!((due.server.as_str(), due.since, due.events), (THEIRS, to, false));
        assert_eq!(undelivered.receipts.len(), 1);
        end_telling(&scene, undelivered.to, &[], &[THEIRS]);
    }
    let to = scene.ask(Undelivered {}).unwrap().to;
    end_telling(&scene, to, &[], &[]);
    let undelivered = scene.ask(Undelivered {}).unwrap();
    assert!(undelivered.servers.is_empty() && undelivered.receipts.is_empty());
}

#[test]
fn a_server_that_counts_us_in_is_told_how_each_of_us_went() {
    let scene = Scene::new("11");
    scene.join("carl");
    let news = scene.theirs("m.room.message", None, &json!({ "body": "hi" }), &scene.extremities());
    leave(&scene, "alice");
    scene.send("carl", "m.room.message", None, &json!({ "body": "alone" })).unwrap();
    leave(&scene, "carl");
    let to = scene.ask(Undelivered {}).unwrap().to;
    end_telling(&scene, to, &[], &[]);
    let told = |scene: &Scene| {
        let due = scene.ask(Undelivered {}).unwrap().servers.pop()?;
        assert_eq!(due.server, THEIRS);
        let outbound = Outbound { server: due.server, from: due.since, to, limit: 50 };
        let events = scene.ask(outbound).unwrap().events;
        Some(events.iter().map(|event| sender_of_leave(event)).collect::<Vec<String>>())
    };
    assert_eq!(told(&scene), None);
    assert!(matches!(scene.outcome(&news), Outcome::Dropped(_)), "nobody is here");
    assert_eq!(told(&scene).unwrap(), ["@alice:ours.test", "@carl:ours.test"]);
    end_telling(&scene, to, &[], &[]);
    scene.outcome(&news);
    assert_eq!(told(&scene), None, "it was told a moment ago");
    scene.pass(60_000);
    scene.outcome(&news);
    assert_eq!(told(&scene).unwrap(), ["@carl:ours.test"], "the last may have been lost");
}

#[test]
fn what_a_server_was_not_told_yet_is_told_with_how_we_went() {
    let scene = Scene::new("11");
    scene.join_bob();
    scene.join("carl");
    let news = scene.theirs("m.room.message", None, &json!({ "body": "hi" }), &scene.extremities());
    let to = scene.ask(Undelivered {}).unwrap().to;
    end_telling(&scene, to, &[], &[]);
    leave(&scene, "alice");
    leave(&scene, "carl");
    scene.outcome(&news);
    let UndeliveredReply { to, mut servers, .. } = scene.ask(Undelivered {}).unwrap();
    let ServerDue { server, since, .. } = servers.pop().unwrap();
    let events = scene.ask(Outbound { server, from: since, to, limit: 50 }).unwrap().events;
    let senders: Vec<String> = events.iter().map(|event| sender_of_leave(event)).collect();
    assert_eq!(senders, ["@alice:ours.test", "@carl:ours.test"]);
}

/// A room that Alice and Carl left one after the other, and an event of Bob's, who was never in it.
fn left() -> (Scene, Pdu) {
    let scene = Scene::new("11");
    scene.join("carl");
    let news = scene.theirs("m.room.message", None, &json!({ "body": "hi" }), &scene.extremities());
    leave(&scene, "alice");
    let event_id = scene.send("carl", "m.room.message", None, &json!({ "body": "so" })).unwrap();
    let (user, kind) = (user("carl", OURS), "m.read".to_owned());
    scene.ask(Receipt { user, kind, thread: None, event_id, ts: 1 }).unwrap();
    leave(&scene, "carl");
    let to = scene.ask(Undelivered {}).unwrap().to;
    end_telling(&scene, to, &[], &[]);
    (scene, news)
}

#[test]
fn who_was_never_here_is_told_of_no_receipt() {
    let (scene, news) = left();
    scene.receive(&[&news]);
    let undelivered = scene.ask(Undelivered {}).unwrap();
    let [due] = undelivered.servers.as_slice() else { panic!("{undelivered:?}") };
    assert!(due.since < undelivered.receipts[0].0, "it was read after Alice left");
    assert_eq!((due.events, due.receipts), (true, 0));
}

#[test]
fn who_falls_behind_while_others_are_told_stays_behind() {
    let (scene, news) = left();
    let undelivered = scene.ask(Undelivered {}).unwrap();
    scene.receive(&[&news]);
    let (to, lagging) = (undelivered.to, undelivered.lagging);
    let told = Told {
        to,
        lagging,
        lagging_users: Vec::new(),
        lagging_servers: Vec::new(),
        copy_lagging: false,
    };
    scene.ask(told).unwrap();
    assert_eq!(scene.ask(Undelivered {}).unwrap().servers[0].server, THEIRS);
}

#[test]
fn a_server_that_was_removed_is_not_told_how_we_went() {
    let scene = Scene::new("11");
    scene.join_bob();
    let news = scene.theirs("m.room.message", None, &json!({ "body": "hi" }), &scene.extremities());
    let (bob, ban) = (user("bob", THEIRS), json!({ "membership": "ban" }));
    scene.send("alice", "m.room.member", Some(bob.as_str()), &ban).unwrap();
    leave(&scene, "alice");
    let to = scene.ask(Undelivered {}).unwrap().to;
    end_telling(&scene, to, &[], &[]);
    scene.receive(&[&news]);
    assert!(scene.ask(Undelivered {}).unwrap().servers.is_empty());
}

#[test]
fn the_id_of_a_room_of_version_12_is_no_knowledge_of_it() {
    let scene = Scene::new("12");
    let create = format!("${}", scene.room_id.as_str().trim_start_matches('!'));
    let bob = user("bob", THEIRS);
    let content = json!({ "body": "hi" });
    let news = scene.theirs("m.room.message", None, &content, &[]);
    let mut guess = scene.elsewhere(&bob, ("m.room.message", None), &content, &[]);
    guess.json =
        guess.json.replace("\"prev_events\":[]", &format!("\"prev_events\":[\"{create}\"]"));
    assert!(guess.json.contains(&create));
    leave(&scene, "alice");
    let to = scene.ask(Undelivered {}).unwrap().to;
    end_telling(&scene, to, &[], &[]);
    scene.receive(&[&guess]);
    assert!(scene.ask(Undelivered {}).unwrap().servers.is_empty());
    scene.receive(&[&news]);
    assert!(!scene.ask(Undelivered {}).unwrap().servers.is_empty(), "it cites the power levels");
}
