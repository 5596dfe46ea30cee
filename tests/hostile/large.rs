//! Is a large room joined whose servers are all out of reach, so that only a notary knows their keys, if at all?

use std::time::Instant;

use serde_json::{Map, Value, json};
use tombolo_support::{Hosted, Peer, encode, ok};

use crate::{
    backfill::{bodies, tell_states},
    scene::{HostileScene, OURS},
};

const MEMBERS: usize = 3000;
const SERVERS: usize = 300;
/// Servers of a room in which each has one member.
const ORIGINS: usize = 500;
/// What one message to an object may have (bytes).
const LARGEST: usize = 1 << 20;

/// The server of a member, where the members are of so many.
fn server_of(number: usize, servers: usize) -> Peer {
    let server = number % servers;
    Peer::unlisted(&format!("s{server}.test:8448"), u8::try_from(server % 250).unwrap())
}

/// Every member's join, signed by the member's server.
fn fill(scene: &HostileScene, hosted: &Hosted, members_and_servers: (usize, usize)) {
    fill_with(scene, hosted, members_and_servers, "One of very many members of a large room");
}

fn fill_with(
    scene: &HostileScene,
    hosted: &Hosted,
    (members, servers): (usize, usize),
    name: &str,
) {
    let someone = scene.evil.user("someone");
    let content = json!({ "membership": "join", "displayname": name });
    let pattern = hosted.event(&scene.evil, &someone, ("m.room.member", Some(&someone)), &content);
    for number in 0..members {
        let server = server_of(number, servers);
        let user = server.user(&format!("u{number}"));
        let mut pdu = pattern.clone();
        pdu["sender"] = json!(user);
        pdu["state_key"] = json!(user);
        let last = hosted.events.borrow().last().unwrap().clone();
        pdu["prev_events"] = json!([hosted.id(&last)]);
        pdu["depth"] = json!(last["depth"].as_u64().unwrap() + 1);
        hosted.events.borrow_mut().push(server.seal(scene.version, &pdu));
    }
}

/// The notary vouches for the keys of the members' servers, but not of these. It looks for what it is asked rightly
/// only: by the ID of a key, and the time at which that must be valid.
fn vouch(scene: &HostileScene, servers: usize, is_dead: fn(usize) -> bool) {
    let (notary, until) = (scene.notary.clone(), scene.simulation.now() + 86_400_000);
    scene.notary.on("query", move |asked| {
        let Value::Object(names) = &asked.body["server_keys"] else { return ok(&json!({})) };
        let rightly = |server: &Peer| {
            let key = names.get(server.name()).map(|keys| &keys["ed25519:k"]);
            key.is_some_and(|key| key["minimum_valid_until_ts"].is_u64())
        };
        let alive = (0..servers).filter(|number| !is_dead(*number));
        let keys: Vec<Value> = alive
            .map(|number| server_of(number, servers))
            .filter(rightly)
            .map(|server| {
                let mut keys = server.published(until);
                notary.key().sign_json(&mut keys, notary.name());
                serde_json::to_value(&keys).unwrap()
            })
            .collect();
        ok(&json!({ "server_keys": keys }))
    });
}

/// The peer lets alice in, and gives the room to her server.
fn let_in(scene: &HostileScene, hosted: &Hosted) {
    let honest = hosted.answer();
    hosted.give_altered(&scene.evil, move |asked, _| {
        let mut answer = honest.clone();
        answer["event"] = asked.body.clone();
        answer
    });
    let template = hosted.template(&format!("@alice:{OURS}"), &json!({ "membership": "join" }));
    scene.evil.on("make_join", move |_| ok(&template));
}

/// Who is joined in the room as alice sees it.
fn joined(scene: &HostileScene, hosted: &Hosted) -> Map<String, Value> {
    let path = format!("/_matrix/client/v3/rooms/{}/joined_members", encode(&hosted.room));
    let members = scene.get(&scene.alice, &path);
    members.body["joined"].as_object().unwrap().clone()
}

