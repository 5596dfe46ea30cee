//! Do all servers that are in the room together agree on what the room is?

use std::collections::BTreeSet;

use tombolo::objects::room::Verdict;

use super::{Copies, copies, counts};
use crate::{
    copy::{Copy, Key},
    network::User,
    scenario::Run,
};

/// What came of comparing the copies of one room.
pub struct Agreement {
    /// What is wrong.
    pub findings: Vec<String>,
    /// Servers of which one counts the other in and not the other way round, and why that is so.
    pub estranged: Vec<String>,
}

/// Servers that count in the same users of each other have the same current state, and the same forward extremities but
/// for events that nobody told them of.
///
/// Two servers may also part for good. Where one closes the room while others come in, it soft-fails their joins, and
/// all they say rests on those; it may tell nothing to servers that are not in the room as it sees it. A server that
/// merges both sides loses the members of one, maybe its own last. Each such parting must have its reason in what the
/// two hold.
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
                // Whoever is in the room together with another sees it as that one does; and whoever is in it with
                // nobody was kept out by those who do not count it in.
                let alone = !believes(&b, &b);
                let with = |c: &usize| {
                    believes(&b, c) && believes(c, &b)
                        || alone && believes(c, c) && !believes(c, &b)
                };
                let mut group =
                    (0..run.network.servers.len()).filter(|c| *c == b || *c != *a && with(c));
                let unheard = || {
                    let heard = |c: &usize| *c != b && believes(a, c) && believes(c, a);
                    left_unheard(run, &copies, *a, b, heard)
                };
                match group.find_map(|c| reason(run, &copies, *a, c)).or_else(unheard) {
                    Some(reason) => estranged.push(format!("room {room} a{a} counts a{b} in: {reason}")),
                    None => findings.push(format!(
                        "members: room {room} a{a} counts a{b} in, not the other way round, and nothing says why"
                    )),
                }
            } else if *a < b && same_users(run, &copies, *a, b) {
                findings.extend(differences(room, (*a, copy), (b, &copies[&b])));
                findings.extend(other_extremities(run, &copies, room, (*a, b)));
            } else if *a < b {
                match reason(run, &copies, *a, b) {
                    Some(reason) => estranged.push(format!("room {room} a{a} and a{b} count in others of each other: {reason}")),
                    None => findings.push(format!(
                        "members: room {room} a{a} and a{b} count in others of each other, and nothing says why"
                    )),
                }
            }
        }
    }
    Agreement { findings, estranged }
}

/// Whether each of two servers counts in a user of the other whom that one counts in, too: of others, who are out where
/// they are at home, it hears nothing that it takes in.
fn same_users(run: &Run, copies: &Copies, a: usize, b: usize) -> bool {
    let together = |server: usize| {
        let mut users = run.network.users.iter().filter(|user| user.server == server);
        users.any(|user| [a, b].iter().all(|side| copies[side].membership(&user.id) == "join"))
    };
    together(a) && together(b)
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
    findings
}

/// The forward extremities of two servers, where they differ and not only by events that one of them does not hold
/// because nobody told it of them: the sender's server does not count it in.
fn other_extremities(
    run: &Run,
    copies: &Copies,
    room: usize,
    (a, b): (usize, usize),
) -> Option<String> {
    let (one, other) = (&copies[&a], &copies[&b]);
    let untold = |id: &String, holder: &Copy, lacking: usize| {
        let sender = holder.events[id].pdu["sender"].as_str().unwrap_or_default();
        let by = run.network.users.iter().find(|user| user.id == sender);
        let teller = by.and_then(|user| copies.get(&user.server));
        !copies[&lacking].events.contains_key(id)
            && teller.is_some_and(|teller| !counts(run, teller, lacking))
    };
    let (here, there) = (&one.extremities, &other.extremities);
    let agree = here.difference(there).all(|id| untold(id, one, b))
        && there.difference(here).all(|id| untold(id, other, a));
    (!agree).then(|| format!("extremities: room {room} {here:?} at a{a}, {there:?} at a{b}"))
}

