//! Where do the states differ, and what else does that put in question?
//! ([definitions](https://spec.matrix.org/v1.19/rooms/v2/#definitions),
//! [conflicted state subgraph](https://spec.matrix.org/v1.19/rooms/v12/#state-resolution))

use std::collections::{BTreeMap, BTreeSet};

use ruma::{EventId, OwnedEventId};

use super::{Fault, StateMap};

/// State sets, divided into what all agree on and the rest.
#[derive(Debug, Clone, Default)]
pub struct Split<'a> {
    /// What every set has, with the same event.
    pub unconflicted: BTreeMap<(&'a str, &'a str), &'a EventId>,
    /// Every event of a key on which the sets do not agree.
    pub conflicted: BTreeSet<&'a OwnedEventId>,
}

/// Divides state sets.
#[must_use]
pub fn split(sets: &[StateMap]) -> Split<'_> {
    let mut split = Split::default();
    for (index, set) in sets.iter().enumerate() {
        for (full_key, id) in set {
            if sets.iter().any(|other| other.get(full_key) != Some(id)) {
                split.conflicted.insert(id);
            } else if index == 0 {
                split.unconflicted.insert((&full_key.0, &full_key.1), id);
            }
        }
    }
    split
}

/// The events that are in the auth chains of some but not all of the sets.
///
/// `auth_of` gives the events that an event cites, or nothing if it is unknown.
pub fn auth_difference<'a>(
    sets: &'a [StateMap],
    auth_of: impl Fn(&EventId) -> Option<&'a [OwnedEventId]>,
) -> Result<BTreeSet<OwnedEventId>, Fault> {
    let mut chains: Vec<BTreeSet<&OwnedEventId>> = Vec::new();
    for set in sets {
        chains.push(closure(set.values(), &auth_of)?);
    }
    let in_all = |id: &OwnedEventId| chains.iter().all(|chain| chain.contains(id));
    let all = chains.iter().flatten();
    Ok(all.filter(|id| !in_all(id)).map(|id| (*id).clone()).collect())
}

/// The conflicted events and every event on a path between two of them in the auth graph.
pub fn conflicted_subgraph<'a>(
    conflicted: &BTreeSet<&'a OwnedEventId>,
    auth_of: impl Fn(&EventId) -> Option<&'a [OwnedEventId]>,
) -> Result<BTreeSet<OwnedEventId>, Fault> {
    let behind = closure(conflicted.iter().copied(), &auth_of)?;
    let mut cited_by: BTreeMap<&EventId, Vec<&'a OwnedEventId>> = BTreeMap::new();
    for id in &behind {
        for cited in auth_of(id).unwrap_or_default() {
            cited_by.entry(cited).or_default().push(id);
        }
    }
    // Of the events behind conflicted ones, keep those that have a conflicted one behind them.
    let mut between = BTreeSet::new();
    let mut open: Vec<&OwnedEventId> = conflicted.iter().copied().collect();
    while let Some(id) = open.pop() {
        if between.insert(id.clone()) {
            open.extend(cited_by.get(&**id).into_iter().flatten().copied());
        }
    }
    Ok(between)
}

/// These events and all that they cite, directly or not.
fn closure<'a>(
    ids: impl Iterator<Item = &'a OwnedEventId>,
    auth_of: impl Fn(&EventId) -> Option<&'a [OwnedEventId]>,
) -> Result<BTreeSet<&'a OwnedEventId>, Fault> {
    let mut seen: BTreeSet<&OwnedEventId> = BTreeSet::new();
    let mut open: Vec<&OwnedEventId> = ids.collect();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(auth_of(id).ok_or_else(|| Fault::Missing(id.clone()))?);
        }
    }
    Ok(seen)
}
