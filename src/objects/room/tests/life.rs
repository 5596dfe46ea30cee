//! What happens in a room whose members are on two servers?

use serde_json::{Value, json};
use tombolo_protocol::membership::Membership;

use super::scene::*;
use crate::objects::room::messages::*;

const VERSIONS: [&str; 7] = ["6", "7", "8", "9", "10", "11", "12"];

#[test]
fn a_message_is_accepted_and_shown() {
    for version in VERSIONS {
        let scene = Scene::new(version);
        let id = scene
            .send("alice", "m.room.message", None, &json!({ "body": "hi", "msgtype": "m.text" }))
            .unwrap();
        let window = scene.window(0, 20);
        assert_eq!(ids(&window.timeline).last().unwrap(), id.as_str(), "version {version}");
        assert_eq!(window.timeline.len(), 5);
        assert!(window.state.is_empty(), "all state is in the timeline");
        assert!(!window.limited);
    }
}

#[test]
fn a_stranger_may_not_send() {
    let scene = Scene::new("11");
    let refused = scene.send("mallory", "m.room.message", None, &json!({ "body": "hi" }));
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
}

#[test]
fn the_same_transaction_is_one_event() {
    let scene = Scene::new("11");
    let send = || Send {
        transaction: Some(Transaction {
            device: "D".to_owned(),
            txn_id: "1".to_owned(),
            scope: "send/m.room.message".to_owned(),
        }),
        ..Send::of(user("alice", OURS), wish("m.room.message", None, &json!({ "body": "once" })))
    };
    let first = scene.ask(send()).unwrap().event_id;
    scene.evict();
    assert_eq!(scene.ask(send()).unwrap().event_id, first);
}

#[test]
fn a_transaction_whose_path_was_not_noted_is_known_by_its_type() {
    let scene = Scene::new("11");
    let send = |kind: &str| {
        let (device, txn_id, scope) = ("D".to_owned(), "1".to_owned(), format!("send/{kind}"));
        let transaction = Some(Transaction { device, txn_id, scope });
        let draft = wish(kind, None, &json!({ "body": "once" }));
        let send = Send { transaction, ..Send::of(user("alice", OURS), draft) };
        scene.ask(send).unwrap().event_id
    };
    let first = send("m.room.message");
    scene.run("UPDATE events SET scope = NULL");
    assert_eq!(send("m.room.message"), first);
    let other = send("x.other");
    assert_ne!(other, first);
    assert_eq!((send("m.room.message"), send("x.other")), (first, other));
}

#[test]
fn a_fork_is_merged_by_the_next_event() {
    for version in VERSIONS {
        let scene = Scene::new(version);
        scene.join_bob();
        let base = scene.extremities();
        let ours =
            scene.send("alice", "m.room.name", Some(""), &json!({ "name": "ours" })).unwrap();
        let theirs = scene.theirs("m.room.message", None, &json!({ "body": "meanwhile" }), &base);
        assert_eq!(scene.outcome(&theirs), Outcome::Accepted, "version {version}");
        assert_eq!(scene.extremities().len(), 2);
        assert_eq!(scene.state_id("m.room.name", ""), Some(ours));
        let merge =
            scene.send("alice", "m.room.message", None, &json!({ "body": "both" })).unwrap();
        assert_eq!(scene.extremities(), vec![merge]);
    }
}

#[test]
fn a_banned_users_fork_is_soft_failed() {
    for version in VERSIONS {
        let scene = Scene::new(version);
        scene.join_bob();
        let base = scene.extremities();
        let evidence = scene.theirs("m.room.message", None, &json!({ "body": "before" }), &base);
        let late = scene.theirs("m.room.message", None, &json!({ "body": "too late" }), &base);
        assert_eq!(scene.outcome(&evidence), Outcome::Accepted);
        scene
            .send(
                "alice",
                "m.room.member",
                Some("@bob:theirs.test"),
                &json!({ "membership": "ban" }),
            )
            .unwrap();
        let extremities = scene.extremities();
        assert!(matches!(scene.outcome(&late), Outcome::SoftFailed(_)), "version {version}");
        assert_eq!(scene.extremities(), extremities, "a soft-failed event is no tip");
        assert!(!ids(&scene.window(0, 50).timeline).contains(&late.event_id.to_string()));
    }
}

#[test]
fn an_event_with_unknown_parents_is_parked_until_they_come() {
    let scene = Scene::new("11");
    scene.join_bob();
    let first = scene.theirs("m.room.message", None, &json!({ "body": "1" }), &scene.extremities());
    let second = scene.theirs(
        "m.room.message",
        None,
        &json!({ "body": "2" }),
        std::slice::from_ref(&first.event_id),
    );
    let received = scene.receive(&[&second]);
    assert_eq!(received.outcomes, vec![(second.event_id.clone(), Outcome::Parked)]);
    assert_eq!(received.lacking[0].prev_events, vec![first.event_id.clone()]);
    scene.evict();
    let received = scene.receive(&[&first]);
    assert!(
        received.outcomes.contains(&(second.event_id.clone(), Outcome::Accepted)),
        "{received:?}"
    );
    assert_eq!(scene.extremities(), vec![second.event_id]);
}

#[test]
fn a_kick_by_nobody_is_rejected() {
    let scene = Scene::new("11");
    scene.join_bob();
    let kick = scene.theirs(
        "m.room.member",
        Some("@alice:ours.test"),
        &json!({ "membership": "leave" }),
        &scene.extremities(),
    );
    assert!(matches!(scene.outcome(&kick), Outcome::Rejected(_)));
    scene.send("alice", "m.room.message", None, &json!({ "body": "still here" })).unwrap();
}

