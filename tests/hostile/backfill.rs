//! What does alice read of history that a lying server tells? (RES5)

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tombolo_support::{Hosted, Reply, encode, id_of, ok, refusal};

use crate::scene::{HostileScene, OURS};

/// A room of the peer with some history, in which alice is; what its history is told with comes after.
fn joined(version: &str) -> (HostileScene, Hosted, Vec<Value>) {
    let scene = HostileScene::bare(version);
    let hosted = scene.hosted(&scene.evil);
    let creator = hosted.creator.clone();
    let said = (0..5).map(|number| {
        let content = json!({ "body": format!("past {number}") });
        hosted.say(&scene.evil, &creator, ("m.room.message", None), &content)
    });
    let said = said.collect();
    hosted.give(&scene.evil);
    let answer = scene.join(&hosted, &scene.evil);
    assert_eq!(answer.status, 200, "{answer:?}");
    tell_states(&scene, &hosted);
    (scene, hosted, said)
}

/// The honest state before each event.
pub fn tell_states(scene: &HostileScene, hosted: &Hosted) {
    let told = hosted.clone();
    scene.evil.on("state_ids", move |asked| {
        let wanted = asked.query.split("event_id=").nth(1).unwrap_or_default();
        let mut state: BTreeMap<(String, String), String> = BTreeMap::new();
        for pdu in told.events.borrow().iter() {
            if told.id(pdu) == wanted {
                break;
            }
            if let Some(key) = pdu["state_key"].as_str() {
                state.insert((pdu["type"].to_string(), key.to_owned()), told.id(pdu));
            }
        }
        let ids: Vec<String> = state.into_values().collect();
        ok(&json!({ "pdu_ids": ids, "auth_chain_ids": ids }))
    });
}

/// The honest answer, newest first, with some events more before it and after.
fn tell_history(scene: &HostileScene, hosted: &Hosted, before: Vec<Value>, after: Vec<Value>) {
    let told = hosted.clone();
    scene.evil.on("backfill", move |_| {
        let events = told.events.borrow();
        let all = before.iter().chain(events.iter().rev()).chain(&after);
        ok(&json!({ "origin": "evil.test:8448", "pdus": all.collect::<Vec<_>>() }))
    });
}

pub fn bodies(timeline: &[Value]) -> Vec<String> {
    timeline
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .map(str::to_owned)
        .collect()
}

fn past() -> Vec<String> {
    let mut past: Vec<String> = (0..5).rev().map(|number| format!("past {number}")).collect();
    past.push("welcome".to_owned());
    past
}

/// What a liar tells beside its history: no events, events of others, of another room, on nothing, an altered one.
fn no_history(scene: &HostileScene, hosted: &Hosted, said: &Value) -> Vec<Value> {
    let say = |sender: &str, body: &str| {
        hosted.event(&scene.evil, sender, ("m.room.message", None), &json!({ "body": body }))
    };
    let changed = |body: &str, field: &str, value: Value| {
        let mut pdu = say(&hosted.creator, body);
        pdu[field] = value;
        pdu
    };
    let sealed = |pdu: Value| scene.evil.seal(scene.version, &pdu);
    let other = scene.hosted(&scene.evil);
    let mut junk = vec![json!(5), json!("x"), json!(null), json!([]), json!({})];
    junk.push(changed("unsigned", "signatures", json!({})));
    junk.push(say(&scene.evil.user("stranger"), "a stranger"));
    junk.push(say(&scene.third.user("victim"), "in another's name"));
    junk.push(say(&format!("@alice:{OURS}"), "in our name"));
    junk.push(other.events.borrow().last().unwrap().clone());
    junk.push(sealed(changed("moved", "room_id", json!(other.room))));
    let nothing = json!([format!("${}", "n".repeat(43))]);
    junk.push(sealed(changed("on nothing", "prev_events", nothing)));
    let mut altered = said.clone();
    altered["content"]["body"] = json!("altered");
    junk.push(altered);
    junk
}

#[test]
fn honest_history_is_read() {
    for version in ["6", "11", "12"] {
        let (scene, hosted, _) = joined(version);
        tell_history(&scene, &hosted, Vec::new(), Vec::new());
        assert_eq!(bodies(&scene.timeline(&hosted.room)), past(), "{version}");
        scene.hears(&hosted, &scene.evil);
    }
}

#[test]
fn what_is_no_history_is_not_read() {
    for version in ["6", "11", "12"] {
        let (scene, hosted, said) = joined(version);
        let state = scene.state_of(&hosted.room);
        let junk = no_history(&scene, &hosted, &said[2]);
        tell_history(&scene, &hosted, junk, vec![said[0].clone(), said[0].clone()]);
        let read = bodies(&scene.timeline(&hosted.room));
        for forged in
            ["unsigned", "a stranger", "in another's name", "in our name", "altered", "moved"]
        {
            assert!(!read.iter().any(|body| body == forged), "RES5 {version} {forged}: {read:?}");
        }
        for body in past().iter().filter(|body| *body != "past 2") {
            let copies = read.iter().filter(|each| *each == body).count();
            assert_eq!(copies, 1, "RES5 {version} {body}: {read:?}");
        }
        assert_eq!(scene.state_of(&hosted.room), state, "RES5 {version} history changed the state");
        scene.hears(&hosted, &scene.evil);
    }
}

