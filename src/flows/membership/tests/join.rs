//! Does a local user come into a room that lies on another server, whatever that server makes of the join?

use std::{cell::Cell, rc::Rc};

use futures_util::future::join;
use serde_json::{Value, json};
use tombolo_platform::simulated::Faults;
use tombolo_support::{Peer, Reply, User, ask, encode, ok, refusal};

use super::elsewhere::Elsewhere;
use crate::flows::tests::{OURS, PEER, heard, two_servers};

/// Changes the events of this type in what is given.
fn each(answer: &mut Value, kind: &str, change: impl Fn(&mut Value)) {
    for list in ["state", "auth_chain"] {
        let events = answer[list].as_array_mut().unwrap().iter_mut();
        events.filter(|pdu| pdu["type"] == kind).for_each(&change);
    }
}

#[test]
fn a_room_goes_live_with_the_state_that_was_given() {
    let there = Elsewhere::new();
    there.join().ok();
    there.is_in();
    let sync = there.scene.sync(&there.alice, "");
    let room = &sync["rooms"]["join"][&there.hosted.room];
    let timeline = room["timeline"]["events"].as_array().unwrap();
    assert_eq!(timeline.last().unwrap()["event_id"], there.sent());
    let events = room["state"]["events"].as_array().unwrap().iter().chain(timeline);
    let mut told: Vec<&str> = events.filter_map(|event| event["event_id"].as_str()).collect();
    let mut expected: Vec<String> = there.expected().into_values().collect();
    told.sort_unstable();
    expected.sort_unstable();
    assert_eq!(told, expected);
    // Who is in the room hears what is said there, and joining again changes nothing.
    there.join().ok();
    assert_eq!(there.peer.times_asked("send_join"), 1);
}

#[test]
fn a_server_that_refuses_or_gives_nonsense_is_followed_by_the_next() {
    let page = Reply { status: 200, body: "<html>".into() };
    for (endpoint, reply) in [
        ("make_join", refusal(403, "M_FORBIDDEN")),
        ("make_join", refusal(400, "M_UNABLE_TO_AUTHORISE_JOIN")),
        ("make_join", ok(&json!({ "room_version": "11", "event": {} }))),
        ("make_join", page.clone()),
        ("send_join", refusal(403, "M_FORBIDDEN")),
        ("send_join", refusal(500, "M_UNKNOWN")),
        ("send_join", ok(&json!({ "state": [], "auth_chain": [] }))),
        ("send_join", page),
    ] {
        let there = Elsewhere::new();
        let first = there.another();
        first.on(endpoint, move |_| reply.clone());
        there.hosted.join(&there.scene, &there.alice, &[&first, &there.peer]).ok();
        assert_eq!(first.times_asked(endpoint), 1);
        there.is_in();
    }
}

#[test]
fn the_server_in_the_room_id_is_asked_where_no_other_is_named() {
    let there = Elsewhere::new();
    let first = there.another();
    first.on("make_join", |_| refusal(403, "M_FORBIDDEN"));
    let join = |via: &[&Peer]| there.hosted.join(&there.scene, &there.alice, via);
    join(&[&first]).refused(403, "M_FORBIDDEN");
    assert_eq!(there.peer.times_asked("make_join"), 0);
    join(&[]).ok();
    assert_eq!(first.times_asked("make_join"), 1);
    there.is_in();
}

#[test]
fn of_a_state_that_does_not_hold_nothing_is_shown_until_one_holds() {
    let alterations: [fn(&mut Value); 5] = [
        |answer| {
            let events = answer["state"].as_array_mut().unwrap();
            events.retain(|pdu| pdu["type"] != "m.room.create");
            answer["auth_chain"] = json!([]);
        },
        |answer| each(answer, "m.room.create", |pdu| pdu["room_id"] = json!("!other:peer.test")),
        |answer| each(answer, "m.room.power_levels", |pdu| pdu["signatures"] = json!({})),
        |answer| each(answer, "m.room.join_rules", |pdu| pdu["content"]["join_rule"] = json!("x")),
        |answer| each(answer, "m.room.member", |pdu| pdu["depth"] = json!(100)),
    ];
    for alter in alterations {
        let there = Elsewhere::new();
        there.gives(alter);
        there.join().refused(502, "M_UNKNOWN");
        there.is_out();
        // The peer took the join, so it is asked again; what it gives is no better.
        there.scene.pass(400_000);
        assert!(there.peer.times_asked("send_join") > 1);
        there.is_out();
        there.hosted.give(&there.peer);
        there.scene.simulation.settle(3_600_000);
        there.is_in();
    }
}

