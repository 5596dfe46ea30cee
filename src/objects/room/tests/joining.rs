//! Which server is asked how a join ended, and which given events are kept?

use ruma::OwnedEventId;
use serde_json::json;
use tombolo_protocol::event::{Pdu, redacted};

use super::scene::*;
use crate::objects::room::messages::*;

const THIRD: &str = "third.test";

/// Begins to join through the other server.
fn begin(scene: &Scene) -> OwnedEventId {
    begin_as(scene, "alice", "11", THEIRS)
}

/// Begins to join, as a local user, a room that a server says is of this version.
fn begin_as(scene: &Scene, localpart: &str, version: &str, via: &str) -> OwnedEventId {
    let (user, content) = (user(localpart, OURS), json!({ "membership": "join" }));
    let join = scene.elsewhere(&user, ("m.room.member", Some(user.as_str())), &content, &[]);
    let (event, via) = (checked(&join), via.try_into().unwrap());
    scene
        .ask(BeginJoin { version: version.to_owned(), user, event, via, until: 2_000_000 })
        .unwrap();
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

/// The server whose turn it is to be asked, if an attempt is due.
fn due(scene: &Scene) -> Option<String> {
    scene.ask(DueJoin {}).unwrap().attempt.map(|attempt| attempt.via.to_string())
}

/// The server whose turn it is, when an attempt is due; this attempt fails too.
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
    // An event whose content does not match its hash is stored redacted.
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

/// A local user joins with a state of which some events could not be verified.
fn join_without(scene: &Scene, localpart: &str, state: &[Pdu], unverified: Vec<OwnedEventId>) {
    let event = scene.begin_join_of(localpart, state);
    let state = scene.give_without(&event, state, unverified).unwrap();
    scene.ask(FinishJoin { event, state }).unwrap();
}

/// A membership of Dora, who is of a third server.
fn dora_is(scene: &Scene, sender: &str, membership: &str, auth: &[&Pdu]) -> Pdu {
    let (dora, content) = (user("dora", THIRD), json!({ "membership": membership }));
    let auth: Vec<_> = auth.iter().map(|pdu| pdu.event_id.clone()).collect();
    let sender = user(sender, if sender == "dora" { THIRD } else { THEIRS });
    scene.elsewhere(&sender, ("m.room.member", Some(dora.as_str())), &content, &auth)
}

fn take_outlier(scene: &Scene, event: &Pdu) {
    let (origin, events) = (THIRD.try_into().unwrap(), vec![checked(event)]);
    scene.ask(Receive { origin, events, purpose: Purpose::Outlier, again: Vec::new() }).unwrap();
}

fn of_dora(scene: &Scene) -> Option<OwnedEventId> {
    scene.state_id("m.room.member", user("dora", THIRD).as_str())
}

#[test]
fn what_could_not_be_verified_is_in_the_state_when_it_can_be() {
    let (scene, state) = Scene::of_bob();
    let absent = dora_is(&scene, "dora", "join", &[&state[0], &state[2], &state[3]]);
    join_without(&scene, "alice", &state, vec![absent.event_id.clone()]);
    let seen = scene.ask(Undelivered {}).unwrap().to;
    assert_eq!(of_dora(&scene), None);
    take_outlier(&scene, &absent);
    assert_eq!(of_dora(&scene), Some(absent.event_id.clone()));
    let parents = scene.extremities();
    let mut says = scene.elsewhere(
        &user("dora", THIRD),
        ("m.room.message", None),
        &json!({ "body": "hi" }),
        &[state[0].event_id.clone(), state[2].event_id.clone(), absent.event_id.clone()],
    );
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

#[test]
fn what_was_resolved_without_what_could_not_be_verified_is_resolved_again() {
    let (scene, state) = Scene::of_bob();
    let invite = dora_is(&scene, "bob", "invite", &[&state[0], &state[1], &state[2]]);
    let absent = dora_is(&scene, "dora", "join", &[&state[0], &invite, &state[2], &state[3]]);
    join_without(&scene, "alice", &state, vec![absent.event_id.clone()]);
    take_outlier(&scene, &invite);
    scene.send("alice", "m.room.message", None, &json!({ "body": "hi" })).unwrap();
    // On another branch, from before Dora accepted the invite.
    let unknown = format!("${}", "u".repeat(43)).try_into().unwrap();
    let beside = scene.theirs("m.room.message", None, &json!({ "body": "ho" }), &[unknown]);
    assert_eq!(scene.outcome(&beside), Outcome::Parked);
    let given = state.iter().chain([&invite]).map(|pdu| pdu.event_id.clone()).collect();
    let (origin, event_id) = (THEIRS.try_into().unwrap(), beside.event_id.clone());
    scene.ask(Connect { origin, event_id, state: given, missing: Vec::new() }).unwrap();
    assert_eq!(of_dora(&scene), Some(invite.event_id));
    take_outlier(&scene, &absent);
    assert_eq!(of_dora(&scene), Some(absent.event_id.clone()));
    // The event that merges the branches resolves their states once more.
    let merging = scene.send("alice", "m.room.message", None, &json!({ "body": "so" })).unwrap();
    assert_eq!(scene.extremities(), [merging]);
    assert_eq!(of_dora(&scene), Some(absent.event_id));
}

#[test]
fn what_cites_what_could_not_be_verified_is_left_out_as_long() {
    let (scene, mut state) = Scene::of_bob();
    let invite = dora_is(&scene, "bob", "invite", &[&state[0], &state[1], &state[2]]);
    let absent = dora_is(&scene, "dora", "join", &[&state[0], &invite, &state[2], &state[3]]);
    state.push(absent.clone());
    join_without(&scene, "alice", &state, Vec::new());
    assert_eq!(of_dora(&scene), None);
    take_outlier(&scene, &invite);
    assert_eq!(of_dora(&scene), None);
    take_outlier(&scene, &absent);
    assert_eq!(of_dora(&scene), Some(absent.event_id));
}

#[test]
fn without_what_the_power_levels_cite_there_is_no_join() {
    let (scene, mut state) = Scene::of_bob();
    let join = scene.begin_join(&state);
    let unseen = dora_is(&scene, "bob", "invite", &[&state[0], &state[1], &state[2]]);
    let auth = [&state[0], &state[1], &state[2], &unseen].map(|pdu| pdu.event_id.clone());
    let content = json!({ "users": { "@bob:theirs.test": 100 }, "ban": 60 });
    let levels = ("m.room.power_levels", Some(""));
    state[2] = scene.elsewhere(&user("bob", THEIRS), levels, &content, &auth);
    let refused = scene.give_without(&join, &state, Vec::new());
    assert!(refused.is_err_and(|refusal| format!("{refusal:?}").contains("power_levels")));
}

#[test]
fn what_was_verified_once_is_part_of_the_state_again() {
    let (scene, state) = Scene::of_bob();
    let absent = dora_is(&scene, "dora", "join", &[&state[0], &state[2], &state[3]]);
    let join = scene.begin_join(&state);
    assert_eq!(scene.give(&join, &[state.clone(), vec![absent.clone()]].concat()), 7);
    fail(&scene, &join.event_id);
    join_without(&scene, "alice", &state, vec![absent.event_id.clone()]);
    assert_eq!(of_dora(&scene), Some(absent.event_id));
}

#[test]
fn who_turns_out_to_have_been_in_the_room_may_read_what_was_said_since() {
    let (scene, mut state) = Scene::of_bob();
    let auth = [0, 1, 2].map(|index: usize| state[index].event_id.clone());
    let content = json!({ "history_visibility": "joined" });
    let kind = ("m.room.history_visibility", Some(""));
    state.push(scene.elsewhere(&user("bob", THEIRS), kind, &content, &auth));
    let absent = dora_is(&scene, "dora", "join", &[&state[0], &state[2], &state[3]]);
    join_without(&scene, "alice", &state, vec![absent.event_id.clone()]);
    let content = json!({ "body": "before it was known" });
    let said = scene.send("alice", "m.room.message", None, &content).unwrap();
    let asked =
        || Backfill { origin: THIRD.try_into().unwrap(), from: vec![said.clone()], limit: 1 };
    assert!(scene.ask(asked()).is_err());
    take_outlier(&scene, &absent);
    let given = scene.ask(asked()).unwrap();
    assert!(given[0].get().contains("before it was known"), "{given:?}");
}

#[test]
fn an_attempt_stays_one_of_its_room_version() {
    let scene = Scene::empty();
    let join = begin(&scene);
    fail(&scene, &join);
    let other = begin_as(&scene, "carl", "10", THIRD);
    scene.ask(AbandonJoin { event_id: other, again: false }).unwrap();
    scene.pass(24 * 3600 * 1000);
    let attempt = scene.ask(DueJoin {}).unwrap().attempt.unwrap();
    assert_eq!((attempt.event.event_id, attempt.version.as_str()), (join, "11"));
}

#[test]
fn what_was_invented_in_an_earlier_stay_crowds_nothing_out() {
    let (scene, state) = Scene::of_bob();
    let absent = dora_is(&scene, "dora", "join", &[&state[0], &state[2], &state[3]]);
    let invented = (0..10_000).map(|number| format!("${number}").try_into().unwrap());
    join_without(&scene, "eve", &state, invented.collect());
    let (eve, content) = (user("eve", OURS), json!({ "membership": "leave" }));
    scene.send("eve", "m.room.member", Some(eve.as_str()), &content).unwrap();
    join_without(&scene, "alice", &state, vec![absent.event_id.clone()]);
    take_outlier(&scene, &absent);
    assert_eq!(of_dora(&scene), Some(absent.event_id));
}

#[test]
fn that_a_server_turns_out_to_be_in_a_quiet_room_is_told() {
    let (scene, state) = Scene::of_bob();
    let absent = dora_is(&scene, "dora", "join", &[&state[0], &state[2], &state[3]]);
    join_without(&scene, "alice", &state, vec![absent.event_id.clone()]);
    let (to, lagging) = (scene.ask(Undelivered {}).unwrap().to, Vec::new());
    let (lagging_users, lagging_servers) = (Vec::new(), Vec::new());
    scene.ask(Told { to, lagging, lagging_users, lagging_servers, copy_lagging: false }).unwrap();
    assert!(scene.alarm().is_none());
    take_outlier(&scene, &absent);
    assert!(scene.alarm().is_some());
    let moved = scene.ask(Undelivered {}).unwrap().moved;
    assert_eq!(moved, [(THIRD.try_into().unwrap(), true)]);
}

#[test]
fn the_server_that_let_us_in_is_asked_first_until_another_speaks() {
    let (scene, mut state) = Scene::of_bob();
    for name in ["ann", "ben"] {
        let member = user(name, "aaa.test");
        let auth = [0, 2, 3].map(|index: usize| state[index].event_id.clone());
        let content = json!({ "membership": "join" });
        let key = ("m.room.member", Some(member.as_str()));
        state.push(scene.elsewhere(&member, key, &content, &auth));
    }
    let join = scene.begin_join(&state);
    let given = scene.give(&join, &state);
    scene.ask(FinishJoin { event: join, state: given }).unwrap();
    let servers = || -> Vec<String> {
        let servers = scene.ask(Participants {}).unwrap().servers;
        servers.iter().map(ToString::to_string).collect()
    };
    assert_eq!(servers(), [OURS, THEIRS, "aaa.test"]);
    scene.receive_from("aaa.test", &[]);
    assert_eq!(servers(), [OURS, "aaa.test", THEIRS]);
}
