//! What becomes of events whose parents we lack, where the server that has them lies? (DAG1, RES5)

use serde_json::{Value, json};
use tombolo::objects::room::Verdict;
use tombolo_support::{Reply, encode, id_of, ok, refusal};

use crate::scene::{HostileScene, OURS};

const DAY: u64 = 86_400_000;

/// An ID of no event.
fn nowhere() -> String {
    format!("${}", "n".repeat(43))
}

/// Mallory's message on this parent.
fn on(scene: &HostileScene, parent: &str, depth: u64) -> Value {
    let mut pdu = scene.message();
    pdu["prev_events"] = json!([parent]);
    pdu["depth"] = json!(depth);
    scene.evil.seal(scene.version, &pdu)
}

/// So many messages, each on the one before, the first on this parent.
fn chain(scene: &HostileScene, parent: &str, count: usize) -> Vec<Value> {
    let mut chain: Vec<Value> = Vec::new();
    for depth in (100..).take(count) {
        let parent = chain.last().map_or(parent.to_owned(), |pdu| scene.id(pdu));
        chain.push(on(scene, &parent, depth));
    }
    chain
}

/// The event is sent, and whatever became of it a day later, the state is what it was and nobody was harmed.
fn sent(scene: &HostileScene, what: &str, pdu: &Value) -> Option<Verdict> {
    let state = scene.state();
    let answer = scene.transaction(&scene.evil, std::slice::from_ref(pdu), &[]);
    assert_eq!(answer.status, 200, "{what}: {answer:?}");
    scene.simulation.settle(DAY);
    assert_eq!(scene.state(), state, "{what} changed the state");
    assert_eq!(scene.count("parked"), 0, "{what} is parked for ever");
    scene.verdict(&scene.id(pdu))
}

#[test]
fn a_gap_is_filled_with_what_is_good_of_an_answer() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::new(version);
        let chain = chain(&scene, &scene.extremities()[0], 6);
        let mut unsigned = scene.message();
        unsigned["signatures"] = json!({});
        let other = scene.hosted(&scene.evil);
        let foreign = other.events.borrow().last().unwrap().clone();
        let mut moved = scene.message();
        moved["room_id"] = json!(other.room);
        let moved = scene.evil.seal(scene.version, &moved);
        let stranger = scene.event("stranger", "m.room.message", None, &json!({ "body": "x" }));
        let mut events = vec![
            json!(5),
            json!("x"),
            json!(null),
            json!({}),
            json!([]),
            unsigned.clone(),
            foreign.clone(),
            moved.clone(),
            stranger.clone(),
        ];
        events.extend(chain[..5].iter().rev().cloned());
        events.extend(chain[..5].iter().cloned());
        scene.evil.on("get_missing_events", move |_| ok(&json!({ "events": events })));
        scene.accepted(&format!("DAG1 {version}"), &chain[5]);
        for pdu in &chain {
            assert!(scene.sees(&scene.id(pdu)), "DAG1 {version} one of the chain is lost");
        }
        for pdu in [&unsigned, &foreign, &moved, &stranger] {
            assert_ne!(scene.verdict(&scene.id(pdu)), Some(Verdict::Accepted), "DAG1 {version}");
            assert!(!scene.sees(&scene.id(pdu)), "DAG1 {version}");
        }
        scene.goes_on();
    }
}

