//! What are our verdicts? Writes cases for the oracle with our verdicts on them, one line of JSON each.
//!
//! `oracle verdicts <versions> <count> <first seed>`, the same with `resolutions` (of states), or with `rooms` (the same
//! by RoomObjects), with versions as in `10,11,12`. The same arguments give the same cases.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![expect(clippy::explicit_auto_deref, reason = "without the dereference the type is not inferred")]

mod branches;
mod deeds;
mod fields;
mod founding;
mod judge;
mod levels;
mod members;
mod rooms;
mod story;
mod twists;
mod world;

use std::{
    env,
    io::{BufWriter, Write, stdout},
};

use tombolo_protocol::room_version::RoomVersion;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [what, versions, count, seed] = arguments.as_slice() else {
        panic!("usage: oracle verdicts|resolutions|rooms <versions> <count> <first seed>");
    };
    let versions: Vec<_> = versions.split(',').map(|id| RoomVersion::of(id).unwrap()).collect();
    let (count, mut seed): (usize, u64) = (count.parse().unwrap(), seed.parse().unwrap());
    let mut out = BufWriter::new(stdout().lock());
    let mut done = 0;
    while done < count {
        let version = versions[usize::try_from(seed).unwrap() % versions.len()];
        let (line, cases) = match what.as_str() {
            "verdicts" => story::tell(version, seed),
            "resolutions" => (branches::tell(version, seed), 1),
            "rooms" => (rooms::tell(version, seed), 1),
            other => panic!("no such cases: {other}"),
        };
        writeln!(out, "{line}").unwrap();
        done += cases;
        seed += 1;
    }
}
