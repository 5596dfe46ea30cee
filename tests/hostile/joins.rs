//! What becomes of our user's join where the server that gives the room lies? (RES1 and RES4)

use serde_json::{Value, json};
use tombolo_support::{Answer, Hosted, Peer, Reply, id_of, ok, refusal};

use crate::scene::{HostileScene, OURS};

const VERSIONS: [&str; 3] = ["6", "11", "12"];

fn alice() -> String {
    format!("@alice:{OURS}")
}

/// A join that must come to nothing: alice is in no room, and once the peer is honest she comes in.
fn refused(version: &str, what: &str, alter: impl Fn(&HostileScene, &Hosted, Value) -> Value) {
    let scene = HostileScene::bare(version);
    let hosted = scene.hosted(&scene.evil);
    let altered = alter(&scene, &hosted, hosted.answer());
    hosted.give_altered(&scene.evil, move |_, _| altered.clone());
    let answer = scene.join(&hosted, &scene.evil);
    assert!(matches!(answer.status, 400..500 | 502), "RES4 {version} {what}: {answer:?}");
    let rooms = scene.sync(&scene.alice, "")["rooms"]["join"].clone();
    assert!(rooms.get(&hosted.room).is_none(), "RES4 {version} {what}: {rooms}");
    scene.comes_right(&hosted, &scene.evil);
}

/// A join that succeeds with what is good of the answer; answers the scene, to look at what came in.
fn taken(
    version: &str,
    what: &str,
    alter: impl Fn(&HostileScene, &Hosted, Value) -> Value,
) -> (HostileScene, Hosted) {
    let scene = HostileScene::bare(version);
    let hosted = scene.hosted(&scene.evil);
    let honest: Vec<(String, String)> = hosted.state().into_keys().collect();
    let altered = alter(&scene, &hosted, hosted.answer());
    hosted.give_altered(&scene.evil, move |_, _| altered.clone());
    let answer = scene.join(&hosted, &scene.evil);
    assert_eq!(answer.status, 200, "RES4 {version} {what}: {answer:?}");
    let state = scene.state_of(&hosted.room);
    assert!(honest.iter().all(|key| state.contains_key(key)), "RES4 {version} {what} lost state");
    scene.hears(&hosted, &scene.evil);
    (scene, hosted)
}

/// A join that is refused, or taken without what is bad; once the peer is honest, alice is in and the bad is not.
fn kept_out(
    version: &str,
    alter: impl Fn(&HostileScene, &Hosted, Value) -> Value,
    bad: impl Fn(&str, &str) -> bool,
) {
    let scene = HostileScene::bare(version);
    let hosted = scene.hosted(&scene.evil);
    let altered = alter(&scene, &hosted, hosted.answer());
    hosted.give_altered(&scene.evil, move |_, _| altered.clone());
    let answer = scene.join(&hosted, &scene.evil);
    assert!(matches!(answer.status, 200 | 400..500 | 502), "RES4 {version} {answer:?}");
    scene.comes_right(&hosted, &scene.evil);
    let state = scene.state_of(&hosted.room);
    let found = state.keys().find(|(kind, key)| bad(kind, key));
    assert_eq!(found, None, "RES4 {version}");
}

/// The answer with events added to its state.
fn with(mut answer: Value, more: &[Value]) -> Value {
    answer["state"].as_array_mut().unwrap().extend(more.iter().cloned());
    answer
}

/// The answer without some events, in state and auth chain.
fn without(mut answer: Value, gone: impl Fn(&Value) -> bool) -> Value {
    for list in ["state", "auth_chain"] {
        answer[list].as_array_mut().unwrap().retain(|pdu| !gone(pdu));
    }
    answer
}

/// The answer with some events' signatures taken off.
fn unsign(mut answer: Value, of: impl Fn(&Value) -> bool) -> Value {
    for list in ["state", "auth_chain"] {
        let events = answer[list].as_array_mut().unwrap();
        events.iter_mut().filter(|pdu| of(pdu)).for_each(|pdu| pdu["signatures"] = json!({}));
    }
    answer
}

