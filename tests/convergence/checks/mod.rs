//! Did everything end as it must? Each file answers one question; what is wrong is listed, not only the first.

mod acknowledged;
mod agreement;
mod privacy;
mod timelines;

use std::collections::BTreeMap;

use crate::{
    copy::{Copy, Held},
    scenario::Run,
};

/// How long everything may take to come to rest (ms).
const REST: u64 = 86_400_000;

/// The copies of one room, by server.
pub type Copies = BTreeMap<usize, Copy>;

/// What is wrong after the run.
pub fn after(run: &Run) -> Vec<String> {
    let mut findings = Vec::new();
    run.simulation.run(timelines::catch_up(run));
    run.simulation.settle(REST);
    for _ in 0..2 {
        say_once_more(run, &mut findings);
    }
    let rooms = run.story.rooms.borrow().len();
    for room in 0..rooms {
        findings.extend(agreement::of_state(run, room));
    }
    // What a user learns may make him act once more.
    for _ in 0..2 {
        run.simulation.run(timelines::catch_up(run));
        run.simulation.settle(REST);
    }
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
/// Left out is a server that only believes so: its user joined through one server while he left, or was removed, through
/// another that never accepted that join. The removal wins, and no rule says who would tell his server, which for the
/// one was never in the room, and for the other left it by an event that is not the other's to tell.
pub fn taking_part(run: &Run, room: usize) -> Copies {
    let mut copies = copies(run, room);
    copies.retain(|server, _| member(run, room, *server).is_some());
    let split: Vec<usize> =
        copies.keys().copied().filter(|server| is_split_off(run, &copies, *server)).collect();
    copies.retain(|server, _| !split.contains(server));
    // Whom no other server counts in is told nothing, and cannot know: its join was refused by all who learned of it.
    loop {
        let alone = copies.keys().copied().find(|server| {
            let counted = |copy: &Copy| member_of(run, copy, *server).is_some();
            let mut others = copies.iter().filter(|(other, _)| *other != server);
            copies.len() > 1 && !others.any(|(_, copy)| counted(copy))
        });
        let Some(server) = alone else { return copies };
        copies.remove(&server);
    }
}

fn is_split_off(run: &Run, copies: &Copies, server: usize) -> bool {
    let users = run.network.users.iter().filter(|user| user.server == server);
    let joined: Vec<&str> = users
        .map(|user| user.id.as_str())
        .filter(|user| copies[&server].membership(user) == "join")
        .collect();
    let removed = |user: &str| {
        let key = ("m.room.member".to_owned(), user.to_owned());
        let join = &copies[&server].state[&key];
        let others = copies.iter().filter(|(other, _)| **other != server);
        others.filter(|(_, copy)| copy.membership(user) != "invite").all(|(_, copy)| {
            let removal = copy.state.get(&key).map(|id| &copy.events[id]);
            removal.is_some_and(|removal| {
                copy.membership(user) != "join" && never_met(run, copies, removal, join)
            })
        })
    };
    copies.len() > 1 && joined.iter().all(|user| removed(user))
}

/// Whether the server that removed a user never had his join in its timeline.
fn never_met(run: &Run, copies: &Copies, removal: &Held, join: &str) -> bool {
    let by = removal.pdu["sender"].as_str().unwrap_or_default();
    let home =
        run.network.servers.iter().position(|server| by.ends_with(&format!(":{}", server.name())));
    let user = removal.pdu["state_key"].as_str().unwrap_or_default();
    let there = home.and_then(|home| copies.get(&home)).and_then(|copy| copy.events.get(join));
    by == user || there.is_none_or(|held| held.pos.is_none())
}

/// A joined user of a server, as the server sees it.
pub fn member(run: &Run, room: usize, server: usize) -> Option<usize> {
    let copy = Copy::read(run.network.room(server, &run.story.room(room).id)?)?;
    member_of(run, &copy, server)
}

/// A joined user of a server, as a copy has it.
fn member_of(run: &Run, copy: &Copy, server: usize) -> Option<usize> {
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
