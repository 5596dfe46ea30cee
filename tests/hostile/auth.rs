//! What becomes of events that the rules of the room forbid? (AUTHEV, AR and SOFT)

use serde_json::{Value, json};
use tombolo::objects::room::Verdict;
use tombolo_support::encode;

use crate::scene::{HostileScene, OURS};

const VERSIONS: [&str; 4] = ["6", "9", "11", "12"];

fn state_id(scene: &HostileScene, kind: &str, key: &str) -> String {
    scene.state()[&(kind.to_owned(), key.to_owned())].clone()
}

/// Mallory's message that cites also these.
fn citing(scene: &HostileScene, more: &[&String]) -> Value {
    let mut pdu = scene.message();
    let cited = pdu["auth_events"].as_array_mut().unwrap();
    cited.extend(more.iter().map(|id| json!(id)));
    scene.evil.seal(scene.version, &pdu)
}

fn set_power(scene: &HostileScene, content: &Value) -> Value {
    scene.event("mallory", "m.room.power_levels", Some(""), content)
}

#[test]
fn what_an_event_cites_is_what_it_may_cite() {
    for version in VERSIONS {
        let scene = HostileScene::new(version);
        let minion = scene.evil.user("minion");
        let old_name = scene.set(
            &scene.alice,
            &scene.room,
            ("m.room.power_levels", ""),
            &power(&scene, json!({ "ban": 60 })),
        );
        scene.set(
            &scene.alice,
            &scene.room,
            ("m.room.power_levels", ""),
            &power(&scene, json!({ "ban": 50 })),
        );
        let alice = state_id(&scene, "m.room.member", &format!("@alice:{OURS}"));
        scene.rejected("AUTHEV1 another's membership", &citing(&scene, &[&alice]));
        let minions = state_id(&scene, "m.room.member", &minion);
        scene.rejected("AUTHEV1 a friend's membership", &citing(&scene, &[&minions]));
        scene.rejected("AUTHEV1 two of one key", &citing(&scene, &[&old_name]));
        let visible = state_id(&scene, "m.room.history_visibility", "");
        scene.rejected("AUTHEV1 another type", &citing(&scene, &[&visible]));
        let mut bare = scene.message();
        bare["auth_events"] = json!([]);
        scene.rejected("AUTHEV3 nothing", &scene.evil.seal(scene.version, &bare));
        scene.goes_on();
    }
}

#[test]
fn the_create_event_is_cited_where_it_must_be() {
    for version in ["6", "11"] {
        let scene = HostileScene::new(version);
        let create = json!(state_id(&scene, "m.room.create", ""));
        let mut pdu = scene.message();
        pdu["auth_events"].as_array_mut().unwrap().retain(|id| *id != create);
        scene.rejected("AUTHEV3 without create", &scene.evil.seal(scene.version, &pdu));
        scene.goes_on();
    }
    let scene = HostileScene::new("12");
    let create = state_id(&scene, "m.room.create", "");
    scene.dropped("AUTHEV3 with create", &citing(&scene, &[&create]));
    scene.goes_on();
}

#[test]
fn rejected_and_foreign_events_are_not_to_be_cited() {
    for version in ["11", "12"] {
        let scene = HostileScene::new(version);
        let mine = json!({ "users": { scene.evil.user("mallory"): 100 } });
        let coup = set_power(&scene, &mine);
        scene.rejected("a coup", &coup);
        let mut pdu = scene.message();
        let power = json!(state_id(&scene, "m.room.power_levels", ""));
        pdu["auth_events"].as_array_mut().unwrap().retain(|id| *id != power);
        pdu["auth_events"].as_array_mut().unwrap().push(json!(scene.id(&coup)));
        scene.rejected("AUTHEV3 a rejected event", &scene.evil.seal(scene.version, &pdu));
        let other = scene.create_room("private_chat");
        let foreign =
            scene.state_of(&other)[&("m.room.power_levels".to_owned(), String::new())].clone();
        let mut pdu = scene.message();
        pdu["auth_events"].as_array_mut().unwrap().push(json!(foreign));
        refused_for_good(&scene, &scene.evil.seal(scene.version, &pdu));
        let hosted = scene.hosted(&scene.evil);
        hosted.give(&scene.evil);
        let mut pdu = scene.message();
        let create =
            json!(scene.id(&hosted.state()[&("m.room.join_rules".to_owned(), String::new())]));
        pdu["auth_events"].as_array_mut().unwrap().push(create);
        refused_for_good(&scene, &scene.evil.seal(scene.version, &pdu));
        assert!(scene.held(&foreign).is_none(), "AUTHEV2 another room's event came in");
        scene.goes_on();
    }
}

