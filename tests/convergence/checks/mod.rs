//! Did everything end as it must? Each file answers one question; what is wrong is listed, not only the first.

mod acknowledged;
pub mod agreement;
pub mod clients;
mod privacy;
mod sharing;
mod timelines;

use std::collections::BTreeMap;

use crate::{bridge, copy::Copy, scenario::Run};

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
        let agreement = agreement::of_room(run, room);
        findings.extend(agreement.findings);
        for line in agreement.estranged {
            run.story.note(line.clone());
            run.story.estranged.borrow_mut().push(line);
        }
    }
    // What a user learns may make them act once more.
    for _ in 0..2 {
        run.simulation.run(timelines::catch_up(run));
        run.simulation.settle(REST);
    }
    for room in 0..rooms {
        run.simulation.run(timelines::fill_gaps(run, room));
        findings.extend(run.simulation.run(timelines::of_room(run, room)));
    }
    findings.extend(run.simulation.run(timelines::the_same_token_twice(run)));
    for room in 0..rooms {
        findings.extend(clients::of_room(run, room));
        findings.extend(acknowledged::are_kept(run, room));
        findings.extend(privacy::of_users(run, room));
        findings.extend(privacy::of_servers(run, room));
        findings.extend(privacy::of_redacted(run, room));
        findings.extend(bridge::of_room(run, room));
    }
    findings.extend(sharing::of_copies(run));
    findings.extend(run.simulation.run(sharing::of_clients(run)));
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

/// Whether a copy of a room has a joined user of a server.
pub fn counts(run: &Run, copy: &Copy, server: usize) -> bool {
    member_of(run, copy, server).is_some()
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

/// One message of each member, as the member's own server sees it, so that all forward extremities meet: another server
/// may soft-fail one member of a server and hear the other.
fn say_once_more(run: &Run, findings: &mut Vec<String>) {
    for room in 0..run.story.rooms.borrow().len() {
        for user in 0..run.network.users.len() {
            let named = &run.network.users[user];
            let sql = run.network.room(named.server, &run.story.room(room).id);
            let copy = sql.and_then(Copy::read);
            let joined = copy.is_some_and(|copy| copy.membership(&named.id) == "join");
            if !joined {
                continue;
            }
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
