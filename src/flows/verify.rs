//! Are these events what they say, signed by whom they must be?
//! ([checks on receipt](https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu), steps 1 to 3)
//!
//! Every way in passes here: transactions, joins, invites, and every event in an answer of another server.

use std::collections::BTreeMap;

use ruma::{OwnedEventId, OwnedServerName, ServerName};
use serde_json::value::RawValue;
use tombolo_platform::World;
use tombolo_protocol::{
    admission::{self, Checked, Unverified},
    room_version::RoomVersion,
    server_keys::KeyRing,
};

use crate::remote::keys;

/// Why an event goes no further. The ID is known once the event can be read.
#[derive(Clone, Debug)]
pub struct Dropped {
    pub event_id: Option<OwnedEventId>,
    pub reason: String,
}

/// Verifies events, in order; all the keys they need are fetched together, from their servers or from the one that gave
/// us the events.
pub async fn verify<'a>(
    world: &World,
    events: impl IntoIterator<Item = (&'static RoomVersion, &'a RawValue)>,
    giver: &ServerName,
) -> Vec<Result<Checked, Dropped>> {
    let parsed: Vec<Result<Unverified, Dropped>> = events
        .into_iter()
        .map(|(version, raw)| {
            admission::parse(raw.get().as_bytes(), version)
                .map_err(|drop| Dropped { event_id: None, reason: drop.to_string() })
        })
        .collect();
    let ring = keys::ring(world, &needed(parsed.iter().flatten()), giver).await;
    parsed.into_iter().map(|event| event.and_then(|event| check(event, &ring))).collect()
}

/// The events of an answer that hold, of one room version; the others are left out.
pub async fn verified(
    world: &World,
    version: &'static RoomVersion,
    events: &[Box<RawValue>],
    giver: &ServerName,
) -> Vec<Checked> {
    let events = events.iter().map(|event| (version, &**event));
    let verdicts = verify(world, events, giver).await;
    verdicts
        .into_iter()
        .filter_map(|verdict| {
            verdict
                .inspect_err(|dropped| {
                    tracing::info!(reason = dropped.reason, "an event of an answer was dropped")
                })
                .ok()
        })
        .collect()
}

fn check(event: Unverified, ring: &KeyRing) -> Result<Checked, Dropped> {
    let event_id = event.event_id.clone();
    let dropped = |reason: String| Dropped { event_id: Some(event_id.clone()), reason };
    let verified = event.verify(ring).map_err(|drop| dropped(drop.to_string()))?;
    verified.checked().map_err(|fault| dropped(fault.to_string()))
}

/// Which keys of which servers, and of what time.
fn needed<'a>(
    events: impl Iterator<Item = &'a Unverified>,
) -> BTreeMap<OwnedServerName, Vec<(String, i64)>> {
    let mut needed: BTreeMap<OwnedServerName, BTreeMap<String, i64>> = BTreeMap::new();
    for event in events {
        let at = event.keys_valid_at().unwrap_or(i64::MIN);
        for (server, key_ids) in event.required_keys() {
            let wanted = needed.entry(server).or_default();
            for key_id in key_ids {
                let latest = wanted.entry(key_id).or_insert(at);
                *latest = at.max(*latest);
            }
        }
    }
    needed.into_iter().map(|(server, wanted)| (server, wanted.into_iter().collect())).collect()
}
