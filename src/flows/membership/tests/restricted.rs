//! Who authorises the join of a restricted room?
//! ([restricted rooms](https://spec.matrix.org/v1.19/server-server-api/#restricted-rooms))

use serde_json::{Value, json};
use tombolo_support::{Answer, Asked, Hosted, Peer, User, ok, refusal};

use super::elsewhere::Elsewhere;
use crate::flows::tests::{OURS, PEER, membership};

/// Lets in the members of a room that is not here.
fn restricted() -> Value {
    let allow = json!([{ "type": "m.room_membership", "room_id": "!space:peer.test:8448" }]);
    json!({ "join_rule": "restricted", "allow": allow })
}

/// From now on the peer authorises joins, and answers with this event instead of the one that it was given.
fn authorises(hosted: &Hosted, peer: &Peer, event: impl Fn(&Asked) -> Value + 'static) {
    hosted.give_altered(peer, move |asked, mut answer| {
        answer["event"] = event(asked);
        answer
    });
    let (hosted, creator) = (hosted.clone(), hosted.creator.clone());
    let content = json!({ "membership": "join", "join_authorised_via_users_server": creator });
    peer.on("make_join", move |asked| ok(&hosted.template(&asked.arguments[1], &content)));
}

/// The peer signs what it authorises.
fn signs(hosted: &Hosted, peer: &Peer) {
    let (signer, version) = (peer.clone(), hosted.version);
    authorises(hosted, peer, move |asked| signer.sign(version, &asked.body));
}

/// What makes a server in the room no help.
type NoHelp = fn(&Hosted, &Peer);

const REFUSES: [NoHelp; 2] = [
    |_, peer| peer.on("make_join", |_| refusal(400, "M_UNABLE_TO_AUTHORISE_JOIN")),
    |_, peer| peer.on("send_join", |_| refusal(400, "M_UNABLE_TO_GRANT_JOIN")),
];

const SIGNS_NOT: [NoHelp; 3] = [
    |hosted, peer| authorises(hosted, peer, |asked| asked.body.clone()),
    |hosted, peer| {
        let (name, content) = (("m.room.name", Some("")), json!({ "name": "other" }));
        let other = hosted.event(peer, &hosted.creator, name, &content);
        authorises(hosted, peer, move |_| other.clone());
    },
    |hosted, peer| {
        authorises(hosted, peer, |asked| {
            let mut event = asked.body.clone();
            event["signatures"][PEER] = json!({ "ed25519:k": "A".repeat(86) });
            event
        });
    },
];

#[test]
fn where_one_server_does_not_authorise_a_join_the_next_one_does() {
    for no_help in REFUSES.into_iter().chain(SIGNS_NOT) {
        let there = Elsewhere::new();
        let (hosted, first) = (&there.hosted, there.another());
        let mallory = hosted.creator.clone();
        hosted.say(&there.peer, &mallory, ("m.room.join_rules", Some("")), &restricted());
        signs(hosted, &first);
        no_help(hosted, &first);
        signs(hosted, &there.peer);
        hosted.join(&there.scene, &there.alice, &[&first, &there.peer]).ok();
        assert_eq!(first.times_asked("make_join"), 1);
        there.is_in();
        assert_eq!(there.signers(&there.alice), [OURS, PEER]);
    }
}

/// Alice is in the room, which then becomes restricted; carol is not in it.
fn live_room() -> (Elsewhere, User) {
    let there = Elsewhere::new();
    let (scene, peer, hosted) = (&there.scene, &there.peer, &there.hosted);
    there.join().ok();
    let rules = ("m.room.join_rules", Some(""));
    let mut pdu = hosted.event(peer, &hosted.creator, rules, &restricted());
    pdu["prev_events"] = json!([there.sent()]);
    pdu["depth"] = json!(100);
    let pdu = peer.seal(hosted.version, &pdu);
    hosted.events.borrow_mut().push(peer.asked("send_join").remove(0).body);
    hosted.events.borrow_mut().push(pdu.clone());
    let line = "PUT /_matrix/federation/v1/send/1";
    let answer = scene.signed(peer, line, Some(&json!({ "pdus": [pdu] }))).ok();
    assert_eq!(answer["pdus"][hosted.id(&pdu)], json!({}));
    let carol = scene.register("carol");
    (there, carol)
}

fn join(there: &Elsewhere, carol: &User, peers: &[&Peer]) -> Answer {
    there.hosted.join(&there.scene, carol, peers)
}

fn carols(there: &Elsewhere, carol: &User) -> Option<String> {
    membership(&there.scene, &there.alice, &there.hosted.room, &carol.id)
}

#[test]
fn in_a_room_that_is_here_another_server_authorises_what_ours_cannot() {
    for no_help in REFUSES.into_iter().chain(SIGNS_NOT) {
        let (there, carol) = live_room();
        let first = there.another();
        signs(&there.hosted, &first);
        no_help(&there.hosted, &first);
        signs(&there.hosted, &there.peer);
        join(&there, &carol, &[&first, &there.peer]).ok();
        assert_eq!(first.times_asked("make_join"), 1);
        assert_eq!(carols(&there, &carol).as_deref(), Some("join"));
        assert_eq!(there.signers(&carol), [OURS, PEER]);
    }
}

#[test]
fn whom_no_server_authorises_stays_out() {
    for no_help in REFUSES.into_iter().chain(SIGNS_NOT) {
        let (there, carol) = live_room();
        signs(&there.hosted, &there.peer);
        no_help(&there.hosted, &there.peer);
        join(&there, &carol, &[&there.peer]).refused(403, "M_FORBIDDEN");
        there.scene.simulation.settle(600_000);
        assert_eq!(carols(&there, &carol), None);
    }
}