#[test]
fn without_its_create_event_there_is_no_room() {
    for version in VERSIONS {
        let is_create = |pdu: &Value| pdu["type"] == "m.room.create";
        refused(version, "no create event", |_, _, answer| without(answer, is_create));
        refused(version, "nothing", |_, _, answer| without(answer, |_| true));
        refused(version, "another room's create event", |scene, _, answer| {
            let other = scene.hosted(&scene.evil);
            let answer = without(answer, is_create);
            with(answer, &[other.events.borrow()[0].clone()])
        });
        refused(version, "another room", |scene, _, _| scene.hosted(&scene.evil).answer());
        refused(version, "a create event of another version", |scene, hosted, answer| {
            let content = json!({ "room_version": "10", "creator": hosted.creator });
            with(without(answer, is_create), &[hosted.create(&scene.evil, &content)])
        });
        refused(version, "an unsigned create event", |_, _, answer| unsign(answer, is_create));
    }
}

#[test]
fn a_room_is_of_the_version_that_its_create_event_says() {
    for (version, claimed) in [("11", "10"), ("11", "1"), ("11", "x"), ("12", "11"), ("6", "7")] {
        let scene = HostileScene::bare(version);
        let hosted = scene.hosted_claiming(&scene.evil, claimed);
        hosted.give(&scene.evil);
        let answer = scene.join(&hosted, &scene.evil);
        assert!(matches!(answer.status, 400..500 | 502), "RES4 {version} {claimed}: {answer:?}");
        let rooms = scene.sync(&scene.alice, "")["rooms"]["join"].clone();
        assert!(rooms.get(&hosted.room).is_none(), "RES4 {version} {claimed}: {rooms}");
        scene.comes_right(&scene.hosted(&scene.evil), &scene.evil);
    }
}

#[test]
fn answers_without_form_are_no_room() {
    for body in [
        json!([]),
        json!({}),
        json!({ "state": {}, "auth_chain": [] }),
        json!({ "state": "x", "auth_chain": "x" }),
        json!({ "state": [1, null, "x", [], {}], "auth_chain": [5] }),
        json!({ "errcode": "M_UNKNOWN_TOKEN" }),
    ] {
        refused("11", &body.to_string(), |_, _, _| body.clone());
    }
}

/// A whole answer of the peer instead of an event, and what alice is told.
fn answered(reply: &Reply) -> (HostileScene, Hosted, Answer) {
    let scene = HostileScene::bare("11");
    let hosted = scene.hosted(&scene.evil);
    hosted.give(&scene.evil);
    let reply = reply.clone();
    scene.evil.on("send_join", move |_| reply.clone());
    let answer = scene.join(&hosted, &scene.evil);
    (scene, hosted, answer)
}

#[test]
fn errors_of_others_are_not_passed_on_to_clients() {
    for reply in [
        refusal(401, "M_UNKNOWN_TOKEN"),
        refusal(403, "M_FORBIDDEN"),
        refusal(500, "M_UNKNOWN_TOKEN"),
        Reply { status: 302, body: "".into() },
        Reply { status: 200, body: "<html>".into() },
        Reply { status: 200, body: "{\"state\":[".into() },
        Reply { status: 200, body: format!("{{\"state\":{}", "[".repeat(100_000)).into() },
    ] {
        let (scene, hosted, answer) = answered(&reply);
        assert!(answer.status >= 400 && answer.status != 401, "RES6 {answer:?}");
        assert_ne!(answer.body["errcode"], json!("M_UNKNOWN_TOKEN"), "RES6 {answer:?}");
        scene.comes_right(&hosted, &scene.evil);
    }
}

#[test]
fn events_forged_in_others_names_stay_out_and_the_rest_comes_in() {
    for version in VERSIONS {
        let bob = format!("@bob:{OURS}");
        let (scene, hosted) = taken(version, "forged members", |scene, hosted, answer| {
            let victim = scene.third.user("victim");
            let join = json!({ "membership": "join" });
            let of =
                |user: &str| hosted.event(&scene.evil, user, ("m.room.member", Some(user)), &join);
            with(answer, &[of(&victim), of(&bob), json!(5), json!({})])
        });
        let state = scene.state_of(&hosted.room);
        for user in [scene.third.user("victim"), bob] {
            let member = ("m.room.member".to_owned(), user);
            assert!(!state.contains_key(&member), "RES4 {version} {member:?}");
        }
    }
}

