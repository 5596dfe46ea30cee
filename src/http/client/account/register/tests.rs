//! Which sessions complete a registration, and is a random name valid?

use serde_json::{Value, json};

use super::{chosen_name, purpose};
use crate::config::Registration;

const SECRET: &[u8] = b"the secret of this server";

/// A session of a registration that is under way.
fn begun(secret: &[u8], username: &str, now: u64) -> String {
    let flows = purpose(secret, Registration::Open, username).stage(None, now).unwrap_err();
    flows["session"].as_str().unwrap().to_owned()
}

fn dummy(session: &str) -> Value {
    json!({ "type": "m.login.dummy", "session": session })
}

#[test]
fn without_auth_the_client_learns_the_flow_and_no_error() {
    let body = purpose(SECRET, Registration::Open, "alice").stage(None, 0).unwrap_err();
    assert_eq!(body["flows"], json!([{ "stages": ["m.login.dummy"] }]));
    assert!(body.get("errcode").is_none());
}

#[test]
fn the_dummy_stage_completes_the_flow() {
    let purpose = purpose(SECRET, Registration::Open, "alice");
    purpose.stage(Some(&dummy(&begun(SECRET, "alice", 0))), 1_000).unwrap();
    purpose.stage(Some(&json!({ "type": "m.login.dummy" })), 0).unwrap();
}

#[test]
fn a_session_serves_one_account_only() {
    let session = begun(SECRET, "alice", 0);
    let refused =
        purpose(SECRET, Registration::Open, "bob").stage(Some(&dummy(&session)), 0).unwrap_err();
    assert_eq!(refused["errcode"], "M_FORBIDDEN");
}

#[test]
fn forged_and_old_sessions_are_refused() {
    let purpose = purpose(SECRET, Registration::Open, "alice");
    let foreign = begun(b"another", "alice", 0);
    for session in ["", "1", "99999999999999.AAAA", foreign.as_str()] {
        assert!(purpose.stage(Some(&dummy(session)), 0).is_err(), "{session}");
    }
    assert!(purpose.stage(Some(&dummy(&begun(SECRET, "alice", 0))), 600_001).is_err());
}

#[test]
fn another_stage_completes_nothing() {
    let purpose = purpose(SECRET, Registration::Open, "");
    for auth in [
        json!({ "type": "m.login.password" }),
        json!({}),
        json!("m.login.dummy"),
        json!({ "type": 1 }),
    ] {
        assert!(purpose.stage(Some(&auth), 0).is_err(), "{auth}");
    }
}

#[test]
fn a_chosen_name_is_a_valid_one() {
    let name = chosen_name(&[
        0, 25, 26, 255, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
        9, 9, 9,
    ]);
    assert!(name.starts_with("azav") && name.len() == 16);
}
