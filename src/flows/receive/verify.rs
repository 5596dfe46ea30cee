//! Are these events well-formed and signed by the right servers?
//! ([checks on receipt](https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu), steps 1 to 3)
//!
//! Every event of another server passes here: in transactions, joins, invites, and all other answers.

use std::collections::BTreeMap;

use ruma::{OwnedEventId, OwnedServerName, ServerName};
use serde_json::value::RawValue;
use tombolo_platform::World;
use tombolo_protocol::{
    admission::{self, Checked, Unverified},
    canonical_json::{self, CanonicalJsonObject, CanonicalJsonValue},
    event::MAX_BYTES_SENT,
    json::parse_object,
    room_version::RoomVersion,
    server_keys::KeyRing,
};

use crate::remote::keys;

/// Why an event is dropped. Its ID is known if it could be parsed.
#[derive(Clone, Debug)]
pub struct Dropped {
    pub event_id: Option<OwnedEventId>,
    pub reason: String,
}

impl From<admission::Drop> for Dropped {
    fn from(drop: admission::Drop) -> Self {
        Self { event_id: None, reason: drop.to_string() }
    }
}

/// Verifies events and keeps their order; all the keys that they need are fetched together.
pub async fn verify<'a>(
    world: &World,
    events: impl IntoIterator<Item = (&'static RoomVersion, &'a RawValue)>,
) -> Vec<Result<Checked, Dropped>> {
    let parse = |(version, raw): (_, &RawValue)| admission::parse(raw.get().as_bytes(), version);
    verify_parsed(world, events.into_iter().map(|event| Ok(parse(event)?)).collect()).await
}

/// Verifies the events of backfilled history, which may cite more events than new ones; leaves out those that fail.
pub async fn verified_history(
    world: &World,
    version: &'static RoomVersion,
    events: &[Box<RawValue>],
) -> Vec<Checked> {
    let parse = |raw: &RawValue| admission::parse_history(raw.get().as_bytes(), version);
    let parsed = events.iter().map(|event| Ok(parse(event)?)).collect();
    verify_parsed(world, parsed).await.into_iter().filter_map(logged).collect()
}

async fn verify_parsed(
    world: &World,
    parsed: Vec<Result<Unverified, Dropped>>,
) -> Vec<Result<Checked, Dropped>> {
    let mut needed = Needed::default();
    parsed.iter().flatten().for_each(|event| needed.add(event));
    let ring = keys::ring(world, &needed.keys()).await;
    parsed.into_iter().map(|event| event.and_then(|event| check(event, &ring))).collect()
}

/// Verifies the events of an answer, all of one room version; leaves out those that fail.
pub async fn verified(
    world: &World,
    version: &'static RoomVersion,
    events: &[Box<RawValue>],
) -> Vec<Checked> {
    let events = events.iter().map(|event| (version, &**event));
    let verdicts = verify(world, events).await;
    verdicts.into_iter().filter_map(logged).collect()
}

/// Adds to our event the signature that another server gave; the rest of the event stays ours.
///
/// # Errors
/// The server gave another event, or did not sign ours.
pub async fn countersigned(
    world: &World,
    version: &'static RoomVersion,
    ours: &Checked,
    (server, theirs): (&ServerName, &[u8]),
) -> Result<Checked, Dropped> {
    let parsed = admission::parse(theirs, version)?.signed_by(server);
    let dropped = |reason: String| Dropped { event_id: Some(ours.event_id.clone()), reason };
    let another = || dropped("the server gave another event".to_owned());
    let mut verdicts = verify_parsed(world, vec![Ok(parsed)]).await;
    let theirs = verdicts.pop().ok_or_else(another)??;
    if theirs.event_id != ours.event_id {
        return Err(another());
    }
    let read = |event: &Checked| {
        parse_object(event.json.get().as_bytes()).map_err(|fault| dropped(fault.to_string()))
    };
    let (mut object, theirs) = (read(ours)?, read(&theirs)?);
    let signatures = |object: &CanonicalJsonObject| {
        object
            .get("signatures")
            .and_then(CanonicalJsonValue::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let mut all = signatures(&object);
    all.extend(signatures(&theirs).remove_entry(server.as_str()));
    object.insert("signatures".to_owned(), CanonicalJsonValue::Object(all));
    let text = canonical_json::to_string(&object);
    if text.len() > MAX_BYTES_SENT {
        return Err(dropped("with this signature the event is too large".to_owned()));
    }
    let json = RawValue::from_string(text).map_err(|error| dropped(error.to_string()))?;
    Ok(Checked { event_id: ours.event_id.clone(), json })
}

/// The event, if it could be verified. A failure is only logged: it is no fault of ours, and the other events of the
/// answer may be valid.
pub fn logged<T>(verdict: Result<T, impl Into<Dropped>>) -> Option<T> {
    match verdict {
        Ok(event) => Some(event),
        Err(dropped) => {
            let Dropped { reason, .. } = dropped.into();
            tracing::info!(reason, "an event of an answer was dropped");
            None
        }
    }
}

/// Checks the signatures of an event, and its content hash.
pub fn check(event: Unverified, ring: &KeyRing) -> Result<Checked, Dropped> {
    let event_id = event.event_id.clone();
    let dropped = |reason: String| Dropped { event_id: Some(event_id), reason };
    let checked = event.verify(ring).and_then(|verified| Ok(verified.checked()?));
    checked.map_err(|drop| dropped(drop.to_string()))
}

/// The keys that some events need: by server and key ID, the latest time at which the key must have been valid.
#[derive(Default)]
pub struct Needed(BTreeMap<OwnedServerName, BTreeMap<String, i64>>);

impl Needed {
    /// Adds the keys that an event needs.
    pub fn add(&mut self, event: &Unverified) {
        let at = event.keys_valid_at().unwrap_or(i64::MIN);
        for (server, key_ids) in event.required_keys() {
            let wanted = self.0.entry(server).or_default();
            for key_id in key_ids {
                let latest = wanted.entry(key_id).or_insert(at);
                *latest = at.max(*latest);
            }
        }
    }

    /// By server: the ID of a key, and the latest time (ms) at which it must have been valid.
    pub fn keys(self) -> BTreeMap<OwnedServerName, Vec<(String, i64)>> {
        self.0.into_iter().map(|(server, wanted)| (server, wanted.into_iter().collect())).collect()
    }
}