/// An event that may be parked for a while and never comes in.
fn refused_for_good(scene: &HostileScene, pdu: &Value) {
    let state = scene.state();
    let answer = scene.transaction(&scene.evil, std::slice::from_ref(pdu), &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    scene.simulation.settle(86_400_000);
    let verdict = scene.verdict(&scene.id(pdu));
    assert!(matches!(verdict, None | Some(Verdict::Rejected)), "AUTHEV2 {verdict:?}");
    assert!(!scene.sees(&scene.id(pdu)));
    assert_eq!(scene.state(), state);
}

#[test]
fn unknown_citations_are_asked_for_a_bounded_number_of_times() {
    let scene = HostileScene::new("11");
    let unknown = format!("${}", "u".repeat(43));
    scene.evil.forget_asked();
    refused_for_good(&scene, &citing(&scene, &[&unknown]));
    let asked = scene.evil.times_asked("event") + scene.evil.times_asked("event_auth");
    assert!((1..=40).contains(&asked), "AUTHEV4 asked {asked} times");
    assert_eq!(scene.count("parked"), 0, "AUTHEV4 parked for ever");
    scene.goes_on();
}

#[test]
fn an_older_world_does_not_help() {
    for version in VERSIONS {
        let scene = HostileScene::new(version);
        let old = scene.message();
        let mallory = scene.evil.user("mallory");
        let join = json!({ "membership": "join" });
        let rejoin = scene.event("mallory", "m.room.member", Some(&mallory), &join);
        scene.member("ban", &mallory);
        let mut pdu = scene.message();
        pdu["auth_events"] = old["auth_events"].clone();
        scene.rejected("AUTHEV5 a message", &scene.evil.seal(scene.version, &pdu));
        let mut again = scene.event("mallory", "m.room.member", Some(&mallory), &join);
        scene.rejected("AR2 a join when banned", &again);
        again["auth_events"] = rejoin["auth_events"].clone();
        scene.rejected("AUTHEV5 a join", &scene.evil.seal(scene.version, &again));
        assert_eq!(scene.membership(&scene.room, &mallory), "ban");
        scene.goes_on();
    }
}

/// The power levels now, with some members changed.
fn power(scene: &HostileScene, changes: Value) -> Value {
    let id = state_id(scene, "m.room.power_levels", "");
    let mut content = scene.held(&id).unwrap().pdu["content"].clone();
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    for (name, value) in changes {
        content[name] = value;
    }
    content
}

#[test]
fn a_room_is_created_once() {
    for version in VERSIONS {
        let scene = HostileScene::new(version);
        let mallory = scene.evil.user("mallory");
        let content = json!({ "creator": mallory, "room_version": version });
        let mut second = scene.event("mallory", "m.room.create", Some(""), &content);
        scene.transaction(&scene.evil, std::slice::from_ref(&second), &[]);
        assert!(!scene.sees(&scene.id(&second)), "AR1 {version}");
        second["prev_events"] = json!([]);
        second["auth_events"] = json!([]);
        second["depth"] = json!(1);
        let before = scene.state();
        let second = scene.evil.seal(scene.version, &second);
        assert_eq!(scene.transaction(&scene.evil, std::slice::from_ref(&second), &[]).status, 200);
        assert_eq!(scene.state(), before, "AR1 {version}");
        assert!(!scene.sees(&scene.id(&second)), "AR1 {version}");
        scene.goes_on();
    }
}

#[test]
fn memberships_follow_the_rules() {
    for version in VERSIONS {
        let scene = HostileScene::new(version);
        let (mallory, minion) = (scene.evil.user("mallory"), scene.evil.user("minion"));
        let (alice, other) = (format!("@alice:{OURS}"), scene.evil.user("other"));
        for (what, key, content) in [
            ("nothing", &mallory, json!({})),
            ("a number", &mallory, json!({ "membership": 5 })),
            ("a list", &mallory, json!({ "membership": ["join"] })),
            ("another word", &mallory, json!({ "membership": "admin" })),
            ("no user", &String::new(), json!({ "membership": "join" })),
            ("no user ID", &"evil".to_owned(), json!({ "membership": "join" })),
            ("for another", &other, json!({ "membership": "join" })),
            ("a kick", &minion, json!({ "membership": "leave" })),
            ("a kick of alice", &alice, json!({ "membership": "leave" })),
            ("a ban", &minion, json!({ "membership": "ban" })),
            ("a ban of alice", &alice, json!({ "membership": "ban" })),
            ("an invite of a member", &alice, json!({ "membership": "invite" })),
            (
                "a third-party invite",
                &other,
                json!({ "membership": "invite", "third_party_invite": {} }),
            ),
            (
                "one without a token",
                &other,
                json!({ "membership": "invite", "third_party_invite": { "signed": {} } }),
            ),
            (
                "one nobody made",
                &other,
                json!({ "membership": "invite", "third_party_invite": { "display_name": "x",
                "signed": { "mxid": other, "token": "t", "signatures": { "id.test": { "ed25519:0": "AAAA" } } } } }),
            ),
            ("a knock where all may join", &mallory, json!({ "membership": "knock" })),
        ] {
            let pdu = scene.event("mallory", "m.room.member", Some(key), &content);
            scene.rejected(&format!("AR2 AR3 {version} {what}"), &pdu);
        }
        let pdu = scene.event("mallory", "m.room.member", None, &json!({ "membership": "join" }));
        scene.rejected(&format!("AR2 {version} without a key"), &pdu);
        scene.goes_on();
    }
}

#[test]
fn nobody_comes_in_uninvited() {
    for version in VERSIONS {
        let scene = HostileScene::new(version);
        let stranger = scene.evil.user("stranger");
        let authoriser = format!("@alice:{OURS}");
        let restricted = json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": "!other:evil.test" }] });
        for rule in [json!({ "join_rule": "invite" }), restricted, json!({ "join_rule": 5 })] {
            scene.set(&scene.alice, &scene.room, ("m.room.join_rules", ""), &rule);
            for content in [
                json!({ "membership": "join" }),
                json!({ "membership": "join", "join_authorised_via_users_server": authoriser }),
                json!({ "membership": "join", "join_authorised_via_users_server": scene.evil.user("absent") }),
                json!({ "membership": "join", "join_authorised_via_users_server": 5 }),
                json!({ "membership": "knock" }),
            ] {
                let pdu = scene.event("stranger", "m.room.member", Some(&stranger), &content);
                let what = format!("AR2 SIG7 {version} {rule} {content}");
                let answer = scene.transaction(&scene.evil, std::slice::from_ref(&pdu), &[]);
                assert_eq!(answer.status, 200, "{what}");
                let error = &answer.body["pdus"][scene.id(&pdu)]["error"];
                assert!(error.is_string(), "{what}: {answer:?}");
                assert_eq!(scene.membership(&scene.room, &stranger), "", "{what}");
            }
        }
        let template = scene.make(&scene.evil, "make_join", &stranger);
        assert!(matches!(template.status, 400 | 403), "{version}: {template:?}");
        scene.goes_on();
    }
}

#[test]
fn nobody_raises_himself() {
    for version in VERSIONS {
        let scene = HostileScene::new(version);
        let mallory = scene.evil.user("mallory");
        let trusted = power(&scene, json!({ "users": users(&scene, &mallory, 50), "events": {} }));
        scene.set(&scene.alice, &scene.room, ("m.room.power_levels", ""), &trusted);
        let named = |users: Value| power(&scene, json!({ "users": users }));
        for (what, content) in [
            ("himself", named(users(&scene, &mallory, 51))),
            ("all", power(&scene, json!({ "users_default": 60 }))),
            ("no user ID", named(json!({ "evil": 5 }))),
            ("users a list", named(json!([]))),
            ("events a list", power(&scene, json!({ "events": [] }))),
            ("above him", power(&scene, json!({ "ban": 99 }))),
            ("notifications", power(&scene, json!({ "notifications": { "room": 99 } }))),
            ("null", power(&scene, json!({ "ban": null }))),
            ("a list", power(&scene, json!({ "kick": [50] }))),
        ] {
            scene.rejected(&format!("AR4 AR5 {version} {what}"), &set_power(&scene, &content));
        }
        if matches!(version, "11" | "12") {
            let content = power(&scene, json!({ "ban": "50" }));
            scene.rejected(&format!("AR5 {version} a text"), &set_power(&scene, &content));
        }
        if version != "12" {
            scene.rejected("AR4 nobody", &set_power(&scene, &named(json!({}))));
            scene.rejected("AR4 nothing", &set_power(&scene, &json!({})));
        }
        if version == "12" {
            let creator = named(users(&scene, &format!("@alice:{OURS}"), 0));
            scene.rejected("AR4 a creator is named", &set_power(&scene, &creator));
        }
        let alice = format!("@alice:{OURS}");
        let kick = scene.event(
            "mallory",
            "m.room.member",
            Some(&alice),
            &json!({ "membership": "leave" }),
        );
        scene.rejected(&format!("AR2 AR6 {version} a kick of the creator"), &kick);
        scene.goes_on();
    }
}

/// The users of the power levels, one of them with another level.
fn users(scene: &HostileScene, user: &str, level: i64) -> Value {
    let mut users = power(scene, json!({}))["users"].clone();
    if users.is_null() {
        users = json!({});
    }
    users[user] = json!(level);
    users
}

#[test]
fn state_has_its_owner() {
    for version in VERSIONS {
        let scene = HostileScene::new(version);
        let mut open = power(&scene, json!({ "state_default": 0 }));
        open["events"]["org.example.mine"] = json!(0);
        scene.set(&scene.alice, &scene.room, ("m.room.power_levels", ""), &open);
        let (mallory, minion) = (scene.evil.user("mallory"), scene.evil.user("minion"));
        let of = |key: &str| scene.event("mallory", "org.example.mine", Some(key), &json!({}));
        scene.rejected("AR7 another's key", &of(&minion));
        scene.accepted("AR7 his own key", &of(&mallory));
        let server = scene.evil.name();
        let aliases = |key: &str| scene.event("mallory", "m.room.aliases", Some(key), &json!({}));
        scene.accepted("AR7 aliases are state like any other", &aliases(server));
        scene.goes_on();
    }
    let mut scene = HostileScene::bare("11");
    let body = json!({ "preset": "public_chat", "creation_content": { "m.federate": false } });
    scene.room = scene
        .call(Some(&scene.alice), "POST /_matrix/client/v3/createRoom", &body)
        .text("room_id")
        .unwrap();
    assert!(matches!(scene.enter(&scene.evil, "mallory").status, 400 | 403), "AR7 m.federate");
    let mallory = scene.evil.user("mallory");
    let join =
        scene.event("mallory", "m.room.member", Some(&mallory), &json!({ "membership": "join" }));
    scene.transaction(&scene.evil, &[join], &[]);
    assert_eq!(scene.membership(&scene.room, &mallory), "", "AR7 m.federate");
}

#[test]
fn a_fork_from_before_the_ban_is_soft_failed() {
    for version in VERSIONS {
        let scene = HostileScene::new(version);
        let (mallory, alice) = (scene.evil.user("mallory"), format!("@alice:{OURS}"));
        let trusted = power(&scene, json!({ "users": users(&scene, &mallory, 50) }));
        scene.set(&scene.alice, &scene.room, ("m.room.power_levels", ""), &trusted);
        let message = scene.message();
        let name = scene.event("mallory", "m.room.name", Some(""), &json!({ "name": "mine" }));
        let stay = json!({ "membership": "join", "displayname": "still here" });
        let stay = scene.event("mallory", "m.room.member", Some(&mallory), &stay);
        scene.member("ban", &mallory);
        for (what, pdu) in [("a message", &message), ("a name", &name), ("a join", &stay)] {
            scene.soft_failed(&format!("SOFT1 {version} {what}"), pdu);
        }
        assert_eq!(scene.membership(&scene.room, &mallory), "ban", "SOFT1 {version}");
        assert_eq!(scene.membership(&scene.room, &alice), "join", "SOFT1 {version}");
        scene.goes_on();
        let mut citing = scene.message_of("minion");
        citing["prev_events"].as_array_mut().unwrap().push(json!(scene.id(&name)));
        let state = scene.state();
        scene.accepted("SOFT2", &scene.evil.seal(scene.version, &citing));
        assert_eq!(scene.membership(&scene.room, &mallory), "ban", "SOFT2 {version}");
        let gone = |key: &&(String, String)| !scene.state().contains_key(*key);
        assert_eq!(state.keys().find(gone), None, "SOFT2 {version} lost state");
        scene.goes_on();
    }
}

#[test]
fn a_redaction_reaches_no_further_than_its_right() {
    for version in VERSIONS {
        let scene = HostileScene::new(version);
        let other = scene.create_room("private_chat");
        let secret = scene.say(&scene.alice, &other, "in another room");
        let alices = scene.say(&scene.alice, &scene.room, "in this room");
        let create = state_id(&scene, "m.room.create", "");
        for target in [&alices, &secret, &create, &format!("${}", "n".repeat(43))] {
            let mut pdu =
                scene.event("mallory", "m.room.redaction", None, &json!({ "redacts": target }));
            pdu["redacts"] = json!(target);
            let answer =
                scene.transaction(&scene.evil, &[scene.evil.seal(scene.version, &pdu)], &[]);
            assert_eq!(answer.status, 200, "DAG6 {answer:?}");
        }
        assert_eq!(scene.seen(&alices).body["content"]["body"], json!("in this room"), "DAG6");
        let held = scene.held_in(&other, &secret).unwrap();
        assert_eq!(held.pdu["content"]["body"], json!("in another room"), "DAG6");
        let created = scene.held(&create).unwrap();
        assert!(created.pdu["content"]["room_version"].is_string(), "DAG6");
        let path = format!("/_matrix/client/v3/rooms/{}/event/{}", encode(&other), encode(&secret));
        let seen = scene.get(&scene.alice, &path).body;
        assert_eq!(seen["content"]["body"], json!("in another room"), "DAG6");
        scene.goes_on();
    }
}