#[test]
fn events_that_the_giver_did_not_sign_stay_out() {
    for version in VERSIONS {
        let lies = |scene: &HostileScene, hosted: &Hosted, answer: Value| {
            let of = |kind: &str| {
                hosted.event(
                    &scene.evil,
                    &hosted.creator,
                    (kind, Some("")),
                    &json!({ "name": "x" }),
                )
            };
            let (mut unsigned, mut wrong) = (of("m.room.name"), of("m.room.topic"));
            unsigned["signatures"] = json!({});
            wrong["origin_server_ts"] = json!(1);
            with(answer, &[unsigned, wrong])
        };
        kept_out(version, lies, |kind, _| matches!(kind, "m.room.name" | "m.room.topic"));
    }
}

#[test]
fn forbidden_and_foreign_events_are_no_state() {
    for version in VERSIONS {
        let (scene, hosted) = taken(version, "forbidden events", |scene, hosted, answer| {
            let stranger = scene.evil.user("stranger");
            let name = hosted.event(
                &scene.evil,
                &stranger,
                ("m.room.name", Some("")),
                &json!({ "name": "forbidden" }),
            );
            let other = scene.hosted(&scene.evil);
            let topic = other.event(
                &scene.evil,
                &other.creator,
                ("m.room.topic", Some("")),
                &json!({ "topic": "foreign" }),
            );
            let mut lone = hosted.event(
                &scene.evil,
                &hosted.creator,
                ("m.room.avatar", Some("")),
                &json!({ "url": "lone" }),
            );
            lone["auth_events"] = json!([format!("${}", "x".repeat(43))]);
            let mut moved = hosted.event(
                &scene.evil,
                &hosted.creator,
                ("m.room.tombstone", Some("")),
                &json!({ "replacement_room": other.room }),
            );
            moved["room_id"] = json!(other.room);
            let (lone, moved) =
                (scene.evil.seal(scene.version, &lone), scene.evil.seal(scene.version, &moved));
            with(answer, &[name, topic, lone, moved])
        });
        let state = scene.state_of(&hosted.room);
        for kind in ["m.room.name", "m.room.topic", "m.room.avatar", "m.room.tombstone"] {
            assert!(
                !state.contains_key(&(kind.to_owned(), String::new())),
                "RES4 {version} {kind}"
            );
        }
    }
}

#[test]
fn two_events_of_one_key_leave_one() {
    for version in VERSIONS {
        let scene = HostileScene::bare(version);
        let hosted = scene.hosted(&scene.evil);
        let names: Vec<Value> = ["one", "two"]
            .iter()
            .map(|name| {
                hosted.say(
                    &scene.evil,
                    &hosted.creator,
                    ("m.room.name", Some("")),
                    &json!({ "name": name }),
                )
            })
            .collect();
        let first = names[0].clone();
        hosted
            .give_altered(&scene.evil, move |_, answer| with(answer, std::slice::from_ref(&first)));
        let answer = scene.join(&hosted, &scene.evil);
        assert!(matches!(answer.status, 200 | 400..500 | 502), "RES4 {version} {answer:?}");
        scene.comes_right(&hosted, &scene.evil);
        let state = scene.state_of(&hosted.room);
        let name = &state[&("m.room.name".to_owned(), String::new())];
        assert!(names.iter().any(|each| hosted.id(each) == *name), "RES4 {version}");
    }
}

#[test]
fn a_missing_auth_chain_costs_only_what_hangs_on_it() {
    for version in VERSIONS {
        let scene = HostileScene::bare(version);
        let hosted = scene.hosted(&scene.evil);
        hosted.give_altered(&scene.evil, |_, mut answer| {
            answer["auth_chain"] = json!([]);
            answer
        });
        let answer = scene.join(&hosted, &scene.evil);
        assert!(matches!(answer.status, 200 | 400..500 | 502), "RES4 {version} {answer:?}");
        scene.comes_right(&hosted, &scene.evil);
        refused(version, "no members and no chain", |_, _, answer| {
            without(answer, |pdu| {
                pdu["type"] == "m.room.member" || pdu["type"] == "m.room.join_rules"
            })
        });
    }
}

