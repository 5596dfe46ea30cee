//! Do the graphs of `tests/vectors/state_resolution` resolve as they say?

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::OwnedEventId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{StateMap, resolve_known};
use crate::{event::Pdu, scene::version};

#[derive(Deserialize)]
struct Vector {
    version: String,
    #[serde(default)]
    sets: Vec<Vec<OwnedEventId>>,
    expected: BTreeSet<OwnedEventId>,
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    id: OwnedEventId,
    room: Option<String>,
    sender: String,
    #[serde(rename = "type")]
    kind: String,
    state_key: Option<String>,
    content: Value,
    ts: i64,
    prev: Vec<OwnedEventId>,
    auth: Vec<OwnedEventId>,
}

impl Event {
    fn pdu(&self, version_id: &str) -> Pdu {
        let mut json = json!({
            "sender": self.sender, "type": self.kind, "state_key": self.state_key,
            "content": self.content, "origin_server_ts": self.ts, "depth": 1,
            "prev_events": self.prev, "auth_events": self.auth,
        });
        if let Some(room) = &self.room {
            json["room_id"] = room.as_str().into();
        }
        Pdu::from_stored(self.id.clone(), &json.to_string(), version(version_id), false).unwrap()
    }
}

#[track_caller]
fn resolves_as_expected(text: &str) {
    let vector: Vector = serde_json::from_str(text).unwrap();
    let version = version(&vector.version);
    let events: BTreeMap<OwnedEventId, Rc<Pdu>> = vector
        .events
        .iter()
        .map(|event| (event.id.clone(), Rc::new(event.pdu(&vector.version))))
        .collect();
    let mut sets: Vec<StateMap> =
        vector.sets.iter().map(|ids| ids.iter().map(|id| entry(&events[id])).collect()).collect();
    if sets.is_empty() {
        sets = states_after_each_tip(&vector, &events);
    }
    let resolved = resolve_known(version, &sets, &events).unwrap();
    assert_eq!(resolved.into_values().collect::<BTreeSet<_>>(), vector.expected);
}

fn entry(event: &Pdu) -> ((String, String), OwnedEventId) {
    let (kind, key) = event.key().unwrap();
    ((kind.to_owned(), key.to_owned()), event.event_id.clone())
}

/// Follows the graph from its root, resolving wherever branches meet.
fn states_after_each_tip(
    vector: &Vector,
    events: &BTreeMap<OwnedEventId, Rc<Pdu>>,
) -> Vec<StateMap> {
    let version = version(&vector.version);
    let mut after: BTreeMap<&OwnedEventId, StateMap> = BTreeMap::new();
    for event in &vector.events {
        let before: Vec<StateMap> = event.prev.iter().map(|id| after[id].clone()).collect();
        let mut state = resolve_known(version, &before, events).unwrap();
        state.extend([entry(&events[&event.id])]);
        after.insert(&event.id, state);
    }
    let inner: BTreeSet<&OwnedEventId> =
        vector.events.iter().flat_map(|event| &event.prev).collect();
    after.into_iter().filter(|(id, _)| !inner.contains(id)).map(|(_, state)| state).collect()
}

macro_rules! vectors {
    ($($name:ident: $file:literal,)*) => {$(
        #[test]
        fn $name() {
            resolves_as_expected(include_str!(concat!(
                "../../tests/vectors/state_resolution/", $file, ".json"
            )));
        }
    )*};
}

vectors! {
    problem_a_loses_the_join_rules_up_to_version_11: "msc4297-problem-a-v11",
    problem_a_keeps_the_newer_join_rules_in_version_12: "msc4297-problem-a-v12",
    problem_b_resets_power_levels_up_to_version_11: "msc4297-problem-b-v11",
    problem_b_keeps_power_levels_in_version_12: "msc4297-problem-b-v12",
    a_ban_wins_over_the_banned_users_power_levels: "ban-vs-power-levels",
    concurrent_joins_both_hold: "concurrent-joins",
    stricter_join_rules_win_over_a_join: "join-rules-vs-join",
    the_clock_breaks_ties_between_equals: "origin-server-ts-tiebreak",
    an_admins_power_levels_win_over_a_moderators: "power-levels-admin-vs-mod",
    a_ban_wins_over_the_banned_users_topic: "topic-vs-ban",
    a_demotion_wins_over_the_demoted_users_topic: "topic-vs-power-levels",
}
