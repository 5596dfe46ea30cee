//! What becomes of joins, leaves and knocks through us that are not as they must be?

use serde_json::{Value, json};
use tombolo_support::{Answer, encode};

use crate::scene::{HostileScene, OURS};

fn refused(what: &str, answer: &Answer) {
    assert!(matches!(answer.status, 400..500), "{what}: {answer:?}");
    assert!(answer.body["errcode"].is_string(), "{what}: {answer:?}");
    assert!(!answer.body.to_string().contains("auth_chain"), "{what}: {answer:?}");
}

/// A join of a new user of the peer, as its template has it, before it is sealed.
fn join_of(scene: &HostileScene, user: &str) -> Value {
    let template = scene.make(&scene.evil, "make_join", user);
    assert_eq!(template.status, 200, "{template:?}");
    template.body["event"].clone()
}

#[test]
fn a_server_gets_templates_for_its_own_users() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::new(version);
        for what in ["make_join", "make_leave", "make_knock"] {
            for user in [
                scene.third.user("x"),
                format!("@alice:{OURS}"),
                "nobody".to_owned(),
                "@x".to_owned(),
            ] {
                refused(&format!("{what} of {user}"), &scene.make(&scene.evil, what, &user));
            }
        }
        let (room, user) = (encode(&scene.room), encode(&scene.evil.user("new")));
        for query in ["", "?ver=1", "?ver=x&ver="] {
            let line = format!("GET /_matrix/federation/v1/make_join/{room}/{user}{query}");
            let answer = scene.signed(&scene.evil, &line, None);
            assert_eq!(answer.status, 400, "{query}: {answer:?}");
            assert_eq!(
                (&answer.body["errcode"], &answer.body["room_version"]),
                (&json!("M_INCOMPATIBLE_ROOM_VERSION"), &json!(version)),
                "{query}: {answer:?}"
            );
        }
        let line = format!(
            "GET /_matrix/federation/v1/make_join/{}/{user}?ver=11",
            encode("!no:ours.test")
        );
        refused("an unknown room", &scene.signed(&scene.evil, &line, None));
        scene.member("ban", &scene.evil.user("banned"));
        refused("a banned user", &scene.make(&scene.evil, "make_join", &scene.evil.user("banned")));
        scene.goes_on();
    }
}

#[test]
fn only_a_join_is_joined() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::new(version);
        let user = scene.evil.user("new");
        let state = scene.state();
        for (member, value) in [
            ("type", json!("m.room.message")),
            ("state_key", json!(scene.evil.user("mallory"))),
            ("state_key", json!(format!("@alice:{OURS}"))),
            ("sender", json!(scene.third.user("new"))),
            ("sender", json!(scene.evil.user("minion"))),
            ("sender", json!(format!("@alice:{OURS}"))),
            ("room_id", json!(format!("!{}", "o".repeat(43)))),
            ("content", json!({ "membership": "leave" })),
            ("content", json!({ "membership": "invite" })),
            ("content", json!({})),
            ("prev_events", json!([])),
            ("prev_events", json!([format!("${}", "x".repeat(43))])),
            ("auth_events", json!([])),
            ("auth_events", json!([format!("${}", "x".repeat(43))])),
            ("depth", json!(-1)),
        ] {
            let mut pdu = join_of(&scene, &user);
            pdu[member] = value.clone();
            let pdu = scene.evil.seal(scene.version, &pdu);
            let what = format!("{version} {member} {value}");
            refused(&what, &scene.deliver_member(&scene.evil, "send_join", &pdu));
            assert_eq!(scene.state(), state, "{what}");
        }
        let mut keyless = join_of(&scene, &user);
        keyless.as_object_mut().unwrap().remove("state_key");
        let keyless = scene.evil.seal(scene.version, &keyless);
        refused("no state key", &scene.deliver_member(&scene.evil, "send_join", &keyless));
        let good = scene.evil.seal(scene.version, &join_of(&scene, &user));
        let mut unsigned = good.clone();
        unsigned["signatures"] = json!({});
        refused("no signature", &scene.deliver_member(&scene.evil, "send_join", &unsigned));
        refused("another server", &scene.deliver_member(&scene.third, "send_join", &good));
        refused("as a leave", &scene.deliver_member(&scene.evil, "send_leave", &good));
        refused("as a knock", &scene.deliver_member(&scene.evil, "send_knock", &good));
        assert_eq!(scene.state(), state, "{version}");
        let joined = scene.deliver_member(&scene.evil, "send_join", &good);
        assert_eq!(joined.status, 200, "{version} the good join: {joined:?}");
        assert_eq!(scene.membership(&scene.room, &user), "join", "{version}");
        scene.goes_on();
    }
}

