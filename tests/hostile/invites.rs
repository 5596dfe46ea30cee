//! Which invites do we sign, and what do they leave behind? (RES2 and RES3)

use bytes::Bytes;
use serde_json::{Value, json};
use tombolo_support::{Answer, Hosted, Reply, encode, ok};

use crate::scene::{HostileScene, OURS};

fn alice() -> String {
    format!("@alice:{OURS}")
}

/// An invite of alice to a room of the peer.
fn invite(scene: &HostileScene, hosted: &Hosted) -> Value {
    let content = json!({ "membership": "invite" });
    hosted.event(&scene.evil, &hosted.creator, ("m.room.member", Some(&alice())), &content)
}

fn put(scene: &HostileScene, room: &str, pdu: &Value, body: &Value) -> Answer {
    let (room, id) = (encode(room), encode(&scene.id(pdu)));
    let line = format!("PUT /_matrix/federation/v2/invite/{room}/{id}");
    scene.signed(&scene.evil, &line, Some(body))
}

fn body(scene: &HostileScene, pdu: &Value, stripped: &Value) -> Value {
    json!({ "room_version": scene.version.id, "event": pdu, "invite_room_state": stripped })
}

/// The stripped state of a good invite.
fn stripped(scene: &HostileScene, hosted: &Hosted) -> Value {
    let kinds = ["m.room.create", "m.room.join_rules"];
    let shown = |kind: &&str| hosted.state()[&((*kind).to_owned(), String::new())].clone();
    let mut all: Vec<Value> = kinds.iter().map(shown).collect();
    all.push(json!({ "type": "m.room.name", "state_key": "", "sender": scene.evil.user("mallory"), "content": { "name": "ours" } }));
    json!(all)
}

/// A good invite is signed and shown, and alice can accept it.
fn works(scene: &HostileScene, hosted: &Hosted) {
    hosted.give(&scene.evil);
    let pdu = invite(scene, hosted);
    let answer = put(scene, &hosted.room, &pdu, &body(scene, &pdu, &stripped(scene, hosted)));
    assert_eq!(answer.status, 200, "a good invite: {answer:?}");
    assert!(answer.body["event"]["signatures"][OURS].is_object(), "not signed: {answer:?}");
    let shown = scene.sync(&scene.alice, "")["rooms"]["invite"][&hosted.room].clone();
    assert!(shown.is_object(), "a good invite is not shown");
    hosted.events.borrow_mut().push(pdu);
    let joined = scene.join(hosted, &scene.evil);
    assert_eq!(joined.status, 200, "{joined:?}");
    scene.hears(hosted, &scene.evil);
}

fn refused(scene: &HostileScene, hosted: &Hosted, what: &str, answer: &Answer) {
    assert!(matches!(answer.status, 400..500), "{what}: {answer:?}");
    assert!(!answer.body.to_string().contains("signatures"), "{what} was signed: {answer:?}");
    let rooms = &scene.sync(&scene.alice, "")["rooms"];
    assert!(rooms["invite"].get(&hosted.room).is_none(), "{what}: {rooms}");
}

#[test]
fn we_sign_nothing_but_an_invite_of_our_user() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::bare(version);
        let hosted = scene.hosted(&scene.evil);
        let good = invite(&scene, &hosted);
        for (member, value) in [
            ("type", json!("m.room.power_levels")),
            ("content", json!({ "membership": "join" })),
            ("content", json!({ "membership": "ban" })),
            ("content", json!({ "membership": "leave" })),
            ("content", json!({ "membership": 5 })),
            ("content", json!({})),
            ("state_key", json!(format!("@nobody:{OURS}"))),
            ("state_key", json!(scene.third.user("x"))),
            ("state_key", json!(scene.evil.user("x"))),
            ("state_key", json!("")),
            ("sender", json!(alice())),
            ("sender", json!(scene.third.user("x"))),
            ("room_id", json!(format!("!{}", "o".repeat(43)))),
        ] {
            let mut pdu = good.clone();
            pdu[member] = value.clone();
            let pdu = scene.evil.seal(scene.version, &pdu);
            let answer = put(&scene, &hosted.room, &pdu, &body(&scene, &pdu, &json!([])));
            refused(&scene, &hosted, &format!("RES2 {version} {member} {value}"), &answer);
        }
        let mut keyless = good.clone();
        keyless.as_object_mut().unwrap().remove("state_key");
        let keyless = scene.evil.seal(scene.version, &keyless);
        let answer = put(&scene, &hosted.room, &keyless, &body(&scene, &keyless, &json!([])));
        refused(&scene, &hosted, "RES2 no state key", &answer);
        let mut unsigned = good.clone();
        unsigned["signatures"] = json!({});
        let answer = put(&scene, &hosted.room, &unsigned, &body(&scene, &unsigned, &json!([])));
        refused(&scene, &hosted, "RES2 not signed", &answer);
        works(&scene, &hosted);
    }
}