#[test]
fn a_second_create_event_does_not_replace_the_first() {
    for version in ["6", "11"] {
        let scene = HostileScene::bare(version);
        let hosted = scene.hosted(&scene.evil);
        let content = json!({ "room_version": version, "creator": hosted.creator, "x": 1 });
        let second = hosted.create(&scene.evil, &content);
        hosted.give_altered(&scene.evil, move |_, answer| {
            with(answer, std::slice::from_ref(&second))
        });
        let answer = scene.join(&hosted, &scene.evil);
        assert!(matches!(answer.status, 200 | 400..500 | 502), "RES4 {version} {answer:?}");
        scene.comes_right(&hosted, &scene.evil);
    }
}

#[test]
fn our_own_event_comes_back_as_we_made_it() {
    for version in VERSIONS {
        let scene = HostileScene::bare(version);
        let hosted = scene.hosted(&scene.evil);
        let (evil, rules) = (scene.evil.clone(), scene.version);
        hosted.give_altered(&scene.evil, move |asked, mut answer| {
            let mut ours = asked.body.clone();
            ours["content"]["displayname"] = json!("forged");
            ours["content"]["join_authorised_via_users_server"] = json!("@mallory:evil.test:8448");
            answer["event"] = evil.sign(rules, &ours);
            answer
        });
        let answer = scene.join(&hosted, &scene.evil);
        assert_eq!(answer.status, 200, "RES4 {version} {answer:?}");
        let state = scene.state_of(&hosted.room);
        let id = &state[&("m.room.member".to_owned(), alice())];
        let content = scene.held_in(&hosted.room, id).unwrap().pdu["content"].clone();
        assert_eq!(content["membership"], json!("join"), "RES4 {version}");
        assert_ne!(content["displayname"], json!("forged"), "RES4 {version}");
        let sent = scene.evil.asked("send_join")[0].body.clone();
        assert_eq!(id_of(scene.version, &sent), *id, "RES4 {version}");
        scene.hears(&hosted, &scene.evil);
    }
}

#[test]
fn a_huge_state_of_junk_is_survived() {
    let junk = |scene: &HostileScene, hosted: &Hosted, answer: Value| {
        let content = json!({ "junk": true });
        let kind = "org.example.junk";
        let pattern = hosted.event(&scene.evil, &hosted.creator, (kind, Some("k")), &content);
        let junk: Vec<Value> = (0..3000)
            .map(|number| {
                let mut pdu = pattern.clone();
                pdu["state_key"] = json!(format!("k{number}"));
                pdu
            })
            .collect();
        with(answer, &junk)
    };
    kept_out("11", junk, |kind, _| kind == "org.example.junk");
}

#[test]
fn a_server_that_lies_of_a_foreign_room_is_passed_by() {
    let scene = HostileScene::bare("11");
    let hosted = scene.hosted(&scene.third);
    let content = json!({ "room_version": "11", "creator": hosted.creator, "x": 2 });
    let forged = hosted.create(&scene.evil, &content);
    passed_by(&ok(&json!({ "state": [forged], "auth_chain": [forged] })));
    passed_by(&ok(&json!({ "state": [], "auth_chain": [] })));
}

#[test]
fn a_server_that_fails_is_passed_by() {
    passed_by(&refusal(403, "M_FORBIDDEN"));
    passed_by(&refusal(500, "M_UNKNOWN"));
    passed_by(&Reply { status: 200, body: "<html>".into() });
}

/// Where one server answers a join so, the next one that alice named is asked.
fn passed_by(lie: &Reply) {
    let scene = HostileScene::bare("11");
    let hosted = scene.hosted(&scene.third);
    let liar: Peer = scene.evil.clone();
    hosted.give(&scene.third);
    hosted.give(&liar);
    let answer = lie.clone();
    liar.on("send_join", move |_| answer.clone());
    let answer = hosted.join(&scene, &scene.alice, &[&liar, &scene.third]);
    assert_eq!(answer.status, 200, "RES4 after {lie:?}: {answer:?}");
    assert!(liar.times_asked("send_join") > 0, "the liar was not asked");
    scene.hears(&hosted, &scene.third);
}
