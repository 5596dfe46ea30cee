//! Does a follower that could not be told get the news the next time?

use serde_json::{Value, json, value::RawValue};
use tombolo_protocol::event::Pdu;

use super::lone_room::*;
use crate::objects::room::messages::*;

fn end_telling(room: &LoneRoom, to: Position, users: &[&str], servers: &[&str]) {
    let lagging_users = users.iter().map(|name| user(name, OURS)).collect();
    let lagging_servers = servers.iter().map(|name| (*name).try_into().unwrap()).collect();
    let lagging = room.ask(Undelivered {}).unwrap().lagging;
    room.ask(Told { to, lagging, lagging_users, lagging_servers, ..Told::default() }).unwrap();
}

fn leave(room: &LoneRoom, localpart: &str) {
    let (member, content) = (user(localpart, OURS), json!({ "membership": "leave" }));
    room.send(localpart, "m.room.member", Some(member.as_str()), &content).unwrap();
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
    let room = LoneRoom::empty();
    let invite = room.invite_to_theirs("carl");
    let event = checked(&invite);
    let origin = THEIRS.try_into().unwrap();
    let version = room.version.id.to_string();
    room.ask(Invited { version, event, origin, stripped: Vec::new() }).unwrap();
    for _ in 0..2 {
        let undelivered = room.ask(Undelivered {}).unwrap();
        assert_eq!(users(&undelivered), ["carl"]);
        end_telling(&room, undelivered.to, &["carl"], &[]);
    }
    let to = room.ask(Undelivered {}).unwrap().to;
    end_telling(&room, to, &[], &[]);
    assert!(users(&room.ask(Undelivered {}).unwrap()).is_empty());
}

#[test]
fn a_message_to_a_user_and_a_server() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let to = room.ask(Undelivered {}).unwrap().to;
    end_telling(&room, to, &[], &[]);
    room.send("alice", "m.room.message", None, &json!({ "body": "hi" })).unwrap();
    for _ in 0..2 {
        let undelivered = room.ask(Undelivered {}).unwrap();
        assert_eq!(users(&undelivered), ["alice"]);
        let [due] = undelivered.servers.as_slice() else { panic!("{undelivered:?}") };
        assert_eq!((due.server.as_str(), due.since, due.events), (THEIRS, to, true));
        end_telling(&room, undelivered.to, &["alice"], &[THEIRS]);
    }
}

#[test]
fn a_receipt_to_a_server() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let event_id = room.send("alice", "m.room.message", None, &json!({ "body": "hi" })).unwrap();
    let to = room.ask(Undelivered {}).unwrap().to;
    end_telling(&room, to, &[], &[]);
    let (user, kind) = (user("alice", OURS), "m.read".to_owned());
    room.ask(Receipt { user, kind, thread: None, event_id, ts: 1 }).unwrap();
    for _ in 0..2 {
        let undelivered = room.ask(Undelivered {}).unwrap();
        let [due] = undelivered.servers.as_slice() else { panic!("{undelivered:?}") };
        assert_eq!((due.server.as_str(), due.since, due.events), (THEIRS, to, false));
        assert_eq!(undelivered.receipts.len(), 1);
        end_telling(&room, undelivered.to, &[], &[THEIRS]);
    }
    let to = room.ask(Undelivered {}).unwrap().to;
    end_telling(&room, to, &[], &[]);
    let undelivered = room.ask(Undelivered {}).unwrap();
    assert!(undelivered.servers.is_empty() && undelivered.receipts.is_empty());
}

#[test]
fn a_server_that_counts_us_in_is_told_how_each_of_us_went() {
    let room = LoneRoom::new("11");
    room.join("carl");
    let news = room.theirs("m.room.message", None, &json!({ "body": "hi" }), &room.extremities());
    leave(&room, "alice");
    room.send("carl", "m.room.message", None, &json!({ "body": "alone" })).unwrap();
    leave(&room, "carl");
    let to = room.ask(Undelivered {}).unwrap().to;
    end_telling(&room, to, &[], &[]);
    let told = |room: &LoneRoom| {
        let due = room.ask(Undelivered {}).unwrap().servers.pop()?;
        assert_eq!(due.server, THEIRS);
        let outbound = Outbound { server: due.server, from: due.since, to, limit: 50 };
        let events = room.ask(outbound).unwrap().events;
        Some(events.iter().map(|event| sender_of_leave(event)).collect::<Vec<String>>())
    };
    assert_eq!(told(&room), None);
    assert!(matches!(room.outcome(&news), Outcome::Dropped(_)), "nobody is here");
    assert_eq!(told(&room).unwrap(), ["@alice:ours.test", "@carl:ours.test"]);
    end_telling(&room, to, &[], &[]);
    room.outcome(&news);
    assert_eq!(told(&room), None, "it was told a moment ago");
    room.pass(60_000);
    room.outcome(&news);
    assert_eq!(told(&room).unwrap(), ["@carl:ours.test"], "the last may have been lost");
}

