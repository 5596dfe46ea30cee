//! Do the rules of the room allow this event?
//! ([authorization rules](https://spec.matrix.org/v1.19/rooms/v12/#authorization-rules),
//! [checks on receipt of a PDU](https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu), steps 4 to 6)
//!
//! The checks are ruma's. Where servers are known to read the rules differently, `reading`
//! decides, once, which reading is ours.

mod levels;
pub mod owned;
mod reading;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ruma::{
    EventId, OwnedEventId, UserId,
    events::StateEventType,
    state_res::{self, check_state_dependent_auth_rules, check_state_independent_auth_rules},
};
use serde_json::value::RawValue;

use crate::{
    event::{Pdu, create_event_id},
    room_version::RoomVersion,
};

/// Why the rules refuse an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// An event it cites was not given: once it is, the verdict may be another.
    #[error("the auth event {0} is unknown")]
    UnknownAuthEvent(OwnedEventId),
    /// A rule forbids it.
    #[error("{0}")]
    Rule(String),
}

/// The type and state key of each event that decides about an event, as its `auth_events` must
/// name them. Fails for member events without form.
pub fn auth_types(
    version: &RoomVersion,
    event_type: &str,
    sender: &UserId,
    state_key: Option<&str>,
    content: &RawValue,
) -> Result<Vec<(String, String)>, String> {
    let rules = &version.rules.authorization;
    let types =
        state_res::auth_types_for_event(&event_type.into(), sender, state_key, content, rules)?;
    Ok(types.into_iter().map(|(kind, key)| (kind.to_string(), key)).collect())
}

/// Step 4: checks the event against the events it cites, and those citations themselves.
///
/// `auth_events` holds the cited events, and in rooms named by their create event's hash that
/// event too.
pub fn check_auth_events<E: AsRef<Pdu>>(
    version: &RoomVersion,
    pdu: &Pdu,
    auth_events: &[E],
) -> Result<(), Rejection> {
    check_citations(version, pdu, auth_events)?;
    let state: BTreeMap<(&str, &str), &Pdu> = auth_events
        .iter()
        .map(AsRef::as_ref)
        .filter_map(|event: &Pdu| Some((event.key()?, event)))
        .collect();
    check_state(version, pdu, |kind, key| state.get(&(kind, key)).copied())
}

/// Step 5 with the state before the event, step 6 with the current state of the room.
///
/// `state` is asked once for each of the few events that decide.
pub fn check_state<E: AsRef<Pdu>>(
    version: &RoomVersion,
    pdu: &Pdu,
    state: impl Fn(&str, &str) -> Option<E>,
) -> Result<(), Rejection> {
    let rules = &version.rules.authorization;
    let (kind, content) = (&pdu.event_type, &pdu.content);
    let mut keys = state_res::auth_types_for_event(
        kind,
        &pdu.sender,
        pdu.state_key.as_deref(),
        content,
        rules,
    )
    .map_err(Rejection::Rule)?;
    if version.room_id_is_create_hash() {
        keys.push((StateEventType::RoomCreate, String::new()));
    }
    let loaded: Vec<_> = keys
        .into_iter()
        .filter_map(|(kind, key)| {
            let found = state(&kind.to_string(), &key);
            Some((reading::of_state(version, pdu, &kind, found)?, kind, key))
        })
        .collect();
    let fetch = |kind: &StateEventType, key: &str| {
        let entry = loaded.iter().find(|(_, its_kind, its_key)| its_kind == kind && its_key == key);
        entry.map(|(event, ..)| event.as_ref())
    };
    check_read(version, pdu, fetch).map_err(Rejection::Rule)
}

/// The rules over events as they are read.
fn check_read<'a>(
    version: &RoomVersion,
    pdu: &Pdu,
    fetch: impl Fn(&StateEventType, &str) -> Option<&'a Pdu>,
) -> Result<(), String> {
    let rules = &version.rules.authorization;
    reading::check_nulls(version, pdu)?;
    let mut incoming = reading::of_incoming(version, pdu);
    let create = fetch(&StateEventType::RoomCreate, "");
    let levels = fetch(&StateEventType::RoomPowerLevels, "");
    if let Some(create) = create.filter(|_| owned::is_owned(version, pdu)) {
        owned::check(version, (create, levels), &incoming)?;
        // What is left to be checked is what holds for state of the sender.
        incoming.to_mut().state_key = Some(pdu.sender.to_string());
    }
    match (create, levels.filter(|_| pdu.kind() == "m.room.power_levels")) {
        (Some(create), Some(levels)) => {
            let unchanged = incoming.with_content(levels.content.clone());
            check_state_dependent_auth_rules(rules, &unchanged, fetch)?;
            levels::check_change(version, create, levels, &incoming)
        }
        (Some(create), None) if !reading::federates_with_target(pdu, create) => {
            Err("the room does not federate with the user's server".to_owned())
        }
        _ => check_state_dependent_auth_rules(rules, &*incoming, fetch),
    }
}

/// The rules that do not depend on state: what is cited exists, belongs to the room, was
/// accepted, and is what the selection of auth events asks for.
pub fn check_citations<E: AsRef<Pdu>>(
    version: &RoomVersion,
    pdu: &Pdu,
    auth_events: &[E],
) -> Result<(), Rejection> {
    let given: BTreeMap<&EventId, &Pdu> = auth_events
        .iter()
        .map(AsRef::as_ref)
        .map(|event: &Pdu| (event.event_id.as_ref(), event))
        .collect();
    if pdu.kind() == "m.room.create" {
        check_create(version, pdu)?;
    } else {
        if pdu.prev_events.is_empty() {
            return Err(Rejection::Rule("only a create event has no previous events".to_owned()));
        }
        let implied =
            version.room_id_is_create_hash().then(|| create_event_id(&pdu.room_id)).flatten();
        let unknown = pdu.auth_events.iter().chain(&implied).find(|id| !given.contains_key(&***id));
        if let Some(unknown) = unknown {
            return Err(Rejection::UnknownAuthEvent(unknown.clone()));
        }
    }
    let rules = &version.rules.authorization;
    let pdu = reading::of_incoming(version, pdu);
    check_state_independent_auth_rules(rules, &*pdu, |id| given.get(id).copied())
        .map_err(Rejection::Rule)
}

/// A create event states the version by whose rules it is judged.
fn check_create(version: &RoomVersion, pdu: &Pdu) -> Result<(), Rejection> {
    if pdu.content_str("room_version").as_deref() != Some(version.id.as_str()) {
        return Err(Rejection::Rule("the create event is of another room version".to_owned()));
    }
    Ok(())
}
