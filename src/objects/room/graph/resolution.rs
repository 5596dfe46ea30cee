//! What is the state where several states meet?
//!
//! Only what differs is looked at: the keys in which the states disagree, the part of the auth chains that differs, and
//! the unconflicted state by which the rules judge these events. [`tombolo_protocol::state_resolution`] decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::OwnedEventId;
use tombolo_platform::values;
use tombolo_protocol::{
    event::Pdu,
    event_auth::auth_types,
    state_resolution::{self, Inputs, StateMap},
};

use crate::{
    objects::room::{
        Result, Room, Sn,
        graph::{
            events::Before,
            state::{After, Key, Overlay},
        },
        messages::Position,
    },
    shell::Stop,
};

impl Room<'_> {
    /// Resolves the states after several events. The answer is an overlay of the mainline at the newest of their
    /// positions.
    pub fn resolve(&mut self, states: &[After]) -> Result<(Before, Overlay)> {
        let at = states.iter().map(|after| after.before.at).max().unwrap_or_default();
        let base = Before { at, fork: None };
        let values = self.differing(states, at)?;
        let conflicted: Vec<&Key> = values
            .iter()
            .filter(|(_, each)| each.iter().any(|value| *value != each[0]))
            .map(|(key, _)| key)
            .collect();
        let mut resolved: Overlay =
            values.iter().map(|(key, each)| (key.clone(), each[0])).collect();
        if !conflicted.is_empty() {
            resolved.extend(conflicted.iter().map(|key| ((*key).clone(), None)));
            // An event from the auth chains may become state under a key that none of the states has.
            let decided = self.decide(states, &values, &conflicted)?;
            resolved.extend(decided.into_iter().map(|(key, sn)| (key, Some(sn))));
        }
        let mut overlay = Overlay::new();
        for (key, value) in resolved {
            if value != self.mainline(at, &key.0, &key.1)? {
                overlay.insert(key, value);
            }
        }
        #[cfg(debug_assertions)]
        self.check_against_whole(states, base, &overlay)?;
        Ok((base, overlay))
    }

    /// Compares a resolution with the one from whole states and whole auth chains. Every build with debug assertions
    /// does so at every resolution, tests among them.
    #[cfg(debug_assertions)]
    fn check_against_whole(
        &mut self,
        states: &[After],
        base: Before,
        overlay: &Overlay,
    ) -> Result<()> {
        let mut sets = Vec::new();
        let mut sns = BTreeSet::new();
        for after in states {
            let mut whole = self.whole(after.before)?;
            whole.extend(after.plus.clone());
            sns.extend(whole.values().copied());
            sets.push(self.state_map(whole)?);
        }
        let events = self.load(&sns)?;
        let expected = state_resolution::resolve_known(self.row()?.version, &sets, &events)
            .map_err(|fault| Stop::broken(fault.to_string()))?;
        let mut resolved = self.whole(base)?;
        for (key, value) in overlay {
            match value {
                Some(sn) => _ = resolved.insert(key.clone(), *sn),
                None => _ = resolved.remove(key),
            }
        }
        let resolved = self.state_map(resolved)?;
        assert_eq!(resolved, expected, "the room resolves otherwise than from whole states");
        Ok(())
    }

    #[cfg(debug_assertions)]
    fn state_map(&mut self, state: BTreeMap<Key, Sn>) -> Result<StateMap> {
        let mut map = StateMap::new();
        for (key, sn) in state {
            map.insert(key, self.event(sn)?.pdu.event_id.clone());
        }
        Ok(map)
    }

    /// Every key that may differ among the states (or from the base), with its value in each.
    fn differing(&mut self, states: &[After], at: i64) -> Result<BTreeMap<Key, Vec<Option<Sn>>>> {
        let lowest = states.iter().map(|after| after.before.at).min().unwrap_or_default();
        let mut keys: BTreeSet<Key> = if lowest < at {
            self.changed(lowest, at)?.into_iter().collect()
        } else {
            BTreeSet::new()
        };
        for after in states {
            keys.extend(self.overlay(after.before.fork)?.into_keys());
            keys.extend(after.plus.iter().map(|(key, _)| key.clone()));
        }
        let mut values = BTreeMap::new();
        for key in keys {
            let mut each = Vec::with_capacity(states.len());
            for after in states {
                each.push(self.value_after(after, &key.0, &key.1)?);
            }
            values.insert(key, each);
        }
        Ok(values)
    }

    fn decide(
        &mut self,
        states: &[After],
        values: &BTreeMap<Key, Vec<Option<Sn>>>,
        conflicted: &[&Key],
    ) -> Result<BTreeMap<Key, Sn>> {
        let version = self.row()?.version;
        let sides: Vec<Vec<Sn>> = (0..states.len())
            .map(|side| conflicted.iter().filter_map(|key| values[*key][side]).collect())
            .collect();
        let auth_difference = self.auth_difference(&sides, &states[0], values)?;
        let conflicted_events: BTreeSet<Sn> = sides.iter().flatten().copied().collect();
        let subgraph = if version.resolves_conflicted_subgraph() {
            self.subgraph(&conflicted_events)?
        } else {
            BTreeSet::new()
        };
        let full: BTreeSet<Sn> =
            conflicted_events.iter().chain(&auth_difference).chain(&subgraph).copied().collect();
        let base = self.foundation(&full, &states[0], values)?;
        let mut sets = vec![StateMap::new(); states.len()];
        let mut sns: BTreeSet<Sn> = full.clone();
        for (key, each) in values
            .iter()
            .map(|(key, each)| (key, each.clone()))
            .chain(base.iter().map(|(key, sn)| (key, vec![Some(*sn); states.len()])))
        {
            for (set, sn) in sets.iter_mut().zip(each) {
                let Some(sn) = sn else { continue };
                sns.insert(sn);
                set.insert(key.clone(), self.event(sn)?.pdu.event_id.clone());
            }
        }
        let events = self.load(&sns)?;
        let auth_difference = &self.names(&auth_difference)?;
        let conflicted_subgraph = &self.names(&subgraph)?;
        let inputs =
            Inputs { version, sets: &sets, events: &events, auth_difference, conflicted_subgraph };
        let resolved =
            state_resolution::resolve(&inputs).map_err(|fault| Stop::broken(fault.to_string()))?;
        let mut answer = BTreeMap::new();
        for (key, id) in resolved {
            let sn =
                self.find(&id)?.ok_or_else(|| Stop::broken("a resolved event is not held"))?.sn;
            answer.insert(key, sn);
        }
        Ok(answer)
    }

    /// The unconflicted state by which the rules judge these events.
    fn foundation(
        &mut self,
        full: &BTreeSet<Sn>,
        any: &After,
        values: &BTreeMap<Key, Vec<Option<Sn>>>,
    ) -> Result<BTreeMap<Key, Sn>> {
        let version = self.row()?.version;
        let mut keys: BTreeSet<Key> = ["m.room.create", "m.room.power_levels", "m.room.join_rules"]
            .map(|kind| (kind.to_owned(), String::new()))
            .into();
        for sn in full {
            let event = self.event(*sn)?;
            let pdu = &event.judged;
            // If the rules select no auth events for an event, they allow it in no state.
            keys.extend(
                auth_types(
                    version,
                    pdu.kind(),
                    &pdu.sender,
                    pdu.state_key.as_deref(),
                    &pdu.content,
                )
                .unwrap_or_default(),
            );
        }
        let mut base = BTreeMap::new();
        for key in keys.into_iter().filter(|key| !values.contains_key(key)) {
            if let Some(sn) = self.value_after(any, &key.0, &key.1)? {
                base.insert(key, sn);
            }
        }
        Ok(base)
    }

    /// Events in the full auth chain of some state but not of all. The full chain of a state holds the state's own
    /// events too.
    ///
    /// Unconflicted events, and all they reach, are in the chain of every state. So only events that a conflicted one
    /// reaches can differ, less those that an unconflicted one reaches.
    fn auth_difference(
        &mut self,
        sides: &[Vec<Sn>],
        any: &After,
        values: &BTreeMap<Key, Vec<Option<Sn>>>,
    ) -> Result<BTreeSet<Sn>> {
        let mut chains = Vec::new();
        for side in sides {
            chains.push(self.full_chain_of(side, 0)?);
        }
        let mut difference: BTreeSet<Sn> = chains.iter().flatten().copied().collect();
        difference.retain(|sn| !chains.iter().all(|chain| chain.contains(sn)));
        let mut lowest = i64::MAX;
        for sn in &difference {
            lowest = lowest.min(self.event(*sn)?.height);
        }
        if difference.is_empty() {
            return Ok(difference);
        }
        let query = "SELECT n.type, n.key, n.sn FROM now n JOIN events e ON e.sn = n.sn WHERE n.since <= ?1 AND e.height >= ?2
                     UNION ALL SELECT p.type, p.key, p.sn FROM past p JOIN events e ON e.sn = p.sn
                     WHERE p.since <= ?1 AND p.until > ?1 AND e.height >= ?2";
        let above = self.sql.rows(query, values![any.before.at, lowest], |row| {
            Ok(((row.text(0)?, row.text(1)?), row.int(2)?))
        })?;
        let unconflicted: Vec<Sn> = above
            .into_iter()
            .filter(|(key, _)| !values.contains_key(key))
            .map(|(_, sn)| sn)
            .chain(
                values
                    .values()
                    .filter(|each| each.iter().all(|value| *value == each[0]))
                    .filter_map(|each| each[0]),
            )
            .collect();
        for sn in self.full_chain_of(&unconflicted, lowest)? {
            difference.remove(&sn);
        }
        Ok(difference)
    }

    /// These events and their auth chains, down to a height.
    fn full_chain_of(&mut self, from: &[Sn], lowest: i64) -> Result<BTreeSet<Sn>> {
        let mut chain = self.auth_chain_of(from, lowest)?;
        chain.extend(from);
        Ok(chain)
    }

    /// The auth chains of these events, down to a height. The events themselves are left out unless another one's chain
    /// has them.
    pub fn auth_chain_of(&mut self, from: &[Sn], lowest: i64) -> Result<BTreeSet<Sn>> {
        let mut chain = BTreeSet::new();
        let mut next: Vec<Sn> = from.to_vec();
        while let Some(sn) = next.pop() {
            // A chain without a lowest height may be very long: its events are not read, only what each cites.
            let whole = lowest > 0;
            let cited = if whole { self.event(sn)?.auth.clone() } else { self.auth_of(sn)? };
            for auth in cited {
                let counts = !whole || self.event(auth)?.height >= lowest;
                if counts && chain.insert(auth) {
                    next.push(auth);
                }
            }
        }
        Ok(chain)
    }

    /// Events on an auth path between two conflicted ones ([conflicted state subgraph]).
    ///
    /// [conflicted state subgraph]: https://spec.matrix.org/v1.19/rooms/v12/#state-resolution
    fn subgraph(&mut self, conflicted: &BTreeSet<Sn>) -> Result<BTreeSet<Sn>> {
        let mut lowest = i64::MAX;
        for sn in conflicted {
            lowest = lowest.min(self.event(*sn)?.height);
        }
        let from: Vec<Sn> = conflicted.iter().copied().collect();
        let mut reached: Vec<(i64, Sn)> = Vec::new();
        for sn in self.full_chain_of(&from, lowest)? {
            reached.push((self.event(sn)?.height, sn));
        }
        reached.sort_unstable();
        // Upwards from the lowest: an event is on a path if it is conflicted or one of its auth events is on a path.
        let mut on_path: BTreeSet<Sn> = BTreeSet::new();
        for (_, sn) in reached {
            let event = self.event(sn)?;
            if conflicted.contains(&sn) || event.auth.iter().any(|auth| on_path.contains(auth)) {
                on_path.insert(sn);
            }
        }
        Ok(on_path)
    }

    /// These events and their auth chains, by ID.
    fn load(&mut self, sns: &BTreeSet<Sn>) -> Result<BTreeMap<OwnedEventId, Rc<Pdu>>> {
        let from: Vec<Sn> = sns.iter().copied().collect();
        let mut events = BTreeMap::new();
        for sn in self.full_chain_of(&from, 0)? {
            let pdu = Rc::clone(&self.event(sn)?.judged);
            events.insert(pdu.event_id.clone(), pdu);
        }
        Ok(events)
    }

    fn names(&mut self, sns: &BTreeSet<Sn>) -> Result<BTreeSet<OwnedEventId>> {
        sns.iter().map(|sn| Ok(self.event(*sn)?.pdu.event_id.clone())).collect()
    }

    /// Makes the current state the resolution of the states after all extremities. Changed values hold from `pos` on;
    /// `was` is the newest position before.
    pub fn resolve_current_state(
        &mut self,
        extremities: &[Sn],
        was: Position,
        pos: Position,
    ) -> Result<()> {
        let mut states: Vec<After> = Vec::new();
        for extremity in extremities {
            states.extend(self.event(*extremity)?.after());
        }
        let (base, overlay) = self.resolve(&states)?;
        let mut keys: BTreeSet<Key> = self.changed(base.at, was)?.into_iter().collect();
        keys.extend(overlay.keys().cloned());
        for key in keys {
            let value = match overlay.get(&key) {
                Some(value) => *value,
                None => self.mainline(base.at, &key.0, &key.1)?,
            };
            if value != self.now(&key.0, &key.1)? {
                self.change(&key, value, pos)?;
            }
        }
        Ok(())
    }
}