#[test]
fn the_path_names_the_invite() {
    let scene = HostileScene::bare("11");
    let hosted = scene.hosted(&scene.evil);
    let pdu = invite(&scene, &hosted);
    let good = body(&scene, &pdu, &json!([]));
    let answer = put(&scene, "!other:evil.test", &pdu, &good);
    refused(&scene, &hosted, "RES2 another room", &answer);
    let other = hosted.event(
        &scene.evil,
        &hosted.creator,
        ("m.room.member", Some(&alice())),
        &json!({ "membership": "invite", "x": 1 }),
    );
    let answer = put(&scene, &hosted.room, &other, &good);
    refused(&scene, &hosted, "RES2 another ID", &answer);
    for (what, version) in [
        ("unknown", json!("x")),
        ("old", json!("1")),
        ("a number", json!(5)),
        ("null", json!(null)),
    ] {
        let mut body = good.clone();
        body["room_version"] = version;
        refused(
            &scene,
            &hosted,
            &format!("version {what}"),
            &put(&scene, &hosted.room, &pdu, &body),
        );
    }
    for body in [json!({}), json!([]), json!(5), json!({ "room_version": "11", "event": "x" })] {
        refused(&scene, &hosted, &body.to_string(), &put(&scene, &hosted.room, &pdu, &body));
    }
    let (room, id) = (encode(&hosted.room), encode(&scene.id(&pdu)));
    let line = format!("PUT /_matrix/federation/v1/invite/{room}/{id}");
    let answer = scene.signed(&scene.evil, &line, Some(&pdu));
    refused(&scene, &hosted, "RES2 by version 1", &answer);
    let line = format!("PUT /_matrix/federation/v2/invite/{room}/{id}");
    let answer = scene.signed(&scene.third, &line, Some(&good));
    refused(&scene, &hosted, "RES2 by another server", &answer);
    works(&scene, &hosted);
}

#[test]
fn a_version_that_is_not_the_rooms_makes_another_event() {
    let scene = HostileScene::bare("12");
    let hosted = scene.hosted(&scene.evil);
    let pdu = invite(&scene, &hosted);
    let mut other = body(&scene, &pdu, &stripped(&scene, &hosted));
    other["room_version"] = json!("6");
    let answer = put(&scene, &hosted.room, &pdu, &other);
    assert!(matches!(answer.status, 200 | 400..500), "{answer:?}");
    works(&scene, &hosted);
}

#[test]
fn stripped_state_may_be_anything_and_breaks_nothing() {
    for version in ["11", "12"] {
        for (what, shown) in [
            ("a text", json!("x")),
            ("an object", json!({})),
            ("null", json!(null)),
            ("junk", json!([1, null, "x", [], {}])),
            ("without create", json!([{ "type": "m.room.name", "state_key": "", "sender": "@m:evil.test", "content": { "name": "x" } }])),
            ("names of wrong types", json!([{ "type": "m.room.name", "state_key": "", "sender": 5, "content": { "name": 5 } },
                { "type": "m.room.name", "state_key": "", "sender": "@m:evil.test", "content": { "name": 5 } },
                { "type": "m.room.member", "state_key": 5, "sender": "@m:evil.test", "content": [] }])),
            ("our user as its creator", json!([{ "type": "m.room.create", "state_key": "", "sender": alice(), "content": {} }])),
            ("huge", json!((0..5000).map(|n| json!({ "type": "m.room.name", "state_key": n.to_string(), "sender": "@m:evil.test", "content": { "name": "x".repeat(200) } })).collect::<Vec<_>>())),
            ("large", json!([{ "type": "m.room.name", "state_key": "", "sender": "@m:evil.test", "content": { "name": "x".repeat(9 << 20) } }])),
        ] {
            let scene = HostileScene::bare(version);
            let hosted = scene.hosted(&scene.evil);
            let pdu = invite(&scene, &hosted);
            let answer = put(&scene, &hosted.room, &pdu, &body(&scene, &pdu, &shown));
            assert!(matches!(answer.status, 200 | 400..500), "RES3 {what}: {answer:?}");
            let sync = scene.sync(&scene.alice, "");
            let invite = &sync["rooms"]["invite"][&hosted.room];
            for event in invite["invite_state"]["events"].as_array().into_iter().flatten() {
                let whole = event["type"].is_string() && event["sender"].is_string() && event["state_key"].is_string() && event["content"].is_object();
                assert!(whole, "RES3 {what}: alice is shown {event}");
            }
            works(&scene, &hosted);
        }
    }
}

#[test]
fn in_version_12_an_invite_shows_its_own_rooms_create_event() {
    let scene = HostileScene::bare("12");
    let hosted = scene.hosted(&scene.evil);
    let other = scene.hosted(&scene.evil);
    let pdu = invite(&scene, &hosted);
    let foreign = json!([other.events.borrow()[0]]);
    for (what, shown) in [
        ("none", json!([])),
        ("another room's", foreign),
        (
            "not an event",
            json!([{ "type": "m.room.create", "state_key": "", "sender": "@m:evil.test", "content": {} }]),
        ),
    ] {
        let answer = put(&scene, &hosted.room, &pdu, &body(&scene, &pdu, &shown));
        assert_eq!(answer.status, 400, "RES3 MSC4311 {what}: {answer:?}");
        assert_eq!(answer.body["errcode"], "M_INVALID_PARAM", "{what}");
    }
    works(&scene, &hosted);
}

