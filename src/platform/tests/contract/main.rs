//! Does the simulator keep what the platform promises?
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod simulator;
mod suite;

use std::rc::Rc;

use suite::{Contract, SCENARIOS};
use tombolo_platform::simulated::Simulation;

const NAME: &str = "contract.example";
const VARIABLES: &[(&str, &str)] = &[("ORIGIN", "https://contract.example")];

#[track_caller]
fn keeps_every_promise(seed: u64) {
    for (name, scenario) in SCENARIOS {
        let simulation = Simulation::new(seed);
        let server = simulation.server(NAME, Rc::new(Contract), VARIABLES, &[]);
        if let Err(found) = simulation.run(scenario(server.world())) {
            panic!("seed {seed}: {name}: {found}");
        }
    }
}

#[test]
fn the_simulator_keeps_every_promise() {
    (0..20).for_each(keeps_every_promise);
}

#[test]
fn the_suite_runs_as_a_request() {
    let simulation = Simulation::new(1);
    let server = simulation.server(NAME, Rc::new(Contract), VARIABLES, &[]);
    let request = http::Request::get("/contract").body(bytes::Bytes::new());
    let Ok(request) = request else { panic!("the request is well-formed") };
    match simulation.run(server.request(request)) {
        Ok(response) if response.status() == 200 => {
            let lines = response
                .body()
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .count();
            assert_eq!(lines, SCENARIOS.len());
        }
        other => panic!("{other:?}"),
    }
}
