//! Does an application service get each event of its server's rooms once and in order, though it fails and sleeps?

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tombolo::{
    flows::appservices::registrations,
    objects::room::{STEP, Verdict},
};
use tombolo_platform::simulated::Simulation;
use tombolo_support::{Bridge, Dice, Manner};

use crate::{
    copy::{Copy, Held},
    network::Network,
    scenario::Run,
};

/// In one of so many seeds the first server has a bridge.
const SELDOM: u64 = 4;

/// A bridge that all rooms of the first server concern.
pub fn begin(simulation: &Simulation, network: &Network, seed: u64) -> Option<Bridge> {
    if seed % SELDOM != 1 {
        return None;
    }
    let bridge = Bridge::new(simulation, "bridge.test");
    let rooms = json!({ "rooms": [{ "regex": "!.*", "exclusive": false }] });
    let more = json!({ "namespaces": rooms, "receive_ephemeral": true });
    let text = bridge.registration("bridge", "bridge_", &more).to_string();
    let world = network.servers[0].world();
    simulation.run(registrations::register(&world, &text)).unwrap();
    Some(bridge)
}

/// The bridge fails, works slowly and comes back.
pub async fn live(run: &Run) {
    let Some(bridge) = &run.bridge else { return };
    let dice = Dice::new(run.seed, 77);
    for _ in 0..12 {
        bridge.is(*dice.one(&[
            Manner::Takes,
            Manner::Answers(502),
            Manner::Works(500),
            Manner::Works(70_000),
        ]));
        let time = Duration::from_millis(dice.below(4_000) as u64);
        run.network.servers[0].world().sleep(time).await;
    }
    bridge.is(Manner::Takes);
}

/// What is wrong with what the bridge got of a room.
pub fn of_room(run: &Run, room: usize) -> Vec<String> {
    let Some(bridge) = &run.bridge else { return Vec::new() };
    let id = run.story.room(room).id;
    let Some(copy) = run.network.room(0, &id).and_then(Copy::read) else { return Vec::new() };
    let event_id = |event: &Value| event["event_id"].as_str().map(str::to_owned);
    let events = bridge.events();
    let of_room = events.iter().filter(|event| event["room_id"] == json!(id));
    let got: Vec<String> = of_room.filter_map(event_id).collect();
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    let twice = got.iter().filter(|event| !seen.insert(*event));
    findings.extend(twice.map(|event| format!("bridge: {event} of room {room} came twice")));
    let placed = |held: &&Held| {
        held.verdict == Verdict::Accepted && held.pos.is_some_and(|pos| pos % STEP == 0)
    };
    let mut due: Vec<&Held> = copy.events.values().filter(placed).collect();
    due.sort_by_key(|held| held.pos);
    let due: Vec<&String> = due.into_iter().map(|held| &held.id).collect();
    let lost = due.iter().filter(|event| !seen.contains(*event));
    findings.extend(lost.map(|event| format!("bridge: {event} of room {room} never came")));
    let is_due: BTreeSet<&String> = due.iter().copied().collect();
    let in_order: Vec<&String> = got.iter().filter(|event| is_due.contains(event)).collect();
    if findings.is_empty() && in_order != due {
        findings.push(format!("bridge: the events of room {room} came out of order"));
    }
    findings
}