#[test]
fn the_join_that_stands_is_ours_whatever_event_is_answered() {
    let answers: [fn(&Elsewhere, Value) -> Value; 4] = [
        |there, _| {
            let (name, content) = (("m.room.name", Some("")), json!({ "name": "other" }));
            there.hosted.event(&there.peer, &there.hosted.creator, name, &content)
        },
        |_, mut ours| {
            ours["signatures"][PEER] = json!({ "ed25519:k": "A".repeat(86) });
            ours
        },
        |there, mut ours| {
            ours["origin_server_ts"] = json!(5);
            there.peer.seal(there.hosted.version, &ours)
        },
        |_, _| json!(5),
    ];
    for answer in answers {
        let there = Rc::new(Elsewhere::new());
        let given = Rc::clone(&there);
        there.gives(move |answered| {
            answered["event"] = answer(&given, answered["event"].clone());
        });
        there.join().ok();
        there.is_in();
        assert_eq!(there.signers(&there.alice), [OURS]);
    }
}

#[test]
fn a_resident_may_sign_our_join_but_not_change_it() {
    let there = Elsewhere::new();
    let (peer, version) = (there.peer.clone(), there.hosted.version);
    there.gives(move |answer| {
        answer["event"]["content"]["displayname"] = json!("Mallory");
        answer["event"] = peer.sign(version, &answer["event"]);
    });
    there.join().ok();
    there.is_in();
    assert_eq!(there.signers(&there.alice), [OURS, PEER]);
    let path = format!("/_matrix/client/v3/rooms/{}/joined_members", there.hosted.room);
    let joined = there.scene.get(&there.alice, &path).ok()["joined"][&there.alice.id].clone();
    assert_eq!(joined["display_name"], "alice");
}

#[test]
fn a_join_whose_end_is_unknown_is_asked_for_again() {
    let page = Reply { status: 200, body: "<html>".into() };
    let cut_off = Reply { status: 200, body: "{\"state\":[".into() };
    for reply in [refusal(500, "M_UNKNOWN"), refusal(504, "M_UNKNOWN"), page, cut_off] {
        let there = Elsewhere::new();
        there.peer.on("send_join", move |_| reply.clone());
        there.join().refused(502, "M_UNKNOWN");
        there.is_out();
        let sent = there.sent();
        there.hosted.give(&there.peer);
        there.scene.simulation.settle(600_000);
        there.is_in();
        assert_eq!(there.sent(), sent, "it is the same join");
        assert_eq!(there.peer.times_asked("make_join"), 1);
    }
}

#[test]
fn a_join_whose_answer_is_lost_is_asked_for_again() {
    let there = Elsewhere::new();
    let simulation = &there.scene.simulation;
    let cut = async { simulation.partition(OURS, PEER, simulation.now() + 600_000) };
    there.join_while(cut).unwrap().refused(502, "M_UNKNOWN");
    there.is_out();
    there.scene.simulation.settle(600_000);
    there.is_in();
}

#[test]
fn a_join_is_taken_up_where_our_server_went_down_meanwhile() {
    let there = Elsewhere::new();
    there.join_while(async { there.scene.server.crash() }).unwrap_err();
    there.is_out();
    there.scene.simulation.settle(600_000);
    there.is_in();
}

/// A message of the room's creator that cites alice's join; the peer has both.
fn welcome(there: &Elsewhere) -> Value {
    let (peer, hosted) = (&there.peer, &there.hosted);
    let content = json!({ "msgtype": "m.text", "body": "welcome, alice" });
    let mut pdu = hosted.event(peer, &hosted.creator, ("m.room.message", None), &content);
    pdu["prev_events"] = json!([there.sent()]);
    pdu["depth"] = json!(100);
    peer.seal(hosted.version, &pdu)
}

const TRANSACTION: &str = "PUT /_matrix/federation/v1/send/1";

#[test]
fn what_is_sent_while_a_user_joins_is_shown_after_the_join() {
    let there = Elsewhere::new();
    // Its key is known and its answer far, so what it sends is there before its answer.
    there.scene.signed(&there.peer, &TRANSACTION.replace("/1", "/0"), Some(&json!({ "pdus": [] })));
    there.scene.simulation.faults(Faults { latency: 1_000, ..Faults::NONE });
    let sent = async {
        let body = json!({ "pdus": [welcome(&there)] });
        let line = TRANSACTION.split_once(' ').unwrap();
        let request = there.peer.request(OURS, line, Some(&body));
        ask(&there.scene.server, request).await.unwrap().ok();
        there.is_out();
    };
    there.join_while(sent).unwrap().ok();
    there.is_in();
    assert_eq!(heard(&there.scene, &there.alice, &there.hosted.room), ["welcome, alice"]);
}

