//! Did everything end as it must? Each file answers one question; what is wrong is listed, not only the first.

mod acknowledged;
mod agreement;
mod privacy;
mod timelines;

use std::collections::BTreeMap;

use crate::{copy::Copy, scenario::Run};

/// How long everything may take to come to rest (ms).
const REST: u64 = 86_400_000;

/// The copies of one room, by server.
pub type Copies = BTreeMap<usize, Copy>;

/// What is wrong after the run.
pub fn after(run: &Run) -> Vec<String> {
    let mut findings = Vec::new();
    for _ in 0..2 {
        say_once_more(run, &mut findings);
    }
    let rooms = run.story.rooms.borrow().len();
    for room in 0..rooms {
        findings.extend(agreement::of_state(run, room));
    }
    run.simulation.run(timelines::catch_up(run));
    for room in 0..rooms {
        findings.extend(run.simulation.run(timelines::of_room(run, room)));
    }
    findings.extend(run.simulation.run(timelines::the_same_token_twice(run)));
    for room in 0..rooms {
        findings.extend(acknowledged::are_kept(run, room));
        findings.extend(privacy::of_users(run, room));
        findings.extend(privacy::of_servers(run, room));
        findings.extend(privacy::of_redacted(run, room));
    }
    findings
}

/// How many events the copies of all rooms hold together.
pub fn events(run: &Run) -> usize {
    let rooms = 0..run.story.rooms.borrow().len();
    let longest =
        |room: usize| copies(run, room).values().map(|copy| copy.events.len()).max().unwrap_or(0);
    rooms.map(longest).sum()
}

/// Every server's copy of a room.
pub fn copies(run: &Run, room: usize) -> Copies {
    let id = run.story.room(room).id;
    let read = |server: usize| Some((server, Copy::read(run.network.room(server, &id)?)?));
    (0..run.network.servers.len()).filter_map(read).collect()
}

/// The copies of servers that have a joined user, as they see it themselves.
///
/// Left out is a server whose users are joined in its own eyes only, because they left through one server and joined
/// through another that had not heard of it. The leave wins, and no rule says who would tell their server: it made the
/// leave itself.
pub fn taking_part(run: &Run, room: usize) -> Copies {
    let mut copies = copies(run, room);
    copies.retain(|server, _| member(run, room, *server).is_some());
    let split: Vec<usize> =
        copies.keys().copied().filter(|server| is_split_off(run, &copies, *server)).collect();
    copies.retain(|server, _| !split.contains(server));
    copies
}

fn is_split_off(run: &Run, copies: &Copies, server: usize) -> bool {
    let users: Vec<&str> = run
        .network
        .users
        .iter()
        .filter(|user| user.server == server)
        .map(|user| user.id.as_str())
        .collect();
    let left_by_himself = |copy: &Copy, user: &str| {
        let member = copy.state.get(&("m.room.member".to_owned(), user.to_owned()));
        member.is_some_and(|id| {
            copy.events[id].pdu["sender"] == user && copy.membership(user) == "leave"
        })
    };
    let joined: Vec<&str> =
        users.into_iter().filter(|user| copies[&server].membership(user) == "join").collect();
    let others: Vec<&Copy> =
        copies.iter().filter(|(other, _)| **other != server).map(|(_, copy)| copy).collect();
    !others.is_empty()
        && joined.iter().all(|user| others.iter().all(|copy| left_by_himself(copy, user)))
}

/// A joined user of a server, as the server sees it.
pub fn member(run: &Run, room: usize, server: usize) -> Option<usize> {
    let copy = Copy::read(run.network.room(server, &run.story.room(room).id)?)?;
    let users = &run.network.users;
    (0..users.len())
        .find(|user| users[*user].server == server && copy.membership(&users[*user].id) == "join")
}

/// One message of each server that takes part, so that all tips meet.
fn say_once_more(run: &Run, findings: &mut Vec<String>) {
    for room in 0..run.story.rooms.borrow().len() {
        for server in 0..run.network.servers.len() {
            let Some(user) = member(run, room, server) else { continue };
            let before = run.story.acknowledged.borrow().len();
            run.simulation.run(run.actor(user, 10 + room as u64).say(room));
            if run.story.acknowledged.borrow().len() == before {
                let line = run.story.lines.borrow().last().cloned().unwrap_or_default();
                findings.push(format!("a member cannot say anything: {line}"));
            }
            run.simulation.settle(REST);
        }
    }
}
