//! Are the counters shown only if `UNITS` is `yes`?

use std::rc::Rc;

use serde_json::Value;
use tombolo_support::{Answer, Scene};

use crate::app::Tombolo;

/// The answer of a server with these further variables.
fn ask(further: &[(&str, &str)]) -> (u16, Value) {
    let scene = Scene::new(Rc::new(Tombolo), "example.org", further);
    let Answer { status, body, .. } = scene.call(None, "GET /_tombolo/units", &Value::Null);
    (status, body)
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