#[test]
fn the_path_names_the_event_and_its_room() {
    let scene = HostileScene::new("11");
    let other = scene.create_room("public_chat");
    let good = scene.evil.seal(scene.version, &join_of(&scene, &scene.evil.user("new")));
    let (room, id) = (encode(&scene.room), encode(&scene.id(&good)));
    for (what, path) in [
        (
            "another ID",
            format!(
                "/_matrix/federation/v2/send_join/{room}/{}",
                encode(&format!("${}", "x".repeat(43)))
            ),
        ),
        ("no ID", format!("/_matrix/federation/v2/send_join/{room}/x")),
        ("another room", format!("/_matrix/federation/v2/send_join/{}/{id}", encode(&other))),
        ("no room", format!("/_matrix/federation/v2/send_join/x/{id}")),
    ] {
        refused(what, &scene.signed(&scene.evil, &format!("PUT {path}"), Some(&good)));
    }
    for body in [json!([]), json!(5), json!("x"), json!(null), json!({})] {
        let line = format!("PUT /_matrix/federation/v2/send_join/{room}/{id}");
        refused(&body.to_string(), &scene.signed(&scene.evil, &line, Some(&body)));
    }
    assert_eq!(scene.membership(&other, &scene.evil.user("new")), "");
    assert_eq!(scene.membership(&scene.room, &scene.evil.user("new")), "");
    scene.goes_on();
}

#[test]
fn a_leave_is_of_the_leaver() {
    let scene = HostileScene::new("11");
    let (mallory, minion) = (scene.evil.user("mallory"), scene.evil.user("minion"));
    let alice = format!("@alice:{OURS}");
    let template = scene.make(&scene.evil, "make_leave", &mallory);
    assert_eq!(template.status, 200, "{template:?}");
    let state = scene.state();
    for (member, value) in [
        ("state_key", json!(minion)),
        ("state_key", json!(alice)),
        ("sender", json!(alice)),
        ("sender", json!(scene.third.user("mallory"))),
        ("content", json!({ "membership": "ban" })),
        ("content", json!({ "membership": "join" })),
    ] {
        let mut pdu = template.body["event"].clone();
        pdu[member] = value.clone();
        let pdu = scene.evil.seal(scene.version, &pdu);
        let answer = scene.deliver_member(&scene.evil, "send_leave", &pdu);
        refused(&format!("{member} {value}"), &answer);
        assert_eq!(scene.state(), state, "{member} {value}");
    }
    let good = scene.evil.seal(scene.version, &template.body["event"]);
    assert_eq!(scene.deliver_member(&scene.evil, "send_leave", &good).status, 200);
    assert_eq!(scene.membership(&scene.room, &mallory), "leave");
    assert_eq!(scene.deliver_member(&scene.evil, "send_leave", &good).status, 200, "once more");
    scene.goes_on();
}

