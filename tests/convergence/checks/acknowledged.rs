//! Is everything kept that a server said it has?

use std::collections::{BTreeMap, BTreeSet};

use tombolo::objects::room::{STEP, Verdict};

use super::{Copies, copies, counts};
use crate::{
    copy::{Copy, Held},
    scenario::Run,
    secrets,
};

/// Each acknowledged event stands in its own server's timeline, is known to all others that were in the room from
/// before it until now, and no message was sent twice.
pub fn are_kept(run: &Run, room: usize) -> Vec<String> {
    let copies = copies(run, room);
    let mut findings = Vec::new();
    let all = run.story.acknowledged.borrow();
    for event in all.iter().filter(|event| event.room == room) {
        let held = copies.get(&event.server).and_then(|copy| copy.events.get(&event.event_id));
        let Some(held) =
            held.filter(|held| held.verdict == Verdict::Accepted && held.pos.is_some())
        else {
            findings.push(format!(
                "lost: room {room} {} is {held:?} at its own server a{}",
                event.event_id, event.server
            ));
            continue;
        };
        let home = &copies[&event.server];
        let together = |server: &usize, copy: &Copy| {
            [event.server, *server]
                .iter()
                .all(|each| counts(run, home, *each) && counts(run, copy, *each))
        };
        for (server, copy) in copies.iter().filter(|(server, _)| **server != event.server) {
            if !together(server, copy)
                || !is_heard(home, held, copy)
                || !was_there(run, (home, held.pos.unwrap()), (*server, copy))
                || !stayed(run, copy, *server)
                || is_dead_end(&held.id, &copies)
            {
                continue;
            }
            match copy.events.get(&held.id) {
                Some(known) if known.verdict == Verdict::Accepted => {}
                Some(known) if known.verdict == Verdict::SoftFailed && known.reason.is_some() => {}
                other => {
                    let other = other.map(|held| (held.verdict, held.reason.clone()));
                    findings.push(format!(
                        "unknown: room {room} {} of a{} is {other:?} at a{server}",
                        held.id, event.server
                    ));
                }
            }
        }
    }
    findings.extend(said_twice(room, &copies));
    findings
}

/// Whether a server soft-failed an event, and all that is built on it ends so too: only its own server ever tells of
/// it, once, and maybe to one that does not know yet who its sender is.
fn is_dead_end(id: &str, copies: &Copies) -> bool {
    let fails = |id: &str, copy: &Copy| {
        copy.events.get(id).is_some_and(|held| held.verdict == Verdict::SoftFailed)
    };
    let (mut seen, mut next) = (BTreeSet::from([id]), vec![id]);
    while let Some(id) = next.pop() {
        if !copies.values().any(|copy| fails(id, copy)) {
            return false;
        }
        for held in copies.values().flat_map(|copy| copy.events.values()) {
            let mut parents = held.pdu["prev_events"].as_array().into_iter().flatten();
            if parents.any(|parent| parent == id) && seen.insert(&held.id) {
                next.push(&held.id);
            }
        }
    }
    true
}

/// Whether a server accepted the join by which an event's sender was in the room: what rests on one that it did not is
/// not for it to keep.
fn is_heard(home: &Copy, held: &Held, copy: &Copy) -> bool {
    let (sender, pos) = (held.pdu["sender"].as_str().unwrap(), held.pos.unwrap());
    let stays = home.membership_history(sender);
    let mut joins = stays.iter().filter(|stay| stay.membership == "join" && stay.since <= pos);
    let accepts = |id: &str| {
        copy.events
            .get(id)
            .is_some_and(|held| matches!(held.verdict, Verdict::Accepted | Verdict::Outlier))
    };
    joins.next_back().is_some_and(|join| accepts(&join.id))
}

/// Whether a server had a member at a position, as another saw it, by a join that let the member in at the server
/// itself: a join of which the server never heard that it was taken lets nobody in there, though the state given with a
/// later one names it or history shows it, and what followed came before the member did.
fn was_there(run: &Run, (home, pos): (&Copy, i64), (server, copy): (usize, &Copy)) -> bool {
    let users = run.network.users.iter().filter(|user| user.server == server);
    let is_history = |pos: i64| pos % STEP != 0;
    let let_in = |id: &str| {
        copy.events.get(id).and_then(|held| held.pos).is_some_and(|pos| !is_history(pos))
    };
    users.into_iter().any(|user| {
        let (stays, own) = (home.membership_history(&user.id), copy.membership_history(&user.id));
        stays.iter().any(|stay| {
            stay.membership == "join"
                && stay.since < pos
                && stay.until.is_none_or(|until| pos < until)
                && own.iter().any(|own| own.id == stay.id)
                && let_in(&stay.id)
        })
    })
}

/// Whether a server, since it first had a member, always had one, as it saw it itself.
fn stayed(run: &Run, copy: &Copy, server: usize) -> bool {
    let mut changes: BTreeMap<i64, i32> = BTreeMap::new();
    for user in run.network.users.iter().filter(|user| user.server == server) {
        for stay in
            copy.membership_history(&user.id).iter().filter(|stay| stay.membership == "join")
        {
            *changes.entry(stay.since).or_default() += 1;
            if let Some(until) = stay.until {
                *changes.entry(until).or_default() -= 1;
            }
        }
    }
    let mut members = 0;
    let counts: Vec<i32> = changes
        .values()
        .map(|change| {
            members += change;
            members
        })
        .collect();
    !counts.is_empty() && counts.iter().all(|members| *members > 0)
}

/// A message that its client repeated is one event all the same.
fn said_twice(room: usize, copies: &Copies) -> Vec<String> {
    let mut said: BTreeMap<usize, Vec<&String>> = BTreeMap::new();
    for held in copies.values().flat_map(|copy| copy.events.values()) {
        for secret in secrets::found(&held.pdu["content"].to_string()) {
            let events = said.entry(secret).or_default();
            if !events.contains(&&held.id) {
                events.push(&held.id);
            }
        }
    }
    said.retain(|_, events| events.len() > 1);
    said.iter()
        .map(|(secret, events)| format!("twice: room {room} secret {secret} is in {events:?}"))
        .collect()
}
