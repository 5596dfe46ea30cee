//! Which relay is a user told of?

use serde_json::json;

use super::{one_server, one_server_with};

const LINE: &str = "/_matrix/client/v3/voip/turnServer";

#[test]
fn a_user_gets_credentials_for_the_relay() {
    let scene = one_server_with(&[
        ("TURN_URIS", "turn:turn.example.org?transport=udp, turns:turn.example.org"),
        ("TURN_SHARED_SECRET", "secret"),
    ]);
    let alice = scene.register("alice");
    let given = scene.get(&alice, LINE).ok();
    let uris = json!(["turn:turn.example.org?transport=udp", "turns:turn.example.org"]);
    assert_eq!((&given["uris"], &given["ttl"]), (&uris, &json!(3600)));
    let (until, user) = given["username"].as_str().unwrap().split_once(':').unwrap();
    let now = scene.simulation.now() / 1000;
    assert!(until.parse::<u64>().unwrap() <= now + 3600 && user == alice.id);
    scene.call(None, &format!("GET {LINE}"), &json!(null)).refused(401, "M_MISSING_TOKEN");
}

#[test]
fn without_a_relay_there_is_nothing_to_tell() {
    let scene = one_server();
    let alice = scene.register("alice");
    assert_eq!(scene.get(&alice, LINE).ok(), json!({}));
}