#[test]
fn we_authorise_nobody_who_may_not_come() {
    for version in ["8", "11", "12"] {
        let scene = HostileScene::new(version);
        let secret = scene.create_room("private_chat");
        let allow = json!([{ "type": "m.room_membership", "room_id": secret }]);
        scene.set(
            &scene.alice,
            &scene.room,
            ("m.room.join_rules", ""),
            &json!({ "join_rule": "restricted", "allow": allow }),
        );
        let stranger = scene.evil.user("stranger");
        let template = scene.make(&scene.evil, "make_join", &stranger);
        assert!(matches!(template.status, 400 | 403), "{version} {template:?}");
        for authoriser in
            [format!("@alice:{OURS}"), scene.evil.user("absent"), format!("@nobody:{OURS}")]
        {
            let content =
                json!({ "membership": "join", "join_authorised_via_users_server": authoriser });
            let mut pdu = scene.event("stranger", "m.room.member", Some(&stranger), &content);
            let member =
                scene.state().get(&("m.room.member".to_owned(), authoriser.clone())).cloned();
            let cited = pdu["auth_events"].as_array_mut().unwrap();
            cited.extend(member.map(|id| json!(id)).filter(|id| !cited.contains(id)));
            let pdu = scene.evil.seal(scene.version, &pdu);
            let answer = scene.deliver_member(&scene.evil, "send_join", &pdu);
            if answer.status == 200 && authoriser.ends_with(OURS) {
                panic!("{version} SIG7 {authoriser} authorised a stranger: {answer:?}");
            }
            refused(&format!("{version} SIG7 {authoriser}"), &answer);
            assert!(!answer.body.to_string().contains("signatures"), "{version} SIG7 signed");
        }
        assert_eq!(scene.membership(&scene.room, &stranger), "", "{version}");
        scene.goes_on();
    }
}

#[test]
fn a_banned_server_comes_in_by_no_way() {
    let scene = HostileScene::new("11");
    let good = scene.evil.seal(scene.version, &join_of(&scene, &scene.evil.user("new")));
    scene.set(
        &scene.alice,
        &scene.room,
        ("m.room.server_acl", ""),
        &json!({ "allow": ["*"], "deny": ["evil.test"] }),
    );
    for what in ["make_join", "make_leave", "make_knock"] {
        let answer = scene.make(&scene.evil, what, &scene.evil.user("new"));
        assert_eq!(answer.status, 403, "ACL2 {what}: {answer:?}");
        let (room, user) = (encode(&scene.room), encode(&scene.evil.user("new")));
        let line = format!("GET /_matrix/federation/v1/{what}/{room}/{user}?ver=1");
        let answer = scene.signed(&scene.evil, &line, None);
        assert_eq!(
            (answer.status, answer.body.get("room_version")),
            (403, None),
            "ACL2 {what} without the version: {answer:?}"
        );
    }
    for what in ["send_join", "send_leave", "send_knock"] {
        refused(&format!("ACL2 {what}"), &scene.deliver_member(&scene.evil, what, &good));
    }
    assert_eq!(scene.membership(&scene.room, &scene.evil.user("new")), "", "ACL2");
    scene.set(&scene.alice, &scene.room, ("m.room.server_acl", ""), &json!({ "allow": ["*"] }));
    scene.goes_on();
}

#[test]
fn a_join_that_was_refused_before_is_not_answered_with_the_state() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::new(version);
        scene.set(
            &scene.alice,
            &scene.room,
            ("m.room.join_rules", ""),
            &json!({ "join_rule": "invite" }),
        );
        let stranger = scene.evil.user("stranger");
        let content = json!({ "membership": "join" });
        for cited in [None, Some(json!([]))] {
            let mut pdu = scene.event("stranger", "m.room.member", Some(&stranger), &content);
            if let Some(cited) = cited {
                pdu["auth_events"] = cited;
            }
            let pdu = scene.evil.seal(scene.version, &pdu);
            scene.transaction(&scene.evil, std::slice::from_ref(&pdu), &[]);
            let answer = scene.deliver_member(&scene.evil, "send_join", &pdu);
            refused(&format!("{version} {pdu}"), &answer);
        }
        scene.goes_on();
    }
}

#[test]
fn a_join_that_holds_no_longer_is_not_answered_with_the_state() {
    let scene = HostileScene::new("11");
    let user = scene.evil.user("new");
    let pdu = scene.evil.seal(scene.version, &join_of(&scene, &user));
    for _ in 0..2 {
        assert_eq!(scene.deliver_member(&scene.evil, "send_join", &pdu).status, 200);
    }
    scene.member("kick", &user);
    refused("a join before a kick", &scene.deliver_member(&scene.evil, "send_join", &pdu));
    scene.goes_on();
}