#[test]
fn answers_without_form_leave_the_gap_and_nothing_else() {
    for reply in [
        ok(&json!({ "events": "x" })),
        ok(&json!({ "events": [1, null] })),
        ok(&json!([])),
        ok(&json!({ "events": [] })),
        refusal(500, "M_UNKNOWN"),
        refusal(401, "M_UNKNOWN_TOKEN"),
        Reply { status: 200, body: "<html>".into() },
        Reply { status: 200, body: format!("{{\"events\":{}", "[".repeat(100_000)).into() },
        Reply { status: 200, body: vec![b' '; 5 << 20].into() },
    ] {
        let scene = HostileScene::new("11");
        let chain = chain(&scene, &scene.extremities()[0], 2);
        for endpoint in ["get_missing_events", "state_ids", "state", "event", "event_auth"] {
            let reply = reply.clone();
            scene.evil.on(endpoint, move |_| reply.clone());
        }
        let answer = scene.transaction(&scene.evil, &chain[1..], &[]);
        assert_eq!(answer.status, 200, "{reply:?}: {answer:?}");
        assert!(!scene.sees(&scene.id(&chain[1])), "{reply:?}");
        scene.goes_on();
        let parent = chain[0].clone();
        scene.evil.on("get_missing_events", move |_| ok(&json!({ "events": [parent] })));
        scene.simulation.settle(DAY);
        scene.accepted("once it is filled", &chain[1]);
        scene.goes_on();
    }
}

#[test]
fn a_gap_without_end_costs_a_bounded_number_of_requests() {
    let scene = HostileScene::new("11");
    let chain = chain(&scene, &nowhere(), 400);
    let given: Vec<(String, Value)> =
        chain.iter().map(|pdu| (scene.id(pdu), pdu.clone())).collect();
    scene.evil.on("get_missing_events", move |asked| {
        let latest = asked.body["latest_events"][0].as_str().unwrap_or_default();
        let at = given.iter().position(|(id, _)| id == latest).unwrap_or(0);
        ok(&json!({ "events": given[at.saturating_sub(1)..at].iter().map(|(_, pdu)| pdu).collect::<Vec<_>>() }))
    });
    scene.evil.forget_asked();
    let last = chain.last().unwrap();
    assert_eq!(scene.transaction(&scene.evil, std::slice::from_ref(last), &[]).status, 200);
    let endpoints = ["get_missing_events", "state_ids", "state", "event", "event_auth"];
    let asked = || endpoints.iter().map(|endpoint| scene.evil.times_asked(endpoint)).sum::<usize>();
    assert!((1..=60).contains(&asked()), "one event costs {} requests", asked());
    scene.simulation.settle(3 * DAY);
    assert!(asked() <= 1500, "one event costs {} requests in the end", asked());
    assert_eq!(scene.count("parked"), 0, "parked for ever");
    assert!(!scene.sees(&scene.id(last)));
    scene.goes_on();
}

#[test]
fn an_answer_that_is_the_question_ends() {
    let scene = HostileScene::new("11");
    let pdu = on(&scene, &nowhere(), 100);
    let (one, other) = (on(&scene, &scene.id(&pdu), 101), scene.message());
    let events = json!({ "events": [pdu, one, other] });
    scene.evil.on("get_missing_events", move |_| ok(&events));
    scene.evil.forget_asked();
    sent(&scene, "the same again", &pdu);
    assert!(scene.evil.times_asked("get_missing_events") <= 200);
    assert!(!scene.sees(&scene.id(&pdu)));
    scene.goes_on();
}

