//! Do operators see which servers there are and which of them fail, and can they have one tried again?

use std::rc::Rc;

use serde_json::{Value, json};
use tombolo_support::Pair;

use crate::app::Tombolo;

#[test]
fn servers_are_shown_and_tried_again() {
    let two = Pair::new(Rc::new(Tombolo), ["ours.test:8448", "other.test:8448"]);
    let (scene, admin) = (&two.scene, two.scene.register("admin"));
    let update = "UPDATE accounts SET admin = 1 WHERE localpart = 'admin'";
    scene.server.d1().run(update, &[]).unwrap();
    let room = two.meet(json!({}));
    scene.simulation.settle(60_000);
    let all = "/_synapse/admin/v1/federation/destinations";
    let one = format!("{all}/other.test:8448");
    let reset = format!("POST {one}/reset_connection");
    for line in
        [format!("GET {all}"), format!("GET {one}"), format!("GET {one}/rooms"), reset.clone()]
    {
        scene.call(Some(&two.alice), &line, &json!({})).refused(403, "M_FORBIDDEN");
        scene.call(None, &line, &json!({})).refused(401, "M_MISSING_TOKEN");
    }
    let well = json!({
        "destination": "other.test:8448", "retry_last_ts": 0, "retry_interval": 0, "retry_at": null,
        "failure_ts": null, "last_successful_stream_ordering": null,
    });
    assert_eq!(scene.get(&admin, all).ok(), json!({ "destinations": [well], "total": 1 }));
    assert_eq!(scene.get(&admin, &one).ok(), well);
    let rooms = scene.get(&admin, &format!("{one}/rooms")).ok();
    assert_eq!(
        rooms,
        json!({ "rooms": [{ "room_id": room, "stream_ordering": null }], "total": 1 })
    );
    let none = |query: &str| scene.get(&admin, &format!("{all}?{query}")).ok()["total"].clone();
    assert_eq!(
        (none("destination=OTHER"), none("destination=nobody"), none("from=5")),
        (1.into(), 0.into(), 1.into())
    );
    for query in ["order_by=x", "dir=x", "from=-1"] {
        scene.get(&admin, &format!("{all}?{query}")).refused(400, "M_INVALID_PARAM");
    }
    for server in ["nobody.test", "ours.test:8448"] {
        scene.get(&admin, &format!("{all}/{server}")).refused(404, "M_NOT_FOUND");
    }
    scene.call(Some(&admin), &reset, &json!({})).refused(400, "M_UNKNOWN");
    // While it cannot be reached it fails; what an operator has tried again is tried at once.
    two.cut(3_600_000);
    scene.say(&two.alice, &room, "is anybody there");
    scene.pass(120_000);
    let fails = scene.get(&admin, &one).ok();
    assert!(fails["failure_ts"].is_u64() && fails["retry_at"].is_u64(), "{fails}");
    assert_eq!(fails["retry_last_ts"], Value::Null);
    scene.simulation.heal();
    scene.call(Some(&admin), &reset, &json!({})).ok();
    scene.pass(5_000);
    assert_eq!(scene.get(&admin, &one).ok(), well);
}
