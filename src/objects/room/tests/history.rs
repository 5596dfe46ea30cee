//! What fills a gap, and what is never asked for again?

use ruma::OwnedEventId;
use serde_json::json;
use tombolo_protocol::event::Pdu;

use super::scene::*;
use crate::objects::room::messages::*;

/// Two messages of Bob's that the room does not hold, with a third that builds on both and was let in above them.
fn above_a_hole(scene: &Scene) -> [Pdu; 2] {
    scene.join_bob();
    let extremities = scene.extremities();
    let says = |body: &str, parents: &[OwnedEventId]| {
        scene.theirs("m.room.message", None, &json!({ "body": body }), parents)
    };
    let missing = [says("one", &extremities), says("two", &extremities)];
    let child = says("three", &missing.each_ref().map(|pdu| pdu.event_id.clone()));
    assert_eq!(scene.outcome(&child), Outcome::Parked);
    assert_eq!(scene.connect(&child, &[], None), [(child.event_id, Outcome::Accepted)]);
    missing
}

#[test]
fn what_one_server_leaves_out_is_asked_of_the_others() {
    for others in [true, false] {
        let scene = Scene::new("11");
        let missing = above_a_hole(&scene);
        let gaps = |pdu: &Pdu| {
            scene.count(&format!("holes WHERE missing LIKE '%{}%'", &pdu.event_id.as_str()[1..]))
        };
        assert_eq!(missing.each_ref().map(gaps), [1, 1]);
        let asked = missing.each_ref().map(|pdu| pdu.event_id.clone()).to_vec();
        let events = vec![checked(&missing[0])];
        scene.ask(History { events, asked, states: Vec::new(), others }).unwrap();
        assert_eq!(missing.each_ref().map(gaps), [0, i64::from(others)], "others: {others}");
    }
}
