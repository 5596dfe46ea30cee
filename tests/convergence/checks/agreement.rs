//! Do all servers that take part agree on what the room is?

use std::collections::BTreeSet;

use super::{Copies, taking_part};
use crate::{
    copy::{Copy, Key},
    scenario::Run,
};

/// The current state and the forward extremities are the same everywhere.
pub fn of_state(run: &Run, room: usize) -> Vec<String> {
    let copies = taking_part(run, room);
    let mut findings = Vec::new();
    let Some((first, model)) = copies.iter().next() else { return findings };
    for (server, copy) in copies.iter().skip(1) {
        let keys: BTreeSet<&Key> = model.state.keys().chain(copy.state.keys()).collect();
        for key in keys.into_iter().filter(|key| model.state.get(*key) != copy.state.get(*key)) {
            let (a, b) = (model.state.get(key), copy.state.get(key));
            let stands = |copy: &Copy, id: Option<&String>| {
                id.and_then(|id| copy.events.get(id))
                    .map(|held| (held.verdict, held.reason.clone()))
            };
            let (there, here) = (stands(copy, a), stands(model, b));
            findings.push(format!(
                "state: room {room} {key:?} is {a:?} at a{first} ({there:?} at a{server}) and {b:?} at a{server} ({here:?} at a{first})"
            ));
        }
        if model.tips != copy.tips {
            findings.push(format!(
                "tips: room {room} {:?} at a{first}, {:?} at a{server}",
                model.tips, copy.tips
            ));
        }
    }
    for (server, copy) in copies.iter().filter(|(_, copy)| copy.parked > 0) {
        findings.push(format!(
            "parked: room {room} a{server} still keeps {} events that wait for others",
            copy.parked
        ));
    }
    findings.extend(strangers(run, room, &copies));
    findings
}

/// A server that takes part, as the others see it, must see it so itself.
fn strangers(run: &Run, room: usize, copies: &Copies) -> Vec<String> {
    let users = &run.network.users;
    let mut findings = Vec::new();
    for (server, copy) in copies {
        for user in users.iter().filter(|user| copy.membership(&user.id) == "join") {
            let own = copies.get(&user.server).map(|own| own.membership(&user.id));
            if own.as_deref() != Some("join") {
                findings.push(format!(
                    "members: room {room} {} is joined at a{server}, at home {own:?}",
                    user.id
                ));
            }
        }
    }
    findings
}