#[test]
fn an_invite_to_a_room_we_are_in_follows_its_rules() {
    let scene = HostileScene::new("11");
    let bob = format!("@bob:{OURS}");
    scene.register("bob");
    let state = scene.state();
    let put = |pdu: &Value| put(&scene, &scene.room, pdu, &body(&scene, pdu, &json!([])));
    scene.set(&scene.alice, &scene.room, ("m.room.power_levels", ""), &{
        let id = state[&("m.room.power_levels".to_owned(), String::new())].clone();
        let mut content = scene.held(&id).unwrap().pdu["content"].clone();
        content["invite"] = json!(50);
        content
    });
    let pdu =
        scene.event("mallory", "m.room.member", Some(&bob), &json!({ "membership": "invite" }));
    let answer = put(&pdu);
    assert_eq!(answer.status, 403, "an invite without the right: {answer:?}");
    let alice = alice();
    let again =
        scene.event("mallory", "m.room.member", Some(&alice), &json!({ "membership": "invite" }));
    assert_eq!(put(&again).status, 403, "an invite of a member");
    let stranger =
        scene.event("stranger", "m.room.member", Some(&bob), &json!({ "membership": "invite" }));
    assert_eq!(put(&stranger).status, 403, "an invite by a stranger");
    assert_eq!(scene.membership(&scene.room, &bob), "");
    assert_eq!(scene.membership(&scene.room, &alice), "join");
    scene.goes_on();
}

#[test]
fn our_invite_stands_only_with_the_signature_of_the_server_it_is_for() {
    for version in ["11", "12"] {
        let scene = HostileScene::new(version);
        let guest = scene.evil.user("guest");
        let line = format!("POST /_matrix/client/v3/rooms/{}/invite", encode(&scene.room));
        let ask = || scene.call(Some(&scene.alice), &line, &json!({ "user_id": guest }));
        let rooms = scene.version;
        for (what, given) in [
            ("nothing", json!({})),
            ("an event that it did not sign", json!({ "event": "ours" })),
            ("another event", json!({ "event": scene.message() })),
            ("a signature of somebody else", json!({ "event": "third" })),
            ("a wrong signature", json!({ "event": "wrong" })),
        ] {
            let third = scene.third.clone();
            scene.evil.on("invite", move |asked| {
                let mut answer = given.clone();
                let event = &asked.body["event"];
                match given["event"].as_str() {
                    Some("ours") => answer["event"] = event.clone(),
                    Some("third") => answer["event"] = third.sign(rooms, event),
                    Some("wrong") => {
                        answer["event"] = event.clone();
                        answer["event"]["signatures"]["evil.test:8448"] =
                            json!({ "ed25519:a": "A".repeat(86) });
                    }
                    _ => {}
                }
                ok(&answer)
            });
            let answer = ask();
            assert_eq!(answer.status, 502, "{what}: {answer:?}");
            assert_eq!(scene.membership(&scene.room, &guest), "", "{what}");
        }
        let evil = scene.evil.clone();
        scene.evil.on("invite", move |asked| {
            ok(&json!({ "event": evil.sign(rooms, &asked.body["event"]) }))
        });
        assert_eq!(ask().status, 200);
        assert_eq!(scene.membership(&scene.room, &guest), "invite");
        scene.goes_on();
    }
}

#[test]
fn what_another_server_says_of_an_invite_is_not_what_our_room_says() {
    let scene = HostileScene::new("11");
    let line = format!("POST /_matrix/client/v3/rooms/{}/invite", encode(&scene.room));
    let body = json!({ "errcode": "M_NOT_FOUND", "error": "unknown room" }).to_string();
    scene.evil.on("invite", move |_| Reply { status: 404, body: Bytes::from(body.clone()) });
    let answer =
        scene.call(Some(&scene.alice), &line, &json!({ "user_id": scene.evil.user("guest") }));
    assert_eq!(
        (answer.status, &answer.body["errcode"]),
        (404, &json!("M_NOT_FOUND")),
        "{answer:?}"
    );
    scene.goes_on();
}

#[test]
fn stripped_state_that_would_break_a_client_is_not_shown() {
    let scene = HostileScene::bare("11");
    let hosted = scene.hosted(&scene.evil);
    let pdu = invite(&scene, &hosted);
    let deep = (0..1000).fold(json!(1), |inner, _| json!([inner]));
    let topic = json!({ "type": "m.room.topic", "state_key": "", "sender": "@m:evil.test", "content": { "topic": deep } });
    let answer = put(&scene, &hosted.room, &pdu, &body(&scene, &pdu, &json!([topic])));
    assert!(matches!(answer.status, 200 | 400..500), "{answer:?}");
    let shown = scene.sync(&scene.alice, "")["rooms"]["invite"][&hosted.room].to_string();
    assert!(!shown.contains("m.room.topic"), "{shown}");
    works(&scene, &hosted);
}
