//! What goes wrong in a scenario, as the dice have it?

use std::time::Duration;

use tombolo_platform::simulated::{Faults, Server, Simulation};

use crate::dice::Dice;

/// At least three kinds of fault, sometimes all; and what they are called.
pub fn faults(dice: &Dice) -> (Faults, Vec<&'static str>) {
    type Set = (&'static str, fn(&mut Faults, u32));
    const KINDS: [Set; 9] = [
        ("late", |faults, _| faults.latency = 3000),
        ("lost fetches", |faults, chances| faults.lost_fetch = 3 * chances),
        ("repeated fetches", |faults, chances| faults.repeated_fetch = 5 * chances),
        ("lost asks", |faults, chances| faults.lost_ask = chances),
        ("repeated asks", |faults, chances| faults.repeated_ask = 5 * chances),
        ("repeated alarms", |faults, chances| faults.repeated_alarm = 20 * chances),
        ("evicted objects", |faults, chances| faults.evicted_object = 20 * chances),
        ("lost D1 calls", |faults, chances| faults.lost_d1 = chances),
        ("crashes", |faults, chances| faults.crashes_per_million = 40 * chances),
    ];
    if dice.percent(15) {
        return (Faults::HARSH, vec!["harsh"]);
    }
    let mut faults = Faults { latency: 300, fresh_isolate: 50, stale_kv: 50, ..Faults::NONE };
    let (mut names, count) = (Vec::new(), dice.between(3, 6));
    while names.len() < count {
        let (name, set) = dice.one(&KINDS);
        if !names.contains(name) {
            set(&mut faults, u32::try_from(dice.between(2, 12)).unwrap());
            names.push(*name);
        }
    }
    (faults, names)
}

/// Servers go down, objects forget, ways are closed. `note` is told which ways.
pub async fn trouble(
    simulation: &Simulation,
    servers: &[Server],
    dice: &Dice,
    note: impl Fn(String),
) {
    for _ in 0..dice.between(3, 10) {
        let pause = Duration::from_millis(dice.below(6000) as u64);
        servers[0].world().sleep(pause).await;
        let (one, other) = (dice.one(servers), dice.one(servers));
        match dice.below(5) {
            0 => one.crash(),
            1 => one.evict(),
            _ if one.name() != other.name() => {
                let until = simulation.now() + dice.between(1000, 40_000) as u64;
                note(format!(
                    "{} nothing passes between {} and {} until {until}",
                    simulation.now(),
                    one.name(),
                    other.name()
                ));
                simulation.partition(one.name(), other.name(), until);
            }
            _ => {}
        }
    }
}
