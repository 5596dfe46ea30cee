//! Does a room's alarm do all that is due, even if one part fails or waits?

use serde_json::json;
use tombolo_platform::Address;
use tombolo_support::{ok, refusal};

use super::{Guest, OURS, PEER, heard, ours};
use crate::{flows::due, objects::room::RoomClass};

#[test]
fn an_alarm_takes_up_what_is_parked_and_tells_of_what_came() {
    let guest = Guest::new();
    let pdus = guest.messages(&["first", "second"]);
    guest.peer.on("get_missing_events", |_| refusal(500, "M_UNKNOWN"));
    guest.peer.on("state_ids", |_| refusal(500, "M_UNKNOWN"));
    guest.transaction(&pdus[1..], &[]);
    assert!(guest.heard().is_empty());
    let missing = json!({ "events": [pdus[0]] });
    guest.peer.on("get_missing_events", move |_| ok(&missing));
    guest.scene.simulation.settle(3_600_000);
    assert_eq!(guest.heard(), ["first", "second"]);
}

#[test]
fn what_waits_for_another_server_keeps_nobody_from_the_news() {
    let guest = Guest::new();
    let pdus = guest.messages(&["first", "second"]);
    guest.scene.simulation.partition(OURS, PEER, guest.scene.simulation.now() + 600_000);
    guest.transaction(&pdus[1..], &[]);
    let users = ["b", "c", "d", "e"].map(|name| guest.scene.register(name));
    for user in &users {
        guest.scene.act(user, &guest.room, "join", &json!({})).ok();
    }
    guest.scene.say(&guest.alice, &guest.room, "third");
    guest.scene.pass(5_000);
    for user in &users {
        assert_eq!(heard(&guest.scene, user, &guest.room), ["third"]);
    }
    guest.scene.simulation.heal();
    let missing = json!({ "events": [pdus[0]] });
    guest.peer.on("get_missing_events", move |_| ok(&missing));
    guest.scene.simulation.settle(3_600_000);
    assert_eq!(guest.heard(), ["third", "first", "second"]);
}

#[test]
fn a_room_that_nobody_knows_has_nothing_due() {
    let scene = ours();
    for name in ["!unknown:ours.test:8448", "no room"] {
        let (world, address) = (scene.server.world(), Address::<RoomClass>::new(name));
        assert_eq!(scene.simulation.run(due::room(world, address)).unwrap(), None, "{name}");
    }
    assert!(scene.server.objects().is_empty());
}
