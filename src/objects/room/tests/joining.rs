//! Who is asked how a join ended of which nobody knows, and what of that which is given is kept?

use ruma::OwnedEventId;
use serde_json::json;
use tombolo_protocol::event::redacted;

use super::scene::*;
use crate::objects::room::messages::*;

const THIRD: &str = "third.test";

/// Begins to join through the other server.
fn begin(scene: &Scene) -> OwnedEventId {
    let (alice, content) = (user("alice", OURS), json!({ "membership": "join" }));
    let join = scene.elsewhere(&alice, ("m.room.member", Some(alice.as_str())), &content, &[]);
    let begin = BeginJoin {
        version: "11".to_owned(),
        user: alice,
        event: checked(&join),
        via: THEIRS.try_into().unwrap(),
        until: 2_000_000,
    };
    scene.ask(begin).unwrap();
    join.event_id
}

fn fail(scene: &Scene, event_id: &OwnedEventId) {
    scene.ask(AbandonJoin { event_id: event_id.clone(), again: true }).unwrap();
}

/// A server sends an event that is built on another.
fn hear(scene: &Scene, origin: &str, parent: &OwnedEventId) {
    let (bob, content) = (user("bob", THEIRS), json!({ "body": origin }));
    let message =
        scene.elsewhere(&bob, ("m.room.message", None), &content, std::slice::from_ref(parent));
    scene.receive_from(origin, &[&message]);
}

/// Whether it is time to ask, and whose turn it is.
fn due(scene: &Scene) -> Option<String> {
    scene.ask(DueJoin {}).unwrap().attempt.map(|attempt| attempt.via.to_string())
}

/// Whose turn it is, when it is time; that fails too.
fn next(scene: &Scene, event_id: &OwnedEventId) -> String {
    let server = due(scene).unwrap_or_else(|| {
        scene.pass(24 * 3600 * 1000);
        due(scene).unwrap()
    });
    fail(scene, event_id);
    server
}

#[test]
fn who_may_have_heard_of_it_while_it_is_under_way_is_asked_afterwards() {
    let scene = Scene::empty();
    let join = begin(&scene);
    hear(&scene, THIRD, &join);
    assert_eq!(due(&scene), None, "somebody is at it");
    fail(&scene, &join);
    let asked: Vec<String> = (0..4).map(|_| next(&scene, &join)).collect();
    assert_eq!(asked, [THIRD, THEIRS, THIRD, THEIRS]);
}

#[test]
fn who_may_have_heard_of_it_after_it_failed_is_asked_at_once() {
    let scene = Scene::empty();
    let join = begin(&scene);
    fail(&scene, &join);
    assert_eq!(due(&scene), None, "it is not time");
    hear(&scene, THIRD, &format!("${:0>43}", "other").try_into().unwrap());
    assert_eq!(due(&scene), None, "it may know nothing of the room");
    hear(&scene, THIRD, &join);
    let asked = scene.ask(DueJoin {}).unwrap();
    assert!(asked.unproven && asked.attempt.unwrap().via == THIRD, "it has to show that it heard");
    fail(&scene, &join);
    hear(&scene, THIRD, &join);
    assert_eq!(due(&scene), None, "it was asked");
    scene.pass(24 * 3600 * 1000);
    let asked = scene.ask(DueJoin {}).unwrap();
    assert!(!asked.unproven && asked.attempt.unwrap().via == THEIRS, "who was chosen has its turn");
}

#[test]
fn many_names_do_not_crowd_out_who_was_chosen() {
    let scene = Scene::empty();
    let join = begin(&scene);
    fail(&scene, &join);
    for number in 0..20 {
        hear(&scene, &format!("s{number}.test"), &join);
    }
    let asked: Vec<String> = (0..6).map(|_| next(&scene, &join)).collect();
    assert!(asked.iter().any(|server| server == THEIRS), "{asked:?}");
    assert_eq!(asked[5], asked[0], "five take turns");
}

#[test]
fn what_one_server_changed_another_gives_whole() {
    let (scene, state) = Scene::of_bob();
    let join = scene.begin_join(&state);
    let mut changed = state.clone();
    // An event whose content does not match its hash is taken without it.
    changed[5] = redacted(&state[5], scene.version).unwrap();
    assert_eq!(scene.give(&join, &changed), 6);
    fail(&scene, &join.event_id);
    let join = scene.begin_join(&state);
    let stands = scene.give(&join, &state);
    scene.ask(FinishJoin { event: join, state: stands }).unwrap();
    let (user, kind) = (user("alice", OURS), Some("m.room.name".to_owned()));
    let name = scene.ask(State { user, event_type: kind, state_key: Some(String::new()) }).unwrap();
    assert!(name[0].get().contains("Bob's"), "{name:?}");
}

#[test]
fn what_is_rejected_is_not_kept_of_a_room_we_are_not_in() {
    let (scene, mut state) = Scene::of_bob();
    let join = scene.begin_join(&state);
    let mallory = user("mallory", THEIRS);
    let content = json!({ "name": "junk" });
    state.push(scene.elsewhere(&mallory, ("m.room.name", Some("x")), &content, &[]));
    assert_eq!(scene.give(&join, &state), 6);
    assert_eq!(scene.count("events"), 6);
}

#[test]
fn what_could_not_be_verified_is_in_the_state_when_it_can_be() {
    let (scene, state) = Scene::of_bob();
    let (dora, content) = (user("dora", THIRD), json!({ "membership": "join" }));
    let auth = [0, 2, 3].map(|index: usize| state[index].event_id.clone());
    let absent = scene.elsewhere(&dora, ("m.room.member", Some(dora.as_str())), &content, &auth);
    let join = scene.begin_join(&state);
    let left_out = LeftOut {
        event_id: absent.event_id.clone(),
        event_type: "m.room.member".to_owned(),
        state_key: dora.to_string(),
    };
    let give = GiveJoin {
        event_id: join.event_id.clone(),
        events: state.iter().map(checked).collect(),
        state: state.iter().map(|pdu| pdu.event_id.clone()).collect(),
        left_out: vec![left_out],
    };
    let given = scene.ask(give).unwrap();
    scene.ask(FinishJoin { event: join, state: given }).unwrap();
    let seen = scene.ask(Undelivered {}).unwrap().to;
    assert_eq!(scene.state_id("m.room.member", dora.as_str()), None);
    let (origin, events) = (THIRD.try_into().unwrap(), vec![checked(&absent)]);
    scene.ask(Receive { origin, events, purpose: Purpose::Outlier, again: Vec::new() }).unwrap();
    assert_eq!(scene.state_id("m.room.member", dora.as_str()), Some(absent.event_id.clone()));
    let parents = scene.tips();
    let says = scene.elsewhere(
        &dora,
        ("m.room.message", None),
        &json!({ "body": "hi" }),
        &[state[0].event_id.clone(), state[2].event_id.clone(), absent.event_id.clone()],
    );
    let mut says = says;
    says.json = says.json.replace(
        &format!("\"prev_events\":[\"{}\"]", absent.event_id),
        &format!("\"prev_events\":[\"{}\"]", parents[0]),
    );
    let received = scene.receive_from(THIRD, &[&says]);
    assert_eq!(received.outcomes[0].1, Outcome::Accepted);
    let to = scene.ask(Undelivered {}).unwrap().to;
    let shown = ids(&scene.window_to(seen, to, 10).state);
    assert!(shown.contains(&absent.event_id.to_string()), "clients learn of it: {shown:?}");
}
