//! What are users of other servers called for who finds them?

use serde_json::{Value, json};
use tombolo_support::{Scene, User, encode};

use crate::flows::tests::two_servers;

fn search(scene: &Scene, user: &User, term: &str) -> Value {
    let line = "POST /_matrix/client/v3/user_directory/search";
    scene.call(Some(user), line, &json!({ "search_term": term })).ok()["results"].clone()
}

#[test]
fn another_servers_user_is_called_what_they_are_in_a_room_that_the_asker_sees() {
    let two = two_servers();
    let carol = two.scene.register("carol");
    let line = format!("PUT /_matrix/client/v3/profile/{}/displayname", encode(&two.bob.id));
    two.scene.call(Some(&two.bob), &line, &json!({ "displayname": "Bob" })).ok();
    let open = two.meet(json!({}));
    let closed = two.scene.room(&two.alice, &json!({ "invite": [two.bob.id] }));
    two.through(&two.bob, "join", &closed).ok();
    let hidden = json!({ "membership": "join", "displayname": "Hidden" });
    two.scene.set(&two.bob, &closed, ("m.room.member", &two.bob.id), &hidden);
    two.scene.simulation.settle(60_000);
    let bob = json!([{ "user_id": two.bob.id, "display_name": "Bob" }]);
    assert_eq!(search(&two.scene, &carol, "bob"), bob, "an open room shows him");
    two.scene.act(&two.bob, &open, "leave", &json!({})).ok();
    two.scene.simulation.settle(60_000);
    assert_eq!(search(&two.scene, &carol, "bob"), json!([]));
    let hidden = json!([{ "user_id": two.bob.id, "display_name": "Hidden" }]);
    assert_eq!(search(&two.scene, &two.alice, "@bob"), hidden, "she shares that room");
}
