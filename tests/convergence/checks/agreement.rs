//! Do all servers that are in the room together agree on what the room is?

use std::collections::BTreeSet;

use super::{Copies, copies, counts};
use crate::{
    copy::{Copy, Key, Verdict},
    scenario::Run,
};

/// What came of comparing the copies of one room.
pub struct Agreement {
    /// What is wrong.
    pub findings: Vec<String>,
    /// Servers of which one counts the other in and not the other way round, and why that is so.
    pub estranged: Vec<String>,
}

/// Servers that count each other in have the same current state and forward extremities.
///
/// Two servers may also part for good: before version 12 the resolution judges joins by the join rules it ends with.
/// Where one closes the room while others come in, he soft-fails their joins, and all they say rests on those; he may
/// tell nothing to servers that are not in the room as he sees it. Who merges both sides loses the members of one, maybe
/// his own last. Each such parting must have its reason in what one of the two holds.
pub fn of_room(run: &Run, room: usize) -> Agreement {
    let copies = copies(run, room);
    let (mut findings, mut estranged) = (Vec::new(), Vec::new());
    let believes = |a: &usize, b: &usize| {
        copies.get(a).is_some_and(|copy| counts(run, copy, *a) && counts(run, copy, *b))
    };
    for (a, copy) in &copies {
        if counts(run, copy, *a) && copy.parked > 0 {
            findings.push(format!(
                "parked: room {room} a{a} still keeps {} events that wait for others",
                copy.parked
            ));
        }
        for b in (0..run.network.servers.len()).filter(|b| b != a && believes(a, b)) {
            if !believes(&b, a) {
                match reason(run, &copies, *a, b) {
                    Some(reason) => estranged.push(format!("room {room} a{a} counts a{b} in: {reason}")),
                    None => findings.push(format!(
                        "members: room {room} a{a} counts a{b} in, not the other way round, and nothing says why"
                    )),
                }
            } else if *a < b {
                findings.extend(differences(room, (*a, copy), (b, &copies[&b])));
            }
        }
    }
    Agreement { findings, estranged }
}

fn differences(room: usize, (a, one): (usize, &Copy), (b, other): (usize, &Copy)) -> Vec<String> {
    let mut findings = Vec::new();
    let keys: BTreeSet<&Key> = one.state.keys().chain(other.state.keys()).collect();
    for key in keys.into_iter().filter(|key| one.state.get(*key) != other.state.get(*key)) {
        let (here, there) = (one.state.get(key), other.state.get(key));
        let stands = |copy: &Copy, id: Option<&String>| {
            id.and_then(|id| copy.events.get(id)).map(|held| (held.verdict, held.reason.clone()))
        };
        findings.push(format!(
            "state: room {room} {key:?} is {here:?} at a{a} ({:?} at a{b}) and {there:?} at a{b} ({:?} at a{a})",
            stands(other, here),
            stands(one, there),
        ));
    }
    if one.tips != other.tips {
        findings
            .push(format!("tips: room {room} {:?} at a{a}, {:?} at a{b}", one.tips, other.tips));
    }
    findings
}

/// Why `b` does not count `a` and itself in, where `a` does: a join that one of them never accepted, a leave that
/// the other never accepted, or a resolution that put somebody out whom no event removed.
fn reason(run: &Run, copies: &Copies, a: usize, b: usize) -> Option<String> {
    let (one, other) = (&copies[&a], copies.get(&b)?);
    let home = if counts(run, other, b) { a } else { b };
    let accepted = |copy: &Copy, id: &str| {
        copy.events.get(id).is_some_and(|held| held.verdict == Verdict::Accepted)
    };
    let users = run.network.users.iter().filter(|user| user.server == home);
    let mut reasons = Vec::new();
    for user in users.filter(|user| one.membership(&user.id) == "join") {
        let key = ("m.room.member".to_owned(), user.id.clone());
        let join = &one.state[&key];
        let removal = other.state.get(&key);
        reasons.push(if !accepted(other, join) {
            let held = other.events.get(join).map(|held| (held.verdict, &held.reason));
            format!("a{b} did not accept the join of {} ({held:?})", user.id)
        } else if other.lost_by_resolution(&user.id) {
            format!("a resolution put {} out at a{b}", user.id)
        } else if removal.is_some_and(|removal| !accepted(one, removal)) {
            format!("a{a} did not accept the removal of {}", user.id)
        } else {
            return None;
        });
    }
    Some(reasons.join(", "))
}