#[test]
fn a_redaction_changes_no_verdict() {
    // In version 10 a redaction takes the level for invites away.
    let scene = Scene::new("10");
    scene.join_bob();
    let alice = user("alice", OURS);
    let mut with_invite = levels(scene.version, &alice);
    with_invite["invite"] = json!(50);
    let set = scene.send("alice", "m.room.power_levels", Some(""), &with_invite).unwrap();
    let draft = Draft { redacts: Some(set), ..wish("m.room.redaction", None, &json!({})) };
    scene.ask(Send::of(alice, draft)).unwrap();
    let shown = serde_json::to_string(&scene.window(0, 50)).unwrap();
    assert!(shown.contains("redacted_because") && !shown.contains("\"invite\":50"), "{shown}");
    for evicted in [false, true] {
        if evicted {
            scene.evict();
        }
        let carl = user("carl", THEIRS);
        let content = json!({ "membership": "invite" });
        let invite =
            scene.theirs("m.room.member", Some(carl.as_str()), &content, &scene.extremities());
        assert!(matches!(scene.outcome(&invite), Outcome::Rejected(_)), "evicted: {evicted}");
    }
}

#[test]
fn a_redaction_leaves_no_copy_of_the_content() {
    let scene = Scene::new("11");
    scene.join_bob();
    let secret = scene.theirs(
        "m.room.message",
        None,
        &json!({ "body": "planted-secret" }),
        &scene.extremities(),
    );
    scene.outcome(&secret);
    let draft = Draft {
        redacts: Some(secret.event_id.clone()),
        ..wish("m.room.redaction", None, &json!({ "redacts": secret.event_id }))
    };
    scene.ask(Send::of(user("alice", OURS), draft)).unwrap();
    let shown = serde_json::to_string(&scene.window(0, 50)).unwrap();
    assert!(!shown.contains("planted-secret"));
    assert!(shown.contains("redacted_because"));
}

#[test]
fn a_membership_changes_only_from_what_the_change_is_for() {
    let scene = Scene::new("11");
    let bob = user("bob", THEIRS);
    let change = |sender: &str, membership: &str, of: &[&str]| {
        let content = json!({ "membership": membership });
        let draft = wish("m.room.member", Some(bob.as_str()), &content);
        let memberships = of.iter().filter_map(|name| Membership::of(name)).collect();
        scene.ask(Send { memberships, ..Send::of(user(sender, OURS), draft) }).map(|_| ())
    };
    let kick = |sender: &str| change(sender, "leave", &["join", "invite", "knock"]);
    let unban = |sender: &str| change(sender, "leave", &["ban"]);
    let ban = || change("alice", "ban", &[]).unwrap();
    assert!(matches!(kick("alice"), Err(Refusal::Forbidden(_))), "he was never there");
    assert!(matches!(unban("alice"), Err(Refusal::BadState(_))), "he was never there");
    scene.join_bob();
    assert!(matches!(unban("alice"), Err(Refusal::BadState(_))), "he is in the room");
    kick("alice").unwrap();
    assert!(matches!(kick("alice"), Err(Refusal::Forbidden(_))), "he is out");
    ban();
    let (row, ban) = (scene.extremities(), scene.state_id("m.room.member", bob.as_str()));
    assert!(matches!(kick("alice"), Err(Refusal::BadState(_))), "that would lift the ban");
    for deed in [kick("mallory"), unban("mallory")] {
        assert!(matches!(deed, Err(Refusal::Absent)), "a stranger learns nothing: {deed:?}");
    }
    assert_eq!((scene.extremities(), scene.state_id("m.room.member", bob.as_str())), (row, ban));
    unban("alice").unwrap();
}

#[test]
fn a_template_is_for_a_server_that_is_let_in_and_knows_the_version() {
    let scene = Scene::new("11");
    let template = |versions: Value| {
        let template = json!({
            "origin": THEIRS, "user": "@carol:theirs.test", "membership": "join", "versions": versions,
        });
        scene.ask(serde_json::from_value::<Template>(template).unwrap())
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
    scene.send("alice", "m.room.server_acl", Some(""), &acl).unwrap();
    for versions in [json!(["1"]), json!(["11"])] {
        assert!(matches!(template(versions), Err(Refusal::Forbidden(_))), "it learns no version");
    }
}

#[test]
fn a_template_asked_for_by_an_earlier_deployment_is_given() {
    let scene = Scene::new("11");
    let template = json!({ "origin": THEIRS, "user": "@carol:theirs.test", "membership": "join" });
    scene.ask(serde_json::from_value::<Template>(template).unwrap()).unwrap();
}

#[test]
fn a_send_of_an_earlier_deployment_is_read() {
    let scene = Scene::new("11");
    let send = json!({
        "sender": "@alice:ours.test",
        "draft": { "event_type": "m.room.message", "content": { "body": "hi" } },
    });
    scene.ask(serde_json::from_value::<Send>(send).unwrap()).unwrap();
}

#[test]
fn asking_an_absent_room_makes_no_table() {
    let scene = Scene::new("11");
    let absent = Scene::empty();
    assert!(matches!(absent.ask(Describe {}), Err(Refusal::Absent)));
    assert!(!absent.has_tables());
    assert!(scene.has_tables());
}

#[test]
fn a_room_that_everybody_left_does_not_say_who_is_in_it_now() {
    let scene = Scene::new("11");
    scene.join_bob();
    let ask = |live| MembershipOf { user: user("bob", THEIRS), live };
    assert_eq!(scene.ask(ask(true)).unwrap(), Some(Membership::Join));
    let leave = json!({ "membership": "leave" });
    scene.send("alice", "m.room.member", Some("@alice:ours.test"), &leave).unwrap();
    assert!(matches!(scene.ask(ask(true)), Err(Refusal::Absent)));
    assert_eq!(scene.ask(ask(false)).unwrap(), Some(Membership::Join));
}