/// The largest message to an object of our server, and which it was.
fn largest_message(transcript: &str) -> (usize, String) {
    let message = |line: &str| {
        let (question, _) = line.split_once(" → ")?;
        let mut words = question.splitn(5, ' ').skip(1);
        let (server, object, name) = (words.next()?, words.next()?, words.next()?);
        let is_object = server == OURS && object.contains('/');
        is_object.then(|| (words.next().unwrap_or_default().len(), format!("{name} to {object}")))
    };
    transcript.lines().filter_map(message).max().unwrap_or_default()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it really takes is the question")]
fn a_large_room_is_joined() {
    let scene = HostileScene::bare("11");
    let hosted = scene.hosted(&scene.evil);
    fill(&scene, &hosted, (MEMBERS, SERVERS));
    vouch(&scene, SERVERS, |_| false);
    let_in(&scene, &hosted);
    scene.simulation.record();
    let before = scene.server.world().units();
    let (began, at) = (Instant::now(), scene.simulation.now());
    let answer = scene.join(&hosted, &scene.evil);
    let (took, simulated) = (began.elapsed(), scene.simulation.now() - at);
    assert_eq!(answer.status, 200, "{answer:?}");
    let (largest, which) = largest_message(&scene.simulation.transcript());
    println!(
        "{MEMBERS} members of {SERVERS} servers: joined in {took:?}, {simulated} ms of the simulation"
    );
    println!("the largest message to an object has {largest} bytes: {which}");
    assert!((1..=LARGEST).contains(&largest), "{which} has {largest} bytes");
    let (units, servers) = (scene.server.world().units(), SERVERS as u64);
    let (reads, writes) = (units.kv_reads - before.kv_reads, units.kv_writes - before.kv_writes);
    assert!(reads <= servers + 10, "{reads} keys were read from KV for {servers} servers");
    assert!(writes <= servers + 10, "{writes} keys were written to KV for {servers} servers");
    let joined = joined(&scene, &hosted);
    assert_eq!(joined.len(), MEMBERS + 2);
    let user = |number: usize| server_of(number, SERVERS).user(&format!("u{number}"));
    assert!((0..MEMBERS).all(|number| joined.contains_key(&user(number))));
    scene.hears(&hosted, &scene.evil);
}

/// How many parts of answers our server keeps for the room.
fn kept(scene: &HostileScene, hosted: &Hosted) -> i64 {
    let tables = scene.tables(&hosted.room).unwrap();
    tables.row("SELECT count(*) FROM kept", &[], |row| row.int(0)).unwrap().unwrap()
}

#[test]
fn what_a_worker_cannot_hold_waits_in_the_room() {
    let scene = HostileScene::bare("11");
    let hosted = scene.hosted(&scene.evil);
    fill_with(&scene, &hosted, (400, 20), &"x".repeat(20_000));
    vouch(&scene, 20, |_| false);
    let_in(&scene, &hosted);
    scene.simulation.record();
    assert_eq!(scene.join(&hosted, &scene.evil).status, 200);
    let transcript = scene.simulation.transcript();
    assert!(
        transcript.contains(" Keep ") && transcript.contains(" Kept "),
        "it fits into a Worker"
    );
    assert!(largest_message(&transcript).0 <= LARGEST);
    assert_eq!(joined(&scene, &hosted).len(), 402);
    assert_eq!(kept(&scene, &hosted), 0);
}

#[test]
fn nothing_waits_any_more_after_a_join_that_failed() {
    let scene = HostileScene::bare("11");
    let hosted = scene.hosted(&scene.evil);
    fill_with(&scene, &hosted, (400, 20), &"x".repeat(20_000));
    vouch(&scene, 20, |_| false);
    let_in(&scene, &hosted);
    let honest = hosted.answer();
    hosted.give_altered(&scene.evil, move |asked, _| {
        let mut answer = honest.clone();
        answer["event"] = asked.body.clone();
        for event in answer["state"].as_array_mut().unwrap() {
            if event["type"] == "m.room.power_levels" {
                event["signatures"] = json!({});
            }
        }
        answer
    });
    assert_eq!(scene.join(&hosted, &scene.evil).status, 502);
    assert_eq!(kept(&scene, &hosted), 0);
}

/// How long a join takes (ms) of a room of so many servers, with these out of reach and unknown to the notary.
fn time_to_join(servers: usize, is_dead: fn(usize) -> bool) -> u64 {
    let scene = HostileScene::bare("11");
    let hosted = scene.hosted(&scene.evil);
    fill(&scene, &hosted, (servers, servers));
    vouch(&scene, servers, is_dead);
    let_in(&scene, &hosted);
    let dead = || (0..servers).filter(|number| is_dead(*number));
    for number in dead() {
        let name = format!("s{number}.test:8448");
        Peer::new(&scene.simulation, &name, 1);
        scene.simulation.partition(OURS, &name, u64::MAX);
    }
    let at = scene.simulation.now();
    let answer = scene.join(&hosted, &scene.evil);
    let took = scene.simulation.now() - at;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(joined(&scene, &hosted).len(), servers + 2 - dead().count());
    scene.hears(&hosted, &scene.evil);
    took
}

#[test]
fn a_join_waits_for_nobody_whom_the_notaries_do_not_know_either() {
    let alive = time_to_join(ORIGINS, |_| false);
    let dead = time_to_join(ORIGINS, |number| number % 10 == 0);
    println!("{ORIGINS} servers: {alive} ms of the simulation, {dead} ms with a tenth dead");
    assert!(10 * dead <= 13 * alive, "{dead} ms with a tenth dead, {alive} ms with none");
}

#[test]
fn history_is_read_though_many_members_cannot_be_verified() {
    let scene = HostileScene::bare("11");
    let hosted = scene.hosted(&scene.evil);
    fill(&scene, &hosted, (1200, 1200));
    let content = json!({ "body": "before" });
    hosted.say(&scene.evil, &hosted.creator, ("m.room.message", None), &content);
    hosted.say(&scene.evil, &hosted.creator, ("m.room.message", None), &content);
    vouch(&scene, 1200, |number| number % 10 == 0);
    let_in(&scene, &hosted);
    assert_eq!(scene.join(&hosted, &scene.evil).status, 200);
    tell_states(&scene, &hosted);
    let last: Vec<Value> = hosted.events.borrow().iter().rev().take(2).cloned().collect();
    scene.evil.on("backfill", move |_| ok(&json!({ "origin": "evil.test:8448", "pdus": last })));
    assert_eq!(bodies(&scene.timeline(&hosted.room)), ["before", "before"]);
    assert_eq!(scene.evil.times_asked("state"), 0, "what cannot be verified is asked for again");
}

#[test]
fn who_could_not_be_verified_is_asked_for_again() {
    let scene = HostileScene::bare("11");
    let hosted = scene.hosted(&scene.evil);
    fill(&scene, &hosted, (3, 3));
    vouch(&scene, 3, |number| number == 1);
    let_in(&scene, &hosted);
    assert_eq!(scene.join(&hosted, &scene.evil).status, 200);
    assert_eq!(joined(&scene, &hosted).len(), 4, "one of five is left out");
    let told = hosted.clone();
    scene.evil.on("event", move |asked| {
        let events = told.events.borrow();
        let found = events.iter().filter(|pdu| told.id(pdu) == asked.arguments[0]);
        ok(&json!({ "pdus": found.collect::<Vec<_>>() }))
    });
    vouch(&scene, 3, |_| false);
    scene.simulation.settle(3_600_000);
    assert_eq!(joined(&scene, &hosted).len(), 5);
}

#[test]
fn a_few_dead_servers_of_a_small_room_cost_a_join_no_more_than_seconds() {
    for (servers, is_dead) in [(3, (|_| true) as fn(usize) -> bool), (12, |number| number < 5)] {
        let took = time_to_join(servers, is_dead);
        assert!(took <= 4000, "{servers} servers: {took} ms");
    }
}