#[test]
fn an_answer_may_hold_too_much() {
    let scene = HostileScene::new("11");
    let chain = chain(&scene, &scene.extremities()[0], 300);
    let events = json!({ "events": chain[..299] });
    scene.evil.on("get_missing_events", move |_| ok(&events));
    let answer = scene.transaction(&scene.evil, &chain[299..], &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    scene.simulation.settle(DAY);
    scene.goes_on();
    let verdict = scene.verdict(&scene.id(&chain[299]));
    assert!(matches!(verdict, None | Some(Verdict::Accepted)), "{verdict:?}");
    assert_eq!(scene.count("parked"), 0, "parked for ever");
}

/// A message of mallory whose parents nobody has, and the state before it as the peer tells it.
fn with_state(scene: &HostileScene, state: &[String], more: &[Value]) -> Value {
    let pdu = on(scene, &nowhere(), 100);
    tell_state(scene, state, more);
    pdu
}

fn tell_state(scene: &HostileScene, state: &[String], more: &[Value]) {
    let ids = json!({ "pdu_ids": state, "auth_chain_ids": state });
    scene.evil.on("state_ids", move |_| ok(&ids));
    let (version, given) = (scene.version, more.to_vec());
    scene.evil.on("event", move |asked| {
        match given.iter().find(|pdu| id_of(version, pdu) == asked.arguments[0]) {
            Some(pdu) => ok(&json!({ "pdus": [pdu] })),
            None => refusal(404, "M_NOT_FOUND"),
        }
    });
    let whole = json!({ "pdus": more, "auth_chain": more });
    scene.evil.on("state", move |_| ok(&whole));
}

fn current(scene: &HostileScene) -> Vec<String> {
    scene.state().into_values().collect()
}

/// Power levels that mallory gives herself, citing a world in which nobody has any.
fn coup(scene: &HostileScene) -> Value {
    let mallory = scene.evil.user("mallory");
    let content = json!({ "users": { &mallory: 100 }, "users_default": 0 });
    let mut pdu = scene.event("mallory", "m.room.power_levels", Some(""), &content);
    let state = scene.state();
    let mut cited = vec![&state[&("m.room.member".to_owned(), mallory)]];
    if !scene.version.room_id_is_create_hash() {
        cited.push(&state[&("m.room.create".to_owned(), String::new())]);
    }
    pdu["auth_events"] = json!(cited);
    pdu["prev_events"] = json!([nowhere()]);
    scene.evil.seal(scene.version, &pdu)
}

#[test]
fn a_told_state_takes_nothing_away() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::new(version);
        let (create, mallory) = (
            ("m.room.create".to_owned(), String::new()),
            ("m.room.member".to_owned(), scene.evil.user("mallory")),
        );
        let state = scene.state();
        let bare = [state[&create].clone(), state[&mallory].clone()];
        let without_alice: Vec<String> = state
            .iter()
            .filter(|((_, key), _)| !key.contains(OURS))
            .map(|(_, id)| id.clone())
            .collect();
        for (what, told) in
            [("nothing", &[][..]), ("two events", &bare[..]), ("all but alice", &without_alice[..])]
        {
            let pdu = with_state(&scene, told, &[]);
            sent(&scene, &format!("RES5 {version} a state of {what}"), &pdu);
            scene.goes_on();
        }
    }
}

#[test]
fn a_told_state_makes_nobody_powerful() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::new(version);
        let state = scene.state();
        let coup = coup(&scene);
        let mallory = &state[&("m.room.member".to_owned(), scene.evil.user("mallory"))];
        let create = &state[&("m.room.create".to_owned(), String::new())];
        let told = [create.clone(), mallory.clone(), scene.id(&coup)];
        let pdu = with_state(&scene, &told, std::slice::from_ref(&coup));
        sent(&scene, &format!("RES5 {version} a coup by state"), &pdu);
        scene.goes_on();
        let name = scene.event("mallory", "m.room.name", Some(""), &json!({ "name": "mine" }));
        let mut name = name.clone();
        name["prev_events"] = json!([scene.id(&pdu)]);
        name["auth_events"] = json!([create, mallory, scene.id(&coup)]);
        if scene.version.room_id_is_create_hash() {
            name["auth_events"] = json!([mallory, scene.id(&coup)]);
        }
        sent(
            &scene,
            &format!("RES5 {version} a name on top of it"),
            &scene.evil.seal(scene.version, &name),
        );
        sent(&scene, &format!("RES5 {version} the coup itself"), &coup);
        scene.goes_on();
    }
}

#[test]
fn a_told_state_lifts_no_ban() {
    for version in ["6", "11", "12"] {
        let scene = HostileScene::new(version);
        let before = current(&scene);
        let mallory = scene.evil.user("mallory");
        let pdu = with_state(&scene, &before, &[]);
        let stay = json!({ "membership": "join", "displayname": "still here" });
        let mut stay = scene.event("mallory", "m.room.member", Some(&mallory), &stay);
        stay["prev_events"] = json!([nowhere()]);
        let stay = scene.evil.seal(scene.version, &stay);
        scene.member("ban", &mallory);
        for (what, pdu) in [("a message", &pdu), ("a join", &stay)] {
            let verdict = sent(&scene, &format!("RES5 {version} {what}"), pdu);
            assert_ne!(verdict, Some(Verdict::Accepted), "RES5 {version} {what}");
            assert!(!scene.sees(&scene.id(pdu)), "RES5 {version} {what}");
        }
        assert_eq!(scene.membership(&scene.room, &mallory), "ban", "RES5 {version}");
        scene.goes_on();
    }
}

