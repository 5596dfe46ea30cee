//! What is the state of a room whose branches disagree?
//! ([state resolution v2](https://spec.matrix.org/v1.19/rooms/v2/#state-resolution),
//! [v2.1](https://spec.matrix.org/v1.19/rooms/v12/#state-resolution))
//!
//! The caller loads what [`resolve`] looks at: the events of the full conflicted set, what they
//! cite, the chains of power levels behind them, and of the unconflicted state what the rules
//! ask for (create, power levels, join rules, members concerned). What is missing is an error,
//! never an absence. State sets may be partial: equal parts that nothing asks for can be left out
//! of all of them.
//!
//! Rejected events have their place in the orderings, but never become state and allow nothing. The specification lets
//! those take part that only the state before them rejected; Synapse does not, and rooms would part.

mod ordering;
mod sets;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::{EventId, OwnedEventId};

use self::ordering::{mainline_order, power_order};
pub use self::sets::{Split, auth_difference, conflicted_subgraph, split};
use crate::{
    event::{Pdu, create_event_id},
    event_auth::check_state,
    room_version::RoomVersion,
};

/// A room's state: event IDs by type and state key.
pub type StateMap = BTreeMap<(String, String), OwnedEventId>;

/// What a resolution looks at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The room's version.
    pub version: &'a RoomVersion,
    /// The states to resolve.
    pub sets: &'a [StateMap],
    /// The events that are needed, at least.
    pub events: &'a BTreeMap<OwnedEventId, Rc<Pdu>>,
    /// The events that are in some but not all of the sets' auth chains.
    pub auth_difference: &'a BTreeSet<OwnedEventId>,
    /// The events between conflicted ones in the auth graph, for versions that consider them.
    pub conflicted_subgraph: &'a BTreeSet<OwnedEventId>,
}

/// Why a state cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An event that is needed was not given.
    #[error("the event {0} is needed and was not given")]
    Missing(OwnedEventId),
}

/// The state that the sets resolve to.
pub fn resolve(inputs: &Inputs<'_>) -> Result<StateMap, Fault> {
    let Split { unconflicted, conflicted } = split(inputs.sets);
    if conflicted.is_empty() {
        return Ok(owned(&unconflicted));
    }
    let known = Known { version: inputs.version, events: inputs.events };
    let v2_1 = inputs.version.resolves_conflicted_subgraph();
    let subgraph = inputs.conflicted_subgraph.iter().filter(|_| v2_1);
    let mut full = BTreeMap::new();
    for id in conflicted.into_iter().chain(inputs.auth_difference).chain(subgraph) {
        let event = known.event(id)?;
        if event.is_state() {
            full.insert(&*event.event_id, event);
        }
    }

    let power = power_order(&known, &full)?;
    let mut resolved = if v2_1 { BTreeMap::new() } else { unconflicted.clone() };
    apply(&known, &power, &mut resolved)?;

    let sorted: BTreeSet<&EventId> = power.iter().map(|event| &*event.event_id).collect();
    let rest = full.values().copied().filter(|event| !sorted.contains(&*event.event_id));
    let levels = resolved.get(&("m.room.power_levels", "")).copied();
    let rest = mainline_order(&known, levels, rest.collect())?;
    apply(&known, &rest, &mut resolved)?;

    resolved.extend(unconflicted);
    Ok(owned(&resolved))
}

/// Resolves sets whose whole auth chains are at hand.
pub fn resolve_known(
    version: &RoomVersion,
    sets: &[StateMap],
    events: &BTreeMap<OwnedEventId, Rc<Pdu>>,
) -> Result<StateMap, Fault> {
    let auth_of = |id: &EventId| events.get(id).map(|event| event.auth_events.as_slice());
    let auth_difference = auth_difference(sets, auth_of)?;
    let conflicted_subgraph = if version.resolves_conflicted_subgraph() {
        conflicted_subgraph(&split(sets).conflicted, auth_of)?
    } else {
        BTreeSet::new()
    };
    resolve(&Inputs {
        version,
        sets,
        events,
        auth_difference: &auth_difference,
        conflicted_subgraph: &conflicted_subgraph,
    })
}

/// A state that borrows from the inputs.
type State<'a> = BTreeMap<(&'a str, &'a str), &'a EventId>;

/// The events at hand.
struct Known<'a> {
    version: &'a RoomVersion,
    events: &'a BTreeMap<OwnedEventId, Rc<Pdu>>,
}

impl<'a> Known<'a> {
    /// An event, rejected or not.
    fn event(&self, id: &EventId) -> Result<&'a Pdu, Fault> {
        let event = self.events.get(id).ok_or_else(|| Fault::Missing(id.to_owned()))?;
        Ok(event)
    }

    /// An event, or none if it was rejected.
    fn accepted(&self, id: &EventId) -> Result<Option<&'a Pdu>, Fault> {
        Ok(Some(self.event(id)?).filter(|event| !event.rejected))
    }

    /// The event of this type that an event cites, with an empty state key.
    fn cited(&self, event: &Pdu, kind: &str) -> Result<Option<&'a Pdu>, Fault> {
        for id in &event.auth_events {
            let cited = self.event(id)?;
            if cited.is(kind, "") {
                return Ok(Some(cited));
            }
        }
        Ok(None)
    }

    /// The create event that holds for an event.
    fn create(&self, event: &Pdu) -> Result<Option<&'a Pdu>, Fault> {
        if !self.version.room_id_is_create_hash() {
            return self.cited(event, "m.room.create");
        }
        match create_event_id(&event.room_id) {
            Some(id) => Ok(Some(self.event(&id)?).filter(|event| event.is("m.room.create", ""))),
            None => Ok(None),
        }
    }
}

/// The iterative auth checks: lets each event into the state that is allowed by what has become
/// of the state so far, or where that says nothing, by what the event itself cites.
fn apply<'a>(known: &Known<'a>, events: &[&'a Pdu], state: &mut State<'a>) -> Result<(), Fault> {
    for event in events.iter().filter(|event| !event.rejected) {
        let mut cited = State::new();
        for id in &event.auth_events {
            let auth_event = known.accepted(id)?;
            cited.extend(auth_event.and_then(|event| Some((event.key()?, &*event.event_id))));
        }
        if known.version.room_id_is_create_hash()
            && let Some(create) = known.create(event)?.filter(|create| !create.rejected)
        {
            cited.insert(("m.room.create", ""), &create.event_id);
        }
        if is_allowed(known, event, state, &cited)?
            && let Some(key) = event.key()
        {
            state.insert(key, &event.event_id);
        }
    }
    Ok(())
}

fn is_allowed<'a>(
    known: &Known<'a>,
    event: &Pdu,
    state: &State<'a>,
    cited: &State<'a>,
) -> Result<bool, Fault> {
    let missing = RefCell::new(None);
    let verdict = check_state(known.version, event, |kind, key| {
        let in_state = match known.version.room_id_is_create_hash() && kind == "m.room.create" {
            true => None,
            false => state.get(&(kind, key)),
        };
        let candidates = in_state.into_iter().chain(cited.get(&(kind, key)));
        let mut accepted = candidates.filter_map(|id| known.accepted(id).transpose());
        accepted.next()?.map_err(|fault| missing.replace(Some(fault))).ok()
    });
    match missing.into_inner() {
        Some(fault) => Err(fault),
        None => Ok(verdict.is_ok()),
    }
}

fn owned(state: &State<'_>) -> StateMap {
    let entry = |(&(kind, key), &id): (&(&str, &str), &&EventId)| {
        ((kind.to_owned(), key.to_owned()), id.to_owned())
    };
    state.iter().map(entry).collect()
}
