//! Do many servers end in one state, whatever goes wrong between them?
//!
//! A seed makes a scenario: servers, users, rooms, and what goes wrong. Users speak HTTP to their servers, servers to each
//! other. Afterwards all must agree, and nothing that was acknowledged may be lost. `TOMBOLO_SEEDS=n` runs n seeds,
//! `TOMBOLO_SEED=n` only that one, with everything its users did; with `TOMBOLO_TRANSCRIPT=file` also what servers did.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod actor;
mod checks;
mod copy;
mod dice;
mod network;
mod scenario;
mod secrets;
mod story;

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// How many seeds are run unless said otherwise.
const SEEDS: u64 = 200;

#[test]
fn all_servers_end_in_one_state_and_lose_nothing() {
    if let Some(seed) = number("TOMBOLO_SEED") {
        return replay(seed);
    }
    let (next, failures, figures) = (AtomicU64::new(0), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let count = number("TOMBOLO_SEEDS").unwrap_or(SEEDS);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count {
                        break;
                    }
                    match catch_unwind(AssertUnwindSafe(|| scenario::run(seed, false).1)) {
                        Ok(ran) => figures.lock().unwrap().push(ran),
                        Err(_) => failures.lock().unwrap().push(seed),
                    }
                }
            });
        }
    });
    let (mut failures, figures) = (failures.into_inner().unwrap(), figures.into_inner().unwrap());
    failures.sort_unstable();
    let sum = |of: fn(&scenario::Figures) -> usize| figures.iter().map(of).sum::<usize>();
    println!(
        "{} seeds: {} events, {} acknowledged, {} refused, {} failed",
        figures.len(),
        sum(|ran| ran.events),
        sum(|ran| ran.acknowledged),
        sum(|ran| ran.refused),
        sum(|ran| ran.failed)
    );
    assert!(failures.is_empty(), "{} of {count} seeds fail: {failures:?}; see one by TOMBOLO_SEED", failures.len());
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
    let (run, figures) = scenario::run(seed, transcript.is_some());
    if let Some(file) = transcript {
        fs::write(file, run.simulation.transcript()).unwrap();
    }
    println!("{}\n{figures:?}", run.story.lines.take().join("\n"));
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|value| value.parse().unwrap())
}