#[test]
fn who_sends_an_event_that_cites_the_join_is_asked_for_the_room_if_it_has_the_join() {
    for has_it in [false, true] {
        let there = Elsewhere::new();
        let first = there.another();
        there.peer.on("send_join", |_| refusal(500, "M_UNKNOWN"));
        there.join().refused(502, "M_UNKNOWN");
        let (pdu, join) = (welcome(&there), there.peer.asked("send_join").remove(0).body);
        if has_it {
            there.hosted.events.borrow_mut().push(join);
        }
        there.scene.signed(&first, TRANSACTION, Some(&json!({ "pdus": [pdu] }))).ok();
        there.scene.pass(60_000);
        assert_eq!(first.times_asked("event"), 1);
        assert_eq!(first.times_asked("send_join"), usize::from(has_it));
        if has_it { there.is_in() } else { there.is_out() }
    }
}

#[test]
fn a_refused_join_is_the_end_of_it() {
    let there = Elsewhere::new();
    there.peer.on("send_join", |_| refusal(403, "M_FORBIDDEN"));
    there.join().refused(403, "M_FORBIDDEN");
    there.hosted.give(&there.peer);
    there.scene.simulation.settle(86_400_000);
    there.is_out();
    assert_eq!(there.peer.times_asked("send_join"), 1);
}

#[test]
fn a_server_that_never_says_how_a_join_ended_is_asked_for_a_week() {
    let there = Elsewhere::new();
    there.peer.on("send_join", |_| refusal(500, "M_UNKNOWN"));
    there.join().refused(502, "M_UNKNOWN");
    let day = 86_400_000;
    there.scene.simulation.settle(6 * day);
    let asked = there.peer.times_asked("send_join");
    there.scene.simulation.settle(day);
    assert!(there.peer.times_asked("send_join") > asked);
    there.scene.simulation.settle(10 * day);
    let asked = there.peer.times_asked("send_join");
    there.scene.simulation.settle(10 * day);
    assert_eq!(there.peer.times_asked("send_join"), asked);
}

#[test]
fn a_server_that_has_not_heard_how_its_guest_left_is_given_a_moment_to() {
    for moments in [2, 9] {
        let there = Elsewhere::new();
        there.join().ok();
        let (alice, hosted) = (&there.alice, &there.hosted);
        hosted.events.borrow_mut().push(there.member(alice));
        there.scene.act(alice, &hosted.room, "leave", &json!({})).ok();
        // By the template that cites it, alice is in the room still.
        let (told, leave, asked) = (hosted.clone(), there.member(alice), Cell::new(0));
        there.peer.on("make_join", move |ask| {
            asked.set(asked.get() + 1);
            if asked.get() == moments {
                told.events.borrow_mut().push(leave.clone());
            }
            ok(&told.template(&ask.arguments[1], &json!({ "membership": "join" })))
        });
        if moments == 2 {
            there.join().ok();
            there.is_in();
        } else {
            assert!(!there.join().is_ok());
            assert_eq!(there.peer.times_asked("send_join"), 1);
        }
    }
}

#[test]
fn two_who_join_at_once_are_in_by_one_join_through_the_other_server() {
    let there = Elsewhere::new();
    let carol = there.scene.register("carol");
    let (room, via) = (encode(&there.hosted.room), encode(PEER));
    let path = format!("/_matrix/client/v3/join/{room}?server_name={via}");
    let asked = |user: &User| ask(&there.scene.server, user.request(("POST", &path), "{}"));
    let answers = there.scene.simulation.run(join(asked(&there.alice), asked(&carol)));
    for answer in [answers.0, answers.1] {
        answer.unwrap().ok();
    }
    assert_eq!(there.peer.times_asked("send_join"), 1);
    let state = there.shown(&there.alice);
    assert_eq!(state, there.shown(&carol));
    let member = |user: &User| ("m.room.member".to_owned(), user.id.clone());
    let state = state.unwrap();
    assert!([&there.alice, &carol].iter().all(|user| state.contains_key(&member(user))));
}

#[test]
fn what_no_event_can_hold_is_refused_and_leaves_nothing_behind() {
    let two = two_servers();
    let room = two.scene.room(&two.alice, &json!({ "preset": "public_chat" }));
    let line = format!("POST /_matrix/client/v3/join/{room}?server_name={}", encode(OURS));
    let deep = (0..200).fold(json!(1), |inner, _| json!({ "a": inner }));
    for content in [json!({ "a": 1.5 }), json!({ "a": deep })] {
        two.scene.call(Some(&two.bob), &line, &content).refused(400, "M_BAD_JSON");
    }
    let large = json!({ "a": "x".repeat(70_000) });
    two.scene.call(Some(&two.bob), &line, &large).refused(413, "M_TOO_LARGE");
    two.scene.call(Some(&two.bob), &line, &json!({ "a": 1 })).ok();
}
