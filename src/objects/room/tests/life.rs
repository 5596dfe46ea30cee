//! What happens in a room whose members are on two servers?

use serde_json::{Value, json};
use tombolo_protocol::membership::Membership;

use super::lone_room::*;
use crate::objects::room::messages::*;

const VERSIONS: [&str; 7] = ["6", "7", "8", "9", "10", "11", "12"];

#[test]
fn a_message_is_accepted_and_shown() {
    for version in VERSIONS {
        let room = LoneRoom::new(version);
        let id = room
            .send("alice", "m.room.message", None, &json!({ "body": "hi", "msgtype": "m.text" }))
            .unwrap();
        let window = room.window(0, 20);
        assert_eq!(ids(&window.timeline).last().unwrap(), id.as_str(), "version {version}");
        assert_eq!(window.timeline.len(), 5);
        assert!(window.state.is_empty(), "all state is in the timeline");
        assert!(!window.limited);
    }
}

#[test]
fn a_stranger_may_not_send() {
    let room = LoneRoom::new("11");
    let refused = room.send("mallory", "m.room.message", None, &json!({ "body": "hi" }));
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
}

#[test]
fn the_same_transaction_is_one_event() {
    let room = LoneRoom::new("11");
    let send = || Send {
        transaction: Some(Transaction {
            device: "D".to_owned(),
            txn_id: "1".to_owned(),
            scope: "send/m.room.message".to_owned(),
        }),
        ..Send::of(user("alice", OURS), draft("m.room.message", None, &json!({ "body": "once" })))
    };
    let first = room.ask(send()).unwrap().event_id;
    room.evict();
    assert_eq!(room.ask(send()).unwrap().event_id, first);
}

#[test]
fn a_transaction_whose_path_was_not_noted_is_known_by_its_type() {
    let room = LoneRoom::new("11");
    let send = |kind: &str| {
        let (device, txn_id, scope) = ("D".to_owned(), "1".to_owned(), format!("send/{kind}"));
        let transaction = Some(Transaction { device, txn_id, scope });
        let draft = draft(kind, None, &json!({ "body": "once" }));
        let send = Send { transaction, ..Send::of(user("alice", OURS), draft) };
        room.ask(send).unwrap().event_id
    };
    let first = send("m.room.message");
    room.run("UPDATE events SET scope = NULL");
    assert_eq!(send("m.room.message"), first);
    let other = send("x.other");
    assert_ne!(other, first);
    assert_eq!((send("m.room.message"), send("x.other")), (first, other));
}

#[test]
fn a_fork_is_merged_by_the_next_event() {
    for version in VERSIONS {
        let room = LoneRoom::new(version);
        room.join_bob();
        let base = room.extremities();
        let ours = room.send("alice", "m.room.name", Some(""), &json!({ "name": "ours" })).unwrap();
        let theirs = room.theirs("m.room.message", None, &json!({ "body": "meanwhile" }), &base);
        assert_eq!(room.outcome(&theirs), Outcome::Accepted, "version {version}");
        assert_eq!(room.extremities().len(), 2);
        assert_eq!(room.state_id("m.room.name", ""), Some(ours));
        let merge = room.send("alice", "m.room.message", None, &json!({ "body": "both" })).unwrap();
        assert_eq!(room.extremities(), vec![merge]);
    }
}

#[test]
fn a_banned_users_fork_is_soft_failed() {
    for version in VERSIONS {
        let room = LoneRoom::new(version);
        room.join_bob();
        let base = room.extremities();
        let evidence = room.theirs("m.room.message", None, &json!({ "body": "before" }), &base);
        let late = room.theirs("m.room.message", None, &json!({ "body": "too late" }), &base);
        assert_eq!(room.outcome(&evidence), Outcome::Accepted);
        room.send(
            "alice",
            "m.room.member",
            Some("@bob:theirs.test"),
            &json!({ "membership": "ban" }),
        )
        .unwrap();
        let extremities = room.extremities();
        assert!(matches!(room.outcome(&late), Outcome::SoftFailed(_)), "version {version}");
        assert_eq!(room.extremities(), extremities, "a soft-failed event is no extremity");
        assert!(!ids(&room.window(0, 50).timeline).contains(&late.event_id.to_string()));
    }
}

