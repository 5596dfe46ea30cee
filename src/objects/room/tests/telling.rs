//! Is what a follower could not be told told the next time?

use serde_json::json;

use super::scene::*;
use crate::objects::room::messages::*;

fn end_telling(scene: &Scene, to: Position, users: &[&str], servers: &[&str]) {
    let lagging_users = users.iter().map(|name| user(name, OURS)).collect();
    let lagging_servers = servers.iter().map(|name| (*name).try_into().unwrap()).collect();
    scene.ask(Told { to, lagging_users, lagging_servers }).unwrap();
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
