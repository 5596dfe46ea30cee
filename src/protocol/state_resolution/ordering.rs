//! In which order are conflicted events tried?
//! ([definitions](https://spec.matrix.org/v1.19/rooms/v2/#definitions): power events, reverse
//! topological power ordering, mainline ordering)

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use ruma::EventId;

use super::{Fault, Known};
use crate::{
    event::Pdu,
    membership::Membership,
    power_levels::{Level, Levels, creators},
};

/// The power of someone who created the room, where their event cites no power levels.
const CREATOR_WITHOUT_LEVELS: i64 = 100;

/// The power events of the full conflicted set and what of the set is behind them, in reverse
/// topological power ordering.
pub(super) fn power_order<'a>(
    known: &Known<'a>,
    full: &BTreeMap<&'a EventId, &'a Pdu>,
) -> Result<Vec<&'a Pdu>, Fault> {
    let mut graph: BTreeMap<&EventId, &'a Pdu> = BTreeMap::new();
    let mut open: Vec<&'a Pdu> =
        full.values().copied().filter(|event| is_power_event(event)).collect();
    while let Some(event) = open.pop() {
        if graph.insert(&event.event_id, event).is_none() {
            let cited = event.auth_events.iter().filter_map(|id| full.get(&**id).copied());
            open.extend(cited);
        }
    }

    let mut waiting: BTreeMap<&EventId, usize> = BTreeMap::new();
    let mut cited_by: BTreeMap<&EventId, Vec<&'a Pdu>> = BTreeMap::new();
    let mut ready = BTreeSet::new();
    let mut power = SenderPower::default();
    for (&id, &event) in &graph {
        let cited: BTreeSet<&EventId> =
            event.auth_events.iter().map(|id| &**id).filter(|id| graph.contains_key(id)).collect();
        for cited in &cited {
            cited_by.entry(cited).or_default().push(event);
        }
        if cited.is_empty() {
            ready.insert(candidate(known, &mut power, event)?);
        } else {
            waiting.insert(id, cited.len());
        }
    }
    let mut order = Vec::with_capacity(graph.len());
    while let Some((.., id)) = ready.pop_first() {
        order.extend(graph.get(id).copied());
        for &event in cited_by.get(id).into_iter().flatten() {
            let Some(left) = waiting.get_mut(&*event.event_id) else { continue };
            *left -= 1;
            if *left == 0 {
                ready.insert(candidate(known, &mut power, event)?);
            }
        }
    }
    Ok(order)
}

/// Events in mainline ordering, by the power levels given.
pub(super) fn mainline_order<'a>(
    known: &Known<'a>,
    levels: Option<&EventId>,
    events: Vec<&'a Pdu>,
) -> Result<Vec<&'a Pdu>, Fault> {
    let mut mainline = Vec::new();
    let mut seen: BTreeSet<&EventId> = BTreeSet::new();
    let mut next = match levels {
        Some(id) => Some(known.event(id)?),
        None => None,
    };
    while let Some(levels) = next.filter(|levels| seen.insert(&levels.event_id)) {
        mainline.push(&*levels.event_id);
        next = known.cited(levels, "m.room.power_levels")?;
    }
    // The oldest is 1; an event behind none of them is 0 and comes first.
    let mut positions: BTreeMap<&EventId, usize> = mainline.into_iter().rev().zip(1..).collect();
    let mut keyed = Vec::with_capacity(events.len());
    for event in events {
        let position = mainline_position(known, event, &mut positions)?;
        keyed.push((position, event.origin_server_ts, &*event.event_id, event));
    }
    keyed.sort_by_key(|&(position, time, id, _)| (position, time, id));
    Ok(keyed.into_iter().map(|(.., event)| event).collect())
}

/// The position of the first mainline event that is reached from an event through the power
/// levels it cites. What is passed on the way is noted, for others come the same way.
fn mainline_position<'a>(
    known: &Known<'a>,
    event: &'a Pdu,
    positions: &mut BTreeMap<&'a EventId, usize>,
) -> Result<usize, Fault> {
    let mut passed: BTreeSet<&'a EventId> = BTreeSet::new();
    let mut next = Some(event);
    let mut position = 0;
    while let Some(event) = next {
        if let Some(&known_position) = positions.get(&*event.event_id) {
            position = known_position;
            break;
        }
        if !passed.insert(&event.event_id) {
            break;
        }
        next = known.cited(event, "m.room.power_levels")?;
    }
    positions.extend(passed.into_iter().map(|id| (id, position)));
    Ok(position)
}

/// Whether an event may take something away from someone. As in Synapse, the create event is one, and join rules only
/// with an empty state key: another order would part rooms.
fn is_power_event(event: &Pdu) -> bool {
    match event.key() {
        Some(("m.room.power_levels" | "m.room.join_rules" | "m.room.create", "")) => true,
        Some(("m.room.member", user_id)) if user_id != event.sender.as_str() => {
            event.membership().is_some_and(Membership::is_out)
        }
        _ => false,
    }
}

type Candidate<'a> = (Reverse<Level>, i64, &'a EventId);

fn candidate<'a>(
    known: &Known<'a>,
    power: &mut SenderPower<'a>,
    event: &'a Pdu,
) -> Result<Candidate<'a>, Fault> {
    Ok((Reverse(power.of(known, event)?), event.origin_server_ts, &event.event_id))
}

/// The power of senders by what their events cite, with each event of power levels read once.
#[derive(Default)]
struct SenderPower<'a> {
    levels: BTreeMap<&'a EventId, Levels>,
    creators: BTreeMap<&'a EventId, BTreeSet<String>>,
}

impl<'a> SenderPower<'a> {
    fn of(&mut self, known: &Known<'a>, event: &Pdu) -> Result<Level, Fault> {
        let rules = &known.version.rules.authorization;
        let levels = known.cited(event, "m.room.power_levels")?;
        let is_creator = if levels.is_none() || rules.explicitly_privilege_room_creators {
            known.create(event)?.is_some_and(|create| self.is_creator(known, create, event))
        } else {
            false
        };
        Ok(match levels {
            _ if is_creator && rules.explicitly_privilege_room_creators => Level::Infinite,
            Some(levels) => {
                let read = || Levels::of(known.version, levels);
                let levels = self.levels.entry(&levels.event_id).or_insert_with(read);
                Level::Finite(levels.user(&event.sender))
            }
            None if is_creator => Level::Finite(CREATOR_WITHOUT_LEVELS),
            None => Level::Finite(0),
        })
    }

    fn is_creator(&mut self, known: &Known<'a>, create: &'a Pdu, event: &Pdu) -> bool {
        let read = || creators(known.version, create);
        let creators = self.creators.entry(&create.event_id).or_insert_with(read);
        creators.contains(event.sender.as_str())
    }
}