#[test]
fn an_event_with_unknown_parents_is_parked_until_they_come() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let first = room.theirs("m.room.message", None, &json!({ "body": "1" }), &room.extremities());
    let second = room.theirs(
        "m.room.message",
        None,
        &json!({ "body": "2" }),
        std::slice::from_ref(&first.event_id),
    );
    let received = room.receive(&[&second]);
    assert_eq!(received.outcomes, vec![(second.event_id.clone(), Outcome::Parked)]);
    assert_eq!(received.lacking[0].prev_events, vec![first.event_id.clone()]);
    room.evict();
    let received = room.receive(&[&first]);
    assert!(
        received.outcomes.contains(&(second.event_id.clone(), Outcome::Accepted)),
        "{received:?}"
    );
    assert_eq!(room.extremities(), vec![second.event_id]);
}

#[test]
fn a_kick_by_nobody_is_rejected() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let kick = room.theirs(
        "m.room.member",
        Some("@alice:ours.test"),
        &json!({ "membership": "leave" }),
        &room.extremities(),
    );
    assert!(matches!(room.outcome(&kick), Outcome::Rejected(_)));
    room.send("alice", "m.room.message", None, &json!({ "body": "still here" })).unwrap();
}

#[test]
fn a_redaction_changes_no_verdict() {
    // In version 10 a redaction takes the level for invites away.
    let room = LoneRoom::new("10");
    room.join_bob();
    let alice = user("alice", OURS);
    let mut with_invite = levels(room.version, &alice);
    with_invite["invite"] = json!(50);
    let set = room.send("alice", "m.room.power_levels", Some(""), &with_invite).unwrap();
    let draft = Draft { redacts: Some(set), ..draft("m.room.redaction", None, &json!({})) };
    room.ask(Send::of(alice, draft)).unwrap();
    let shown = serde_json::to_string(&room.window(0, 50)).unwrap();
    assert!(shown.contains("redacted_because") && !shown.contains("\"invite\":50"), "{shown}");
    for evicted in [false, true] {
        if evicted {
            room.evict();
        }
        let carl = user("carl", THEIRS);
        let content = json!({ "membership": "invite" });
        let invite =
            room.theirs("m.room.member", Some(carl.as_str()), &content, &room.extremities());
        assert!(matches!(room.outcome(&invite), Outcome::Rejected(_)), "evicted: {evicted}");
    }
}

#[test]
fn a_redaction_leaves_no_copy_of_the_content() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let secret = room.theirs(
        "m.room.message",
        None,
        &json!({ "body": "planted-secret" }),
        &room.extremities(),
    );
    room.outcome(&secret);
    let draft = Draft {
        redacts: Some(secret.event_id.clone()),
        ..draft("m.room.redaction", None, &json!({ "redacts": secret.event_id }))
    };
    room.ask(Send::of(user("alice", OURS), draft)).unwrap();
    let shown = serde_json::to_string(&room.window(0, 50)).unwrap();
    assert!(!shown.contains("planted-secret"));
    assert!(shown.contains("redacted_because"));
}

#[test]
fn a_membership_changes_only_from_what_the_change_is_for() {
    let room = LoneRoom::new("11");
    let bob = user("bob", THEIRS);
    let change = |sender: &str, membership: &str, of: &[&str]| {
        let content = json!({ "membership": membership });
        let draft = draft("m.room.member", Some(bob.as_str()), &content);
        let memberships = of.iter().filter_map(|name| Membership::of(name)).collect();
        room.ask(Send { memberships, ..Send::of(user(sender, OURS), draft) }).map(|_| ())
    };
    let kick = |sender: &str| change(sender, "leave", &["join", "invite", "knock"]);
    let unban = |sender: &str| change(sender, "leave", &["ban"]);
    let ban = || change("alice", "ban", &[]).unwrap();
    assert!(matches!(kick("alice"), Err(Refusal::Forbidden(_))), "he was never there");
    assert!(matches!(unban("alice"), Err(Refusal::BadState(_))), "he was never there");
    room.join_bob();
    assert!(matches!(unban("alice"), Err(Refusal::BadState(_))), "he is in the room");
    kick("alice").unwrap();
    assert!(matches!(kick("alice"), Err(Refusal::Forbidden(_))), "he is out");
    ban();
    let (row, ban) = (room.extremities(), room.state_id("m.room.member", bob.as_str()));
    assert!(matches!(kick("alice"), Err(Refusal::BadState(_))), "that would lift the ban");
    for deed in [kick("mallory"), unban("mallory")] {
        assert!(matches!(deed, Err(Refusal::Absent)), "a stranger learns nothing: {deed:?}");
    }
    assert_eq!((room.extremities(), room.state_id("m.room.member", bob.as_str())), (row, ban));
    unban("alice").unwrap();
}

