//! What does the next sync show of a room that was seen before?

use serde_json::json;

use super::scene::*;
use crate::objects::room::messages::*;

#[test]
fn who_names_the_room_is_told_when_that_may_have_changed() {
    let scene = Scene::new("11");
    scene.join("bertha");
    let seen = scene.send_at("alice", "m.room.message", None, &json!({ "body": "hi" }));
    assert_eq!(
        scene.window(0, 10).heroes,
        [user("bertha", OURS)],
        "to who sees it for the first time"
    );
    scene.evict();
    scene.send_at("alice", "m.room.message", None, &json!({ "body": "again" }));
    assert!(scene.window(seen, 10).heroes.is_empty(), "nothing happened but a message");
    scene.join("carl");
    assert_eq!(scene.window(seen, 10).heroes.len(), 2, "somebody came");
}

#[test]
fn a_state_that_was_replaced_meanwhile_is_shown_as_it_was() {
    let scene = Scene::new("11");
    let name = |name: &str| json!({ "name": name });
    scene.send_at("alice", "m.room.name", Some(""), &name("old"));
    let between = scene.send_at("alice", "m.room.message", None, &json!({ "body": "hi" }));
    let later = scene.send_at("alice", "m.room.name", Some(""), &name("new"));
    for evicted in [false, true] {
        if evicted {
            scene.evict();
        }
        let window = scene.window_to(0, between, 1);
        let shown = serde_json::to_string(&window.state).unwrap();
        assert!(shown.contains("old") && !shown.contains("new"), "{shown}");
        let window = scene.window_to(0, later, 1);
        assert_eq!(window.timeline.len(), 1);
        assert!(window.timeline[0].get().contains("\"prev_content\":{\"name\":\"old\"}"));
    }
}

#[test]
fn a_ban_that_came_with_the_state_is_shown_to_whom_it_keeps_out() {
    let (scene, given) = Scene::of_bob();
    let join = scene.begin_join(&given);
    let state = scene.give(&join, &given);
    scene.ask(FinishJoin { event: join, state }).unwrap();
    let carl = user("carl", OURS);
    let to = scene.ask(Undelivered {}).unwrap().to;
    let shown = |from| {
        let (timeline, state) = (EventFilter::default(), EventFilter::default());
        let (user, device) = (carl.clone(), "D".to_owned());
        let window = Window { user, device, from, to, full_state: false, timeline, state };
        let window = scene.ask(window).unwrap();
        assert!(window.timeline.is_empty(), "it did not happen here");
        ids(&window.state)
    };
    assert_eq!(shown(0), [given[4].event_id.as_str()]);
    assert!(shown(to).is_empty(), "it was shown");
}