#[test]
fn what_a_server_was_not_told_yet_is_told_with_how_we_went() {
    let room = LoneRoom::new("11");
    room.join_bob();
    room.join("carl");
    let news = room.theirs("m.room.message", None, &json!({ "body": "hi" }), &room.extremities());
    let to = room.ask(Undelivered {}).unwrap().to;
    end_telling(&room, to, &[], &[]);
    leave(&room, "alice");
    leave(&room, "carl");
    room.outcome(&news);
    let UndeliveredReply { to, mut servers, .. } = room.ask(Undelivered {}).unwrap();
    let ServerDue { server, since, .. } = servers.pop().unwrap();
    let events = room.ask(Outbound { server, from: since, to, limit: 50 }).unwrap().events;
    let senders: Vec<String> = events.iter().map(|event| sender_of_leave(event)).collect();
    assert_eq!(senders, ["@alice:ours.test", "@carl:ours.test"]);
}

/// A room that Alice and Carl left one after the other, and an event of Bob's, who was never in it.
fn left() -> (LoneRoom, Pdu) {
    let room = LoneRoom::new("11");
    room.join("carl");
    let news = room.theirs("m.room.message", None, &json!({ "body": "hi" }), &room.extremities());
    leave(&room, "alice");
    let event_id = room.send("carl", "m.room.message", None, &json!({ "body": "so" })).unwrap();
    let (user, kind) = (user("carl", OURS), "m.read".to_owned());
    room.ask(Receipt { user, kind, thread: None, event_id, ts: 1 }).unwrap();
    leave(&room, "carl");
    let to = room.ask(Undelivered {}).unwrap().to;
    end_telling(&room, to, &[], &[]);
    (room, news)
}

#[test]
fn who_was_never_here_is_told_of_no_receipt() {
    let (room, news) = left();
    room.receive(&[&news]);
    let undelivered = room.ask(Undelivered {}).unwrap();
    let [due] = undelivered.servers.as_slice() else { panic!("{undelivered:?}") };
    assert!(due.since < undelivered.receipts[0].0, "it was read after Alice left");
    assert_eq!((due.events, due.receipts), (true, 0));
}

#[test]
fn who_falls_behind_while_others_are_told_stays_behind() {
    let (room, news) = left();
    let undelivered = room.ask(Undelivered {}).unwrap();
    room.receive(&[&news]);
    let (to, lagging) = (undelivered.to, undelivered.lagging);
    room.ask(Told { to, lagging, ..Told::default() }).unwrap();
    assert_eq!(room.ask(Undelivered {}).unwrap().servers[0].server, THEIRS);
}

#[test]
fn a_server_that_was_removed_is_not_told_how_we_went() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let news = room.theirs("m.room.message", None, &json!({ "body": "hi" }), &room.extremities());
    let (bob, ban) = (user("bob", THEIRS), json!({ "membership": "ban" }));
    room.send("alice", "m.room.member", Some(bob.as_str()), &ban).unwrap();
    leave(&room, "alice");
    let to = room.ask(Undelivered {}).unwrap().to;
    end_telling(&room, to, &[], &[]);
    room.receive(&[&news]);
    assert!(room.ask(Undelivered {}).unwrap().servers.is_empty());
}

#[test]
fn the_id_of_a_room_of_version_12_is_no_knowledge_of_it() {
    let room = LoneRoom::new("12");
    let create = format!("${}", room.room_id.as_str().trim_start_matches('!'));
    let bob = user("bob", THEIRS);
    let content = json!({ "body": "hi" });
    let news = room.theirs("m.room.message", None, &content, &[]);
    let mut guess = room.elsewhere(&bob, ("m.room.message", None), &content, &[]);
    guess.json =
        guess.json.replace("\"prev_events\":[]", &format!("\"prev_events\":[\"{create}\"]"));
    assert!(guess.json.contains(&create));
    leave(&room, "alice");
    let to = room.ask(Undelivered {}).unwrap().to;
    end_telling(&room, to, &[], &[]);
    room.receive(&[&guess]);
    assert!(room.ask(Undelivered {}).unwrap().servers.is_empty());
    room.receive(&[&news]);
    assert!(!room.ask(Undelivered {}).unwrap().servers.is_empty(), "it cites the power levels");
}
