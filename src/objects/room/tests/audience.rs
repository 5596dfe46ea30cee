//! Who tells the followers of a message: the request that sent it, or the alarm?

use serde_json::json;
use tombolo_protocol::membership::Membership;

use super::scene::*;
use crate::objects::room::messages::*;

/// Alice's message, in this transaction.
fn say(scene: &Scene, txn: &str) -> Sent {
    let sent = scene.ask(Send {
        transaction: Some(Transaction {
            device: "D".to_owned(),
            txn_id: txn.to_owned(),
            scope: "send/m.room.message".to_owned(),
        }),
        ..Send::of(user("alice", OURS), wish("m.room.message", None, &json!({ "body": "hi" })))
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
    let scene = Scene::new("11");
    for name in ["bertha", "carl", "dora"] {
        scene.join(name);
    }
    let sent = say(&scene, "1");
    assert_eq!(told(&sent.news, sent.position), ["alice"]);
    assert_eq!(told(&sent.others, sent.position), ["bertha", "carl", "dora"]);
    assert_eq!(scene.alarm(), Some(2000));
}

#[test]
fn what_the_request_did_not_tell_the_alarm_tells() {
    let scene = Scene::new("11");
    scene.join("bertha");
    let sent = say(&scene, "1");
    scene.evict();
    let undelivered = scene.ask(Undelivered {}).unwrap();
    assert_eq!(told(&undelivered.users, sent.position), ["alice", "bertha"]);
}

#[test]
fn many_local_users_are_told_by_the_alarm() {
    let scene = Scene::new("11");
    for name in ["bertha", "carl", "dora", "emil"] {
        scene.join(name);
    }
    let sent = say(&scene, "1");
    assert_eq!(told(&sent.news, sent.position), ["alice"]);
    assert!(sent.others.is_empty());
    assert_eq!(scene.alarm(), Some(0));
}

#[test]
fn where_another_server_is_in_the_room_the_alarm_tells() {
    let scene = Scene::new("11");
    scene.join_bob();
    let sent = say(&scene, "1");
    assert!(sent.others.is_empty());
    assert_eq!(scene.alarm(), Some(0));
}

#[test]
fn who_came_and_who_left_are_known_to_the_next_message() {
    let scene = Scene::new("11");
    assert!(say(&scene, "1").others.is_empty());
    scene.join("bertha");
    let sent = say(&scene, "2");
    assert_eq!(told(&sent.others, sent.position), ["bertha"]);
    let leave = json!({ "membership": "leave" });
    scene.send("bertha", "m.room.member", Some("@bertha:ours.test"), &leave).unwrap();
    assert_eq!(scene.alarm(), Some(0), "a membership change is for the alarm");
    assert!(say(&scene, "3").others.is_empty());
}

#[test]
fn a_repeated_send_tells_its_sender_again() {
    let scene = Scene::new("11");
    let first = say(&scene, "1");
    let again = say(&scene, "1");
    assert_eq!(again.position, first.position);
    assert_eq!(told(&again.news, first.position), ["alice"]);
}

#[test]
fn a_telling_begins_a_little_after_the_last() {
    let scene = Scene::new("11");
    scene.join_bob();
    let to = scene.ask(Undelivered {}).unwrap().to;
    let (lagging, lagging_users, lagging_servers) = (Vec::new(), Vec::new(), Vec::new());
    scene.ask(Told { to, lagging, lagging_users, lagging_servers, copy_lagging: false }).unwrap();
    scene.rewind();
    say(&scene, "1");
    assert_eq!(scene.alarm(), Some(100), "news gathers");
    scene.evict();
    scene.send("alice", "m.room.message", None, &json!({ "body": "later" })).unwrap();
    assert_eq!(scene.alarm(), Some(0));
}
