//! Does an invite of another server's user stand only with that server's signature?

use serde_json::{Value, json};
use tombolo_platform::values;
use tombolo_support::{Answer, Asked, Reply, ok, refusal};

use crate::{
    flows::tests::{Guest, PEER, membership, room_id},
    objects::room_object,
};

/// Alice invites a user of the peer, which gives this answer.
fn invited(guest: &Guest, answer: impl Fn(&Asked) -> Reply + 'static) -> Answer {
    guest.peer.on("invite", answer);
    let body = json!({ "user_id": guest.peer.user("friend") });
    guest.scene.act(&guest.alice, &guest.room, "invite", &body)
}

fn stands(guest: &Guest) -> bool {
    let friend = guest.peer.user("friend");
    membership(&guest.scene, &guest.alice, &guest.room, &friend).is_some()
}

#[test]
fn an_invite_stands_with_the_signature_of_the_invited_users_server() {
    let guest = Guest::new();
    let (peer, version) = (guest.peer.clone(), guest.version);
    let sign =
        move |asked: &Asked| ok(&json!({ "event": peer.sign(version, &asked.body["event"]) }));
    invited(&guest, sign).ok();
    assert!(stands(&guest));
    let tables = guest.scene.server.sql(&room_object(&room_id(&guest.room))).unwrap();
    let query = "SELECT e.json FROM now n JOIN events e ON e.sn = n.sn WHERE n.key = ?";
    let friend = guest.peer.user("friend");
    let event = tables.row(query, values![&friend], |row| row.text(0)).unwrap().unwrap();
    let event: Value = serde_json::from_str(&event).unwrap();
    let signers: Vec<&String> = event["signatures"].as_object().unwrap().keys().collect();
    assert_eq!(signers, [guest.scene.server.name(), PEER]);
}

#[test]
fn without_that_signature_there_is_no_invite() {
    let guest = Guest::new();
    invited(&guest, |_| refusal(403, "M_FORBIDDEN")).refused(403, "M_FORBIDDEN");
    invited(&guest, |asked| ok(&json!({ "event": asked.body["event"] }))).refused(502, "M_UNKNOWN");
    invited(&guest, |_| ok(&json!({}))).refused(502, "M_UNKNOWN");
    assert!(!stands(&guest));
}