#[test]
fn a_told_state_of_forged_foreign_or_missing_events_lets_nothing_in() {
    for version in ["11", "12"] {
        let scene = HostileScene::new(version);
        let private = scene.create_room("private_chat");
        let secrets: Vec<String> = scene.state_of(&private).into_values().collect();
        let other = scene.hosted(&scene.evil);
        let foreign: Vec<Value> = other.state().into_values().collect();
        let foreign_ids: Vec<String> = foreign.iter().map(|pdu| scene.id(pdu)).collect();
        let alice = format!("@alice:{OURS}");
        let content = json!({ "users": { scene.evil.user("mallory"): 100 } });
        let draft = scene.draft(&alice, "m.room.power_levels", Some(""), &content);
        let forged = scene.evil.seal(scene.version, &draft);
        let forged_id = [scene.id(&forged)];
        for (what, told, given) in [
            ("another room's, which is private", &secrets[..], &[][..]),
            ("another room's", &foreign_ids[..], &foreign[..]),
            ("forged", &forged_id[..], std::slice::from_ref(&forged)),
            ("missing", &[nowhere()][..], &[][..]),
        ] {
            let pdu = with_state(&scene, told, given);
            let verdict = sent(&scene, &format!("RES5 {version} {what}"), &pdu);
            assert_ne!(verdict, Some(Verdict::Accepted), "RES5 {version} {what}");
            for id in told {
                assert!(scene.held(id).is_none(), "RES5 {version} {what} came in");
            }
            scene.goes_on();
        }
    }
}

#[test]
fn a_room_parks_a_bounded_number_of_events() {
    let scene = HostileScene::new("11");
    let pattern = scene.message();
    let make = |number: u64| {
        let mut pdu = pattern.clone();
        pdu["prev_events"] = json!([format!("${number:0>43}")]);
        scene.evil.seal(scene.version, &pdu)
    };
    for batch in 0..22 {
        let pdus: Vec<Value> = (0..50).map(|number| make(batch * 50 + number)).collect();
        assert_eq!(scene.transaction(&scene.evil, &pdus, &[]).status, 200);
    }
    let parked = scene.count("parked");
    assert!((10..=1000).contains(&parked), "{parked} events are parked");
    scene.goes_on();
    scene.simulation.settle(3 * DAY);
    assert_eq!(scene.count("parked"), 0, "parked for ever");
    scene.goes_on();
}

#[test]
fn many_forks_are_merged_and_few_are_cited() {
    let scene = HostileScene::new("11");
    let parent = scene.extremities();
    let forks: Vec<Value> = (0..45)
        .map(|_| {
            let mut pdu = scene.message();
            pdu["prev_events"] = json!(parent);
            scene.evil.seal(scene.version, &pdu)
        })
        .collect();
    assert_eq!(scene.transaction(&scene.evil, &forks, &[]).status, 200);
    let id = scene.say(&scene.alice, &scene.room, "over all of it");
    let cited = scene.held(&id).unwrap().pdu["prev_events"].as_array().unwrap().len();
    assert!(cited <= 20, "DAG4 {cited} parents");
    let line = format!("GET /_matrix/federation/v1/event/{}", encode(&id));
    assert_eq!(scene.signed(&scene.evil, &line, None).status, 200);
    for _ in 0..3 {
        scene.say(&scene.alice, &scene.room, "and again");
    }
    assert!(scene.extremities().len() <= 20, "DAG4 {} extremities", scene.extremities().len());
    scene.goes_on();
}
