//! Does every device get what it is sent, once, and does every client know the devices it has to know, whatever goes
//! wrong?
//!
//! A seed makes a scenario: two or three servers with users, devices and rooms, and what goes wrong. Devices log in and
//! out, publish and claim keys, send each other messages, and follow the lists of devices as the specification has
//! clients do it ([tracking the device list](https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user)).
//! Once nothing goes wrong any more, nothing may be lost, doubled or out of date.
//!
//! `cargo test --test devices -- --nocapture` runs 50 seeds, `TOMBOLO_SEEDS=n` n of them (from `TOMBOLO_FROM=n` on),
//! `TOMBOLO_SEED=n` only that one, with everything its devices did; with `TOMBOLO_TRANSCRIPT=file` also what servers did.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod actor;
mod checks;
mod client;
mod keys;
mod network;
mod scenario;
mod story;

use std::{env, fs};

use tombolo_support::{number, run_seeds};

/// How many seeds are run unless said otherwise.
const SEEDS: u64 = 50;

/// What came of some seeds.
#[derive(Default)]
struct Tally {
    counts: story::Counts,
    wrong: Vec<(u64, Vec<String>)>,
}

#[test]
fn every_device_gets_its_messages_and_knows_the_others() {
    if let Some(seed) = number("TOMBOLO_SEED") {
        return replay(seed);
    }
    let count = number("TOMBOLO_SEEDS").unwrap_or(SEEDS);
    let from = number("TOMBOLO_FROM").unwrap_or(0);
    let mut tally: Tally = run_seeds((from, count), |seed| scenario::run(seed, false), Tally::add);
    tally.wrong.sort();
    println!("{count} seeds: {:?}", tally.counts);
    for (seed, findings) in &tally.wrong {
        println!("seed {seed}:\n    {}", findings.join("\n    "));
    }
    let seeds: Vec<u64> = tally.wrong.iter().map(|(seed, _)| *seed).collect();
    let wrong = seeds.len();
    assert!(wrong == 0, "{wrong} of {count} seeds fail: {seeds:?}; TOMBOLO_SEED shows one");
}

impl Tally {
    fn add(&mut self, seed: u64, ran: Option<(scenario::Run, Vec<String>)>) {
        let Some((run, findings)) = ran else {
            self.wrong.push((seed, vec!["it panicked".to_owned()]));
            return;
        };
        self.counts.add(&run.story.counts());
        if !findings.is_empty() {
            self.wrong.push((seed, findings));
        }
    }
}

/// Runs one seed and shows what happened.
fn replay(seed: u64) {
    let transcript = env::var("TOMBOLO_TRANSCRIPT").ok();
    let (run, findings) = scenario::run(seed, transcript.is_some());
    if let Some(file) = transcript {
        fs::write(file, run.simulation.transcript()).unwrap();
    }
    println!("{}", run.story.lines.take().join("\n"));
    assert!(findings.is_empty(), "seed {seed}:\n    {}", findings.join("\n    "));
}
