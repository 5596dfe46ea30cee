//! Who tells the followers of a message: the request that sent it, or the alarm?

use serde_json::json;
use tombolo_protocol::membership::Membership;

use super::{lone_room::*, moving::end_telling};
use crate::objects::room::messages::*;

/// Alice's message, in this transaction.
fn say(room: &LoneRoom, txn: &str) -> Sent {
    let sent = room.ask(Send {
        transaction: Some(Transaction {
            device: "D".to_owned(),
            txn_id: txn.to_owned(),
            scope: "send/m.room.message".to_owned(),
        }),
        ..Send::of(user("alice", OURS), draft("m.room.message", None, &json!({ "body": "hi" })))
    });
    sent.unwrap()
}

fn told(news: &[UserNews], to: Position) -> Vec<&str> {
    assert!(
        news.iter().all(|news| news.to == to && news.membership == Membership::Join),
        "{news:?}"
    );
    news.iter().map(|news| news.user.localpart()).collect()
}

#[test]
fn few_local_users_are_told_by_the_request_and_the_alarm_waits() {
    let room = LoneRoom::new("11");
    for name in ["bertha", "carl", "dora"] {
        room.join(name);
    }
    let sent = say(&room, "1");
    assert_eq!(told(&sent.news, sent.position), ["alice"]);
    assert_eq!(told(&sent.others, sent.position), ["bertha", "carl", "dora"]);
    assert_eq!(room.alarm(), Some(2000));
}

#[test]
fn what_the_request_did_not_tell_the_alarm_tells() {
    let room = LoneRoom::new("11");
    room.join("bertha");
    let sent = say(&room, "1");
    room.evict();
    let undelivered = room.ask(Undelivered {}).unwrap();
    assert_eq!(told(&undelivered.users, sent.position), ["alice", "bertha"]);
}

#[test]
fn many_local_users_are_told_by_the_alarm() {
    let room = LoneRoom::new("11");
    for name in ["bertha", "carl", "dora", "emil"] {
        room.join(name);
    }
    let sent = say(&room, "1");
    assert_eq!(told(&sent.news, sent.position), ["alice"]);
    assert!(sent.others.is_empty());
    assert_eq!(room.alarm(), Some(0));
}

#[test]
fn where_another_server_is_in_the_room_the_alarm_tells() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let sent = say(&room, "1");
    assert!(sent.others.is_empty());
    assert_eq!(room.alarm(), Some(0));
}

#[test]
fn who_came_and_who_left_are_known_to_the_next_message() {
    let room = LoneRoom::new("11");
    assert!(say(&room, "1").others.is_empty());
    room.join("bertha");
    let sent = say(&room, "2");
    assert_eq!(told(&sent.others, sent.position), ["bertha"]);
    let leave = json!({ "membership": "leave" });
    room.send("bertha", "m.room.member", Some("@bertha:ours.test"), &leave).unwrap();
    assert_eq!(room.alarm(), Some(0), "a membership change is for the alarm");
    assert!(say(&room, "3").others.is_empty());
}

#[test]
fn a_repeated_send_tells_its_sender_again() {
    let room = LoneRoom::new("11");
    let first = say(&room, "1");
    let again = say(&room, "1");
    assert_eq!(again.position, first.position);
    assert_eq!(told(&again.news, first.position), ["alice"]);
}

#[test]
fn a_telling_begins_a_little_after_the_last() {
    let room = LoneRoom::new("11");
    room.join_bob();
    end_telling(&room, false);
    room.rewind();
    say(&room, "1");
    assert_eq!(room.alarm(), Some(2), "news gathers");
    room.evict();
    room.send("alice", "m.room.message", None, &json!({ "body": "later" })).unwrap();
    assert_eq!(room.alarm(), Some(0));
}