/// For every two servers the lowest event of whose state before they make different things: where to look first.
pub fn first_differences(run: &Run, room: usize) -> Vec<String> {
    let copies = copies(run, room);
    let mut lines = Vec::new();
    for (a, one) in &copies {
        for (b, other) in copies.iter().filter(|(b, _)| a < *b) {
            let mut both: Vec<&str> = one
                .events
                .keys()
                .filter(|id| other.events.contains_key(*id))
                .map(String::as_str)
                .collect();
            both.sort_by_key(|id| one.events[*id].pdu["depth"].as_u64());
            let differs = both.into_iter().find_map(|id| {
                let (here, there) = (one.state_before(id)?, other.state_before(id)?);
                (here != there).then_some((id, here, there))
            });
            let Some((id, here, there)) = differs else { continue };
            let keys: BTreeSet<&Key> = here.keys().chain(there.keys()).collect();
            for key in keys.into_iter().filter(|key| here.get(*key) != there.get(*key)) {
                lines.push(format!(
                    "room {room} before {id} {key:?}: {:?} at a{a}, {:?} at a{b}",
                    here.get(key),
                    there.get(key)
                ));
            }
        }
    }
    lines
}

/// Why two servers see the room differently for good: one soft-failed what the other accepted, and nothing it accepts
/// builds on that; or a resolution put somebody out whom no event removed.
fn reason(run: &Run, copies: &Copies, a: usize, b: usize) -> Option<String> {
    let pair = [(a, &copies[&a]), (b, copies.get(&b)?)];
    for [(one, accepting), (other, refusing)] in [pair, [pair[1], pair[0]]] {
        let (accepted, merged) = (accepting.past(), refusing.past());
        let mut refused = accepted.iter().filter(|id| !merged.contains(*id));
        let refused = refused.find_map(|id| {
            let held = refusing.events.get(*id)?;
            (held.verdict == Verdict::SoftFailed).then_some(held)
        });
        if let Some(held) = refused {
            let (kind, why) = (&held.pdu["type"], held.reason.as_deref().unwrap_or_default());
            return Some(format!("a{other} soft-failed {kind} {} of a{one}: {why}", held.id));
        }
    }
    for user in run.network.users.iter().filter(|user| user.server == b) {
        let key = ("m.room.member".to_owned(), user.id.clone());
        let removal = pair[1].1.state.get(&key).and_then(|id| pair[0].1.events.get(id));
        if pair[0].1.membership(&user.id) == "join"
            && removal
                .is_some_and(|held| matches!(held.verdict, Verdict::Accepted | Verdict::SoftFailed))
        {
            return Some(format!(
                "a{a} soft-failed, or a resolution there undid, what removed {} at a{b}",
                user.id
            ));
        }
    }
    for (server, copy) in pair {
        if let Some(user) = run.network.users.iter().find(|user| copy.lost_by_resolution(&user.id))
        {
            return Some(format!("a resolution put {} out at a{server}", user.id));
        }
    }
    None
}

/// Whether whoever one server counts in left another before that one knew of any server whom the first hears, or while
/// those were out of the room themselves: what the end rests on, nobody can tell it, and nobody who may be told it can
/// pass it on.
fn left_unheard(
    run: &Run,
    copies: &Copies,
    a: usize,
    b: usize,
    heard: impl Fn(&usize) -> bool,
) -> Option<String> {
    let (counting, left) = (&copies[&a], copies.get(&b).filter(|copy| copy.life == "left")?);
    let users = &run.network.users;
    let counted = |user: &&User| user.server == b && counting.membership(&user.id) == "join";
    users.iter().filter(counted).find_map(|user| {
        let end = left.membership_history(&user.id).pop().filter(|end| end.membership != "join")?;
        let present = |server: usize| {
            let mut of = users.iter().filter(|user| user.server == server);
            of.any(|user| left.was_joined(&user.id, end.since - 1))
        };
        // One that was out then took nothing in, and is back.
        let was_out = |server: usize| {
            let copy = copies.get(&server).filter(|copy| !copy.events.contains_key(&end.id));
            let mut of = users.iter().filter(|user| user.server == server);
            copy.is_some_and(|copy| of.any(|user| copy.came_back(&user.id)))
        };
        let mut servers = 0..run.network.servers.len();
        (!servers.any(|c| (c == a || heard(&c)) && present(c) && !was_out(c))).then(|| {
            format!(
                "{} left before a{b} knew of a{a}, or of whom it hears, or while they were out",
                user.id
            )
        })
    })
}
