//! Do many servers end in one state, whatever goes wrong between them?
//!
//! A seed makes a scenario: servers, users, rooms, and what goes wrong. Users speak HTTP to their servers, servers to
//! each other. Afterwards all that count each other in must agree, and nothing that was acknowledged may be lost; in a
//! few seeds, each for a reason that is named, servers part.
//!
//! `cargo test --test convergence all_servers -- --nocapture` runs 200 seeds, `TOMBOLO_SEEDS=n` n of them (from
//! `TOMBOLO_FROM=n` on), `TOMBOLO_SEED=n` only that one, with everything its users did; with `TOMBOLO_TRANSCRIPT=file` also
//! what servers did.
//!
//! `make soak` runs seeds that nobody chose, until one fails; `TOMBOLO_SEEDS=n` at most n of them.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod actor;
mod bridge;
mod checks;
mod copy;
mod network;
mod scenario;
mod secrets;
mod story;
mod syncing;

use std::{
    env, fs,
    time::{SystemTime, UNIX_EPOCH},
};

use tombolo_support::{Dice, number, run_seeds};

/// How many seeds are run unless said otherwise.
const SEEDS: u64 = 200;

/// How many seeds that nobody chose are run before it is said how they went.
const TOGETHER: u64 = 500;

/// In at most so many seeds of a hundred may servers part for good, as the rules of a room have it.
const ESTRANGED: u64 = 8;

/// What came of some seeds.
#[derive(Default)]
struct Tally {
    seeds: u64,
    events: usize,
    acknowledged: usize,
    refused: usize,
    failed: usize,
    estranged: Vec<(u64, Vec<String>)>,
    wrong: Vec<(u64, Vec<String>)>,
}

#[test]
fn all_servers_end_in_one_state_and_lose_nothing() {
    if let Some(seed) = number("TOMBOLO_SEED") {
        return replay(seed);
    }
    let count = number("TOMBOLO_SEEDS").unwrap_or(SEEDS);
    let from = number("TOMBOLO_FROM").unwrap_or(0);
    judge(run_all(from, count), count);
}

#[test]
#[ignore = "it runs for hours"]
#[expect(clippy::disallowed_methods, reason = "the seeds are nobody's choice")]
fn seeds_that_nobody_chose_end_in_one_state_too() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let base =
        number("TOMBOLO_FROM").unwrap_or(Dice::new(now.as_secs(), 0).between(0, 1 << 30) as u64);
    let count = number("TOMBOLO_SEEDS").unwrap_or(u64::MAX - base);
    println!("seeds from {base} on");
    let mut done = 0;
    while done < count {
        let some = TOGETHER.min(count - done);
        judge(run_all(base + done, some), some);
        done += some;
        println!("{done} seeds");
    }
}

/// Runs seeds, as many at once as there are processors.
fn run_all(from: u64, count: u64) -> Tally {
    run_seeds((from, count), |seed| scenario::run(seed, false), Tally::add)
}

/// Prints what came of so many seeds, and panics where one failed.
fn judge(mut tally: Tally, count: u64) {
    tally.wrong.sort();
    tally.estranged.sort();
    let Tally { seeds, events, acknowledged, refused, failed, estranged, wrong } = &tally;
    println!(
        "{seeds} seeds: {events} events, {acknowledged} acknowledged, {refused} refused, {failed} failed"
    );
    for (seed, servers) in estranged {
        println!("seed {seed}, servers parted:\n    {}", servers.join("\n    "));
    }
    for (seed, findings) in wrong {
        println!("seed {seed}:\n    {}", findings.join("\n    "));
    }
    let seeds: Vec<u64> = wrong.iter().map(|(seed, _)| *seed).collect();
    assert!(
        wrong.is_empty(),
        "{} of {count} seeds fail: {seeds:?}; TOMBOLO_SEED shows one",
        seeds.len()
    );
    let most = (ESTRANGED * count).div_ceil(100);
    assert!(estranged.len() as u64 <= most, "servers part in more than {most} seeds");
}

impl Tally {
    fn add(&mut self, seed: u64, ran: Option<(scenario::Run, Vec<String>)>) {
        self.seeds += 1;
        let Some((run, findings)) = ran else {
            self.wrong.push((seed, vec!["it panicked".to_owned()]));
            return;
        };
        self.events += checks::events(&run);
        self.acknowledged += run.story.acknowledged.borrow().len();
        self.refused += run.story.refused.get();
        self.failed += run.story.failed.get();
        let estranged = run.story.estranged.take();
        if !estranged.is_empty() {
            self.estranged.push((seed, estranged));
        }
        if !findings.is_empty() {
            self.wrong.push((seed, findings));
        }
    }
}

#[test]
fn a_seed_replays_byte_for_byte() {
    let run = |seed| {
        let (run, _) = scenario::run(seed, true);
        (run.simulation.transcript(), run.story.lines.take())
    };
    let (once, again) = (run(3), run(3));
    assert!(once == again, "two runs of one seed differ");
    assert!(once != run(4), "two seeds run alike");
}

/// Runs one seed and shows what happened.
fn replay(seed: u64) {
    let transcript = env::var("TOMBOLO_TRANSCRIPT").ok();
    let (run, findings) = scenario::run(seed, transcript.is_some());
    if let Some(file) = transcript {
        fs::write(file, run.simulation.transcript()).unwrap();
    }
    println!("{}", run.story.lines.take().join("\n"));
    for room in 0..run.story.rooms.borrow().len() {
        for (server, copy) in checks::copies(&run, room) {
            println!("room {room} at a{server}: {}", copy.drawn());
        }
    }
    for room in 0..run.story.rooms.borrow().len() {
        println!("{}", checks::agreement::first_differences(&run, room).join("\n"));
    }
    println!("servers parted: {:?}", run.story.estranged.take());
    assert!(findings.is_empty(), "seed {seed}:\n    {}", findings.join("\n    "));
}
