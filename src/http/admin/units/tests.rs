//! Are the units told only where they are asked for?

use std::rc::Rc;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http::Request;
use serde_json::Value;
use tombolo_platform::simulated::Simulation;

use crate::app::Tombolo;

/// What a server with these further variables answers.
fn ask(further: &[(&str, &str)]) -> (u16, Value) {
    let simulation = Simulation::new(1);
    let (key, secret) =
        (format!("ed25519 1 {}", STANDARD_NO_PAD.encode([7; 32])), STANDARD_NO_PAD.encode([9; 32]));
    let mut variables = vec![
        ("SERVER_NAME", "example.org"),
        ("SIGNING_KEY", key.as_str()),
        ("TOKEN_SECRET", secret.as_str()),
    ];
    variables.extend(further);
    let server = simulation.server("example.org", Rc::new(Tombolo), &variables, &[]);
    let request = Request::get("/_tombolo/units").body(Bytes::new()).unwrap();
    let response = simulation.run(server.request(request)).unwrap();
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

#[test]
fn the_units_are_told_where_they_are_asked_for() {
    let (status, units) = ask(&[("UNITS", "yes")]);
    assert_eq!(status, 200);
    assert_eq!(units["requests"], 1, "{units}");
    assert_eq!(units["rows_written"], 0, "{units}");
}

#[test]
fn elsewhere_the_path_is_unknown() {
    for variables in [&[][..], &[("UNITS", "no")], &[("UNITS", "")]] {
        let (status, answer) = ask(variables);
        assert_eq!((status, answer["errcode"].as_str()), (404, Some("M_UNRECOGNIZED")));
    }
}