#[test]
fn history_changes_no_state() {
    for version in ["6", "11", "12"] {
        let (scene, hosted, said) = joined(version);
        let state = scene.state_of(&hosted.room);
        let alice = format!("@alice:{OURS}");
        let of = |kind: &str, key: &str, content: Value| {
            let mut pdu = hosted.event(&scene.evil, &hosted.creator, (kind, Some(key)), &content);
            pdu["prev_events"] = json!([hosted.id(&said[0])]);
            pdu["depth"] = json!(8);
            scene.evil.seal(scene.version, &pdu)
        };
        let lies = vec![
            of("m.room.name", "", json!({ "name": "a name nobody gave" })),
            of("m.room.member", &alice, json!({ "membership": "ban" })),
            of("m.room.join_rules", "", json!({ "join_rule": "invite" })),
        ];
        tell_history(&scene, &hosted, lies, Vec::new());
        scene.timeline(&hosted.room);
        assert_eq!(scene.state_of(&hosted.room), state, "RES5 {version}");
        assert_eq!(scene.membership(&hosted.room, &alice), "join", "RES5 {version}");
        scene.say(&scene.alice, &hosted.room, "alice is still here");
        scene.hears(&hosted, &scene.evil);
    }
}

#[test]
fn answers_without_form_end_the_page_and_nothing_else() {
    for reply in [
        ok(&json!({ "pdus": "x" })),
        ok(&json!({ "pdus": [1, null, {}] })),
        ok(&json!([])),
        refusal(500, "M_UNKNOWN"),
        refusal(401, "M_UNKNOWN_TOKEN"),
        Reply { status: 200, body: "<html>".into() },
        Reply { status: 302, body: "".into() },
    ] {
        let (scene, hosted, _) = joined("11");
        let lie = reply.clone();
        scene.evil.on("backfill", move |_| lie.clone());
        assert_eq!(bodies(&scene.timeline(&hosted.room)), Vec::<String>::new(), "{reply:?}");
        tell_history(&scene, &hosted, Vec::new(), Vec::new());
        assert_eq!(bodies(&scene.timeline(&hosted.room)), past(), "{reply:?}");
        scene.hears(&hosted, &scene.evil);
    }
}

#[test]
fn a_page_of_refused_events_is_passed_over() {
    let (scene, hosted, said) = joined("11");
    let stranger = scene.evil.user("stranger");
    let mut refused: Vec<Value> = Vec::new();
    for number in 0..90 {
        let content = json!({ "body": format!("refused {number}") });
        let mut pdu = hosted.event(&scene.evil, &stranger, ("m.room.message", None), &content);
        pdu["prev_events"] =
            json!([refused.last().map_or_else(|| hosted.id(&said[1]), |last| hosted.id(last))]);
        pdu["depth"] = json!(50 + number);
        refused.push(scene.evil.seal(scene.version, &pdu));
    }
    refused.reverse();
    tell_history(&scene, &hosted, refused, Vec::new());
    assert_eq!(bodies(&scene.timeline(&hosted.room)), past(), "DAG5");
    scene.hears(&hosted, &scene.evil);
}

#[test]
fn an_endless_past_is_read_a_bounded_piece_at_a_time() {
    let (scene, hosted, _) = joined("11");
    let (told, evil, version) = (hosted.clone(), scene.evil.clone(), scene.version);
    let pattern = hosted.event(
        &scene.evil,
        &hosted.creator,
        ("m.room.message", None),
        &json!({ "body": "endless" }),
    );
    scene.evil.on("backfill", move |asked| {
        let mut pdu = pattern.clone();
        pdu["prev_events"] =
            json!([id_of(version, &json!({ "type": asked.query, "sender": told.creator }))]);
        pdu["depth"] = json!(3);
        ok(&json!({ "pdus": [evil.seal(version, &pdu)] }))
    });
    scene.evil.forget_asked();
    let path =
        format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=100", encode(&hosted.room));
    let page = scene.get(&scene.alice, &path);
    assert_eq!(page.status, 200, "{page:?}");
    let asked = scene.evil.times_asked("backfill");
    assert!((1..=30).contains(&asked), "one page costs {asked} requests");
    scene.hears(&hosted, &scene.evil);
}

#[test]
fn what_is_said_of_an_event_by_its_time_is_not_passed_on() {
    let (scene, hosted, _) = joined("11");
    let path = format!("/_matrix/client/v1/rooms/{}/timestamp_to_event", encode(&hosted.room));
    let ask = |ts: u64, dir: &str| {
        scene.evil.forget_asked();
        let answer = scene.get(&scene.alice, &format!("{path}?ts={ts}&dir={dir}"));
        let asked = scene.evil.times_asked("backfill");
        assert!(asked <= 30, "one question costs {asked} requests");
        let listed = answer.status == 404 || answer.body["event_id"] != "$nothing";
        assert!(matches!(answer.status, 200 | 404) && listed, "{answer:?}");
    };
    scene.evil.on("backfill", |_| ok(&json!({ "pdus": [] })));
    for reply in [
        ok(&json!({ "event_id": "$nothing", "origin_server_ts": 1 })),
        ok(&json!({ "event_id": "$nothing", "origin_server_ts": "x" })),
        ok(&json!({ "event_id": "$nothing", "origin_server_ts": i64::MIN })),
        ok(&json!({ "event_id": "$nothing", "origin_server_ts": -1 })),
        ok(&json!([])),
        refusal(404, "M_NOT_FOUND"),
        refusal(500, "M_UNKNOWN"),
    ] {
        let lie = reply.clone();
        scene.evil.on("timestamp_to_event", move |_| lie.clone());
        ask(1, "f");
        ask(1, "b");
        ask(0, "b");
        ask(9_007_199_254_740_991, "b");
    }
    scene.hears(&hosted, &scene.evil);
}