#[test]
fn a_template_is_for_a_server_that_is_let_in_and_knows_the_version() {
    let room = LoneRoom::new("11");
    let template = |versions: Value| {
        let template = json!({
            "origin": THEIRS, "user": "@carol:theirs.test", "membership": "join", "versions": versions,
        });
        room.ask(serde_json::from_value::<Template>(template).unwrap())
    };
    for unknown in [json!([]), json!(["1", "10"])] {
        let refused = template(unknown).unwrap_err();
        assert!(
            matches!(&refused, Refusal::Incompatible(version) if version == "11"),
            "{refused:?}"
        );
    }
    for known in [Value::Null, json!(["10", "11"])] {
        assert_eq!(template(known).unwrap().version, "11");
    }
    let acl = json!({ "allow": ["*"], "deny": [THEIRS] });
    room.send("alice", "m.room.server_acl", Some(""), &acl).unwrap();
    for versions in [json!(["1"]), json!(["11"])] {
        assert!(matches!(template(versions), Err(Refusal::Forbidden(_))), "it learns no version");
    }
}

#[test]
fn a_template_asked_for_by_an_earlier_deployment_is_given() {
    let room = LoneRoom::new("11");
    let template = json!({ "origin": THEIRS, "user": "@carol:theirs.test", "membership": "join" });
    room.ask(serde_json::from_value::<Template>(template).unwrap()).unwrap();
}

#[test]
fn a_send_of_an_earlier_deployment_is_read() {
    let room = LoneRoom::new("11");
    let send = json!({
        "sender": "@alice:ours.test",
        "draft": { "event_type": "m.room.message", "content": { "body": "hi" } },
    });
    room.ask(serde_json::from_value::<Send>(send).unwrap()).unwrap();
}

#[test]
fn asking_an_absent_room_makes_no_table() {
    let room = LoneRoom::new("11");
    let absent = LoneRoom::empty();
    assert!(matches!(absent.ask(Describe {}), Err(Refusal::Absent)));
    assert!(!absent.has_tables());
    assert!(room.has_tables());
}

#[test]
fn a_room_that_everybody_left_does_not_say_who_is_in_it_now() {
    let room = LoneRoom::new("11");
    room.join_bob();
    let ask = |live| MembershipOf { user: user("bob", THEIRS), live };
    assert_eq!(room.ask(ask(true)).unwrap(), Some(Membership::Join));
    let leave = json!({ "membership": "leave" });
    room.send("alice", "m.room.member", Some("@alice:ours.test"), &leave).unwrap();
    assert!(matches!(room.ask(ask(true)), Err(Refusal::Absent)));
    assert_eq!(room.ask(ask(false)).unwrap(), Some(Membership::Join));
}

#[test]
fn in_a_room_that_is_being_deleted_one_can_only_leave() {
    let room = LoneRoom::new("11");
    room.join("bob");
    let delete = Delete { id: "a".to_owned(), block: None, purge: true, new_room: None };
    room.ask(delete).unwrap();
    for (kind, key) in [("m.room.message", None), ("m.room.topic", Some(""))] {
        let refused = room.send("alice", kind, key, &json!({ "body": "x", "topic": "x" }));
        assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
    }
    let bob = user("bob", OURS);
    let left = json!({ "membership": "leave" });
    room.send("bob", "m.room.member", Some(bob.as_str()), &left).unwrap();
}
