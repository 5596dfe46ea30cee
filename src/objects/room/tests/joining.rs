//! Which server is asked how a join ended, and which given events are kept?

use ruma::OwnedEventId;
use serde_json::json;
use tombolo_protocol::event::{Pdu, redacted};

use super::{lone_room::*, moving::end_telling};
use crate::objects::room::messages::*;

const THIRD: &str = "third.test";

/// Begins to join through the other server.
fn begin(room: &LoneRoom) -> OwnedEventId {
    begin_as(room, "alice", "11", THEIRS)
}

/// Begins to join, as a local user, a room that a server says is of this version.
fn begin_as(room: &LoneRoom, localpart: &str, version: &str, via: &str) -> OwnedEventId {
    let (user, content) = (user(localpart, OURS), json!({ "membership": "join" }));
    let join = room.elsewhere(&user, ("m.room.member", Some(user.as_str())), &content, &[]);
    let (event, via) = (checked(&join), via.try_into().unwrap());
    room.ask(BeginJoin { version: version.to_owned(), user, event, via, until: 2_000_000 })
        .unwrap();
    join.event_id
}

fn fail(room: &LoneRoom, event_id: &OwnedEventId) {
    room.ask(AbandonJoin { event_id: event_id.clone(), again: true }).unwrap();
}

/// A server sends an event that is built on another.
fn hear(room: &LoneRoom, origin: &str, parent: &OwnedEventId) {
    let (bob, content) = (user("bob", THEIRS), json!({ "body": origin }));
    let message =
        room.elsewhere(&bob, ("m.room.message", None), &content, std::slice::from_ref(parent));
    room.receive_from(origin, &[&message]);
}

/// The server whose turn it is to be asked, if an attempt is due.
fn due(room: &LoneRoom) -> Option<String> {
    room.ask(DueJoin {}).unwrap().attempt.map(|attempt| attempt.via.to_string())
}

/// The server whose turn it is, when an attempt is due; this attempt fails too.
fn next(room: &LoneRoom, event_id: &OwnedEventId) -> String {
    let server = due(room).unwrap_or_else(|| {
        room.pass(24 * 3600 * 1000);
        due(room).unwrap()
    });
    fail(room, event_id);
    server
}

#[test]
fn who_may_have_heard_of_it_while_it_is_under_way_is_asked_afterwards() {
    let room = LoneRoom::empty();
    let join = begin(&room);
    hear(&room, THIRD, &join);
    assert_eq!(due(&room), None, "somebody is at it");
    fail(&room, &join);
    let asked: Vec<String> = (0..4).map(|_| next(&room, &join)).collect();
    assert_eq!(asked, [THIRD, THEIRS, THIRD, THEIRS]);
}

#[test]
fn who_may_have_heard_of_it_after_it_failed_is_asked_at_once() {
    let room = LoneRoom::empty();
    let join = begin(&room);
    fail(&room, &join);
    assert_eq!(due(&room), None, "it is not time");
    hear(&room, THIRD, &format!("${:0>43}", "other").try_into().unwrap());
    assert_eq!(due(&room), None, "it may know nothing of the room");
    hear(&room, THIRD, &join);
    let asked = room.ask(DueJoin {}).unwrap();
    assert!(asked.unproven && asked.attempt.unwrap().via == THIRD, "it has to show that it heard");
    fail(&room, &join);
    hear(&room, THIRD, &join);
    assert_eq!(due(&room), None, "it was asked");
    room.pass(24 * 3600 * 1000);
    let asked = room.ask(DueJoin {}).unwrap();
    assert!(!asked.unproven && asked.attempt.unwrap().via == THEIRS, "who was chosen has its turn");
}

#[test]
fn many_names_do_not_crowd_out_who_was_chosen() {
    let room = LoneRoom::empty();
    let join = begin(&room);
    fail(&room, &join);
    for number in 0..20 {
        hear(&room, &format!("s{number}.test"), &join);
    }
    let asked: Vec<String> = (0..6).map(|_| next(&room, &join)).collect();
    assert!(asked.iter().any(|server| server == THEIRS), "{asked:?}");
    assert_eq!(asked[5], asked[0], "five take turns");
}

#[test]
fn what_one_server_changed_another_gives_whole() {
    let (room, state) = LoneRoom::of_bob();
    let join = room.begin_join(&state);
    let mut changed = state.clone();
    // An event whose content does not match its hash is stored redacted.
    changed[5] = redacted(&state[5], room.version).unwrap();
    assert_eq!(room.give(&join, &changed), 6);
    fail(&room, &join.event_id);
    let join = room.begin_join(&state);
    let stands = room.give(&join, &state);
    room.ask(FinishJoin { event: join, state: stands }).unwrap();
    let (user, kind) = (user("alice", OURS), Some("m.room.name".to_owned()));
    let name = room.ask(State { user, event_type: kind, state_key: Some(String::new()) }).unwrap();
    assert!(name[0].get().contains("Bob's"), "{name:?}");
}

#[test]
fn what_is_rejected_is_not_kept_of_a_room_we_are_not_in() {
    let (room, mut state) = LoneRoom::of_bob();
    let join = room.begin_join(&state);
    let mallory = user("mallory", THEIRS);
    let content = json!({ "name": "junk" });
    state.push(room.elsewhere(&mallory, ("m.room.name", Some("x")), &content, &[]));
    assert_eq!(room.give(&join, &state), 6);
    assert_eq!(room.count("events"), 6);
}

/// A local user joins with a state of which some events could not be verified.
fn join_without(room: &LoneRoom, localpart: &str, state: &[Pdu], unverified: Vec<OwnedEventId>) {
    let event = room.begin_join_of(localpart, state);
    let state = room.give_without(&event, state, unverified).unwrap();
    room.ask(FinishJoin { event, state }).unwrap();
}

/// A membership of Dora, who is of a third server.
fn dora_is(room: &LoneRoom, sender: &str, membership: &str, auth: &[&Pdu]) -> Pdu {
    let (dora, content) = (user("dora", THIRD), json!({ "membership": membership }));
    let auth: Vec<_> = auth.iter().map(|pdu| pdu.event_id.clone()).collect();
    let sender = user(sender, if sender == "dora" { THIRD } else { THEIRS });
    room.elsewhere(&sender, ("m.room.member", Some(dora.as_str())), &content, &auth)
}

fn take_outlier(room: &LoneRoom, event: &Pdu) {
    let (origin, events) = (THIRD.try_into().unwrap(), vec![checked(event)]);
    room.ask(Receive { origin, events, purpose: Purpose::Outlier, again: Vec::new() }).unwrap();
}

fn of_dora(room: &LoneRoom) -> Option<OwnedEventId> {
    room.state_id("m.room.member", user("dora", THIRD).as_str())
}

#[test]
fn what_could_not_be_verified_is_in_the_state_when_it_can_be() {
    let (room, state) = LoneRoom::of_bob();
    let absent = dora_is(&room, "dora", "join", &[&state[0], &state[2], &state[3]]);
    join_without(&room, "alice", &state, vec![absent.event_id.clone()]);
    let seen = room.ask(Undelivered {}).unwrap().to;
    assert_eq!(of_dora(&room), None);
    take_outlier(&room, &absent);
    assert_eq!(of_dora(&room), Some(absent.event_id.clone()));
    let parents = room.extremities();
    let mut says = room.elsewhere(
        &user("dora", THIRD),
        ("m.room.message", None),
        &json!({ "body": "hi" }),
        &[state[0].event_id.clone(), state[2].event_id.clone(), absent.event_id.clone()],
    );
    says.json = says.json.replace(
        &format!("\"prev_events\":[\"{}\"]", absent.event_id),
        &format!("\"prev_events\":[\"{}\"]", parents[0]),
    );
    let received = room.receive_from(THIRD, &[&says]);
    assert_eq!(received.outcomes[0].1, Outcome::Accepted);
    let to = room.ask(Undelivered {}).unwrap().to;
    let shown = ids(&room.window_to(seen, to, 10).state);
    assert!(shown.contains(&absent.event_id.to_string()), "clients learn of it: {shown:?}");
}

#[test]
fn of_two_late_events_of_one_key_the_first_to_come_counts() {
    let (room, state) = LoneRoom::of_bob();
    let first = dora_is(&room, "dora", "join", &[&state[0], &state[2], &state[3]]);
    let second = dora_is(&room, "dora", "join", &[&state[0], &state[2], &state[3], &first]);
    let unverified = [&first, &second].map(|pdu| pdu.event_id.clone());
    join_without(&room, "alice", &state, unverified.to_vec());
    for event in [&first, &second] {
        take_outlier(&room, event);
        assert_eq!(of_dora(&room), Some(first.event_id.clone()));
    }
    room.send("alice", "m.room.message", None, &json!({ "body": "hi" })).unwrap();
}

#[test]
fn what_was_resolved_without_what_could_not_be_verified_is_resolved_again() {
    let (room, state) = LoneRoom::of_bob();
    let invite = dora_is(&room, "bob", "invite", &[&state[0], &state[1], &state[2]]);
    let absent = dora_is(&room, "dora", "join", &[&state[0], &invite, &state[2], &state[3]]);
    join_without(&room, "alice", &state, vec![absent.event_id.clone()]);
    take_outlier(&room, &invite);
    room.send("alice", "m.room.message", None, &json!({ "body": "hi" })).unwrap();
    // On another branch, from before Dora accepted the invite.
    let unknown = format!("${}", "u".repeat(43)).try_into().unwrap();
    let beside = room.theirs("m.room.message", None, &json!({ "body": "ho" }), &[unknown]);
    assert_eq!(room.outcome(&beside), Outcome::Parked);
    let given = state.iter().chain([&invite]).map(|pdu| pdu.event_id.clone()).collect();
    let (origin, event_id) = (THEIRS.try_into().unwrap(), beside.event_id.clone());
    room.ask(Connect { origin, event_id, state: given, missing: Vec::new() }).unwrap();
    assert_eq!(of_dora(&room), Some(invite.event_id));
    take_outlier(&room, &absent);
    assert_eq!(of_dora(&room), Some(absent.event_id.clone()));
    // The event that merges the branches resolves their states once more.
    let merging = room.send("alice", "m.room.message", None, &json!({ "body": "so" })).unwrap();
    assert_eq!(room.extremities(), [merging]);
    assert_eq!(of_dora(&room), Some(absent.event_id));
}

#[test]
fn what_cites_what_could_not_be_verified_is_left_out_as_long() {
    let (room, mut state) = LoneRoom::of_bob();
    let invite = dora_is(&room, "bob", "invite", &[&state[0], &state[1], &state[2]]);
    let absent = dora_is(&room, "dora", "join", &[&state[0], &invite, &state[2], &state[3]]);
    state.push(absent.clone());
    join_without(&room, "alice", &state, Vec::new());
    assert_eq!(of_dora(&room), None);
    take_outlier(&room, &invite);
    assert_eq!(of_dora(&room), None);
    take_outlier(&room, &absent);
    assert_eq!(of_dora(&room), Some(absent.event_id));
}

#[test]
fn without_what_the_power_levels_cite_there_is_no_join() {
    let (room, mut state) = LoneRoom::of_bob();
    let join = room.begin_join(&state);
    let unseen = dora_is(&room, "bob", "invite", &[&state[0], &state[1], &state[2]]);
    let auth = [&state[0], &state[1], &state[2], &unseen].map(|pdu| pdu.event_id.clone());
    let content = json!({ "users": { "@bob:theirs.test": 100 }, "ban": 60 });
    let levels = ("m.room.power_levels", Some(""));
    state[2] = room.elsewhere(&user("bob", THEIRS), levels, &content, &auth);
    let refused = room.give_without(&join, &state, Vec::new());
    assert!(refused.is_err_and(|refusal| format!("{refusal:?}").contains("power_levels")));
}

#[test]
fn what_was_verified_once_is_part_of_the_state_again() {
    let (room, state) = LoneRoom::of_bob();
    let absent = dora_is(&room, "dora", "join", &[&state[0], &state[2], &state[3]]);
    let join = room.begin_join(&state);
    assert_eq!(room.give(&join, &[state.clone(), vec![absent.clone()]].concat()), 7);
    fail(&room, &join.event_id);
    join_without(&room, "alice", &state, vec![absent.event_id.clone()]);
    assert_eq!(of_dora(&room), Some(absent.event_id));
}

#[test]
fn who_turns_out_to_have_been_in_the_room_may_read_what_was_said_since() {
    let (room, mut state) = LoneRoom::of_bob();
    let auth = [0, 1, 2].map(|index: usize| state[index].event_id.clone());
    let content = json!({ "history_visibility": "joined" });
    let kind = ("m.room.history_visibility", Some(""));
    state.push(room.elsewhere(&user("bob", THEIRS), kind, &content, &auth));
    let absent = dora_is(&room, "dora", "join", &[&state[0], &state[2], &state[3]]);
    join_without(&room, "alice", &state, vec![absent.event_id.clone()]);
    let content = json!({ "body": "before it was known" });
    let said = room.send("alice", "m.room.message", None, &content).unwrap();
    let asked =
        || Backfill { origin: THIRD.try_into().unwrap(), from: vec![said.clone()], limit: 1 };
    assert!(room.ask(asked()).is_err());
    take_outlier(&room, &absent);
    let given = room.ask(asked()).unwrap();
    assert!(given[0].get().contains("before it was known"), "{given:?}");
}

#[test]
fn an_attempt_stays_one_of_its_room_version() {
    let room = LoneRoom::empty();
    let join = begin(&room);
    fail(&room, &join);
    let other = begin_as(&room, "carl", "10", THIRD);
    room.ask(AbandonJoin { event_id: other, again: false }).unwrap();
    room.pass(24 * 3600 * 1000);
    let attempt = room.ask(DueJoin {}).unwrap().attempt.unwrap();
    assert_eq!((attempt.event.event_id, attempt.version.as_str()), (join, "11"));
}

#[test]
fn what_was_invented_in_an_earlier_stay_crowds_nothing_out() {
    let (room, state) = LoneRoom::of_bob();
    let absent = dora_is(&room, "dora", "join", &[&state[0], &state[2], &state[3]]);
    let invented = (0..10_000).map(|number| format!("${number}").try_into().unwrap());
    join_without(&room, "eve", &state, invented.collect());
    let (eve, content) = (user("eve", OURS), json!({ "membership": "leave" }));
    room.send("eve", "m.room.member", Some(eve.as_str()), &content).unwrap();
    join_without(&room, "alice", &state, vec![absent.event_id.clone()]);
    take_outlier(&room, &absent);
    assert_eq!(of_dora(&room), Some(absent.event_id));
}

#[test]
fn that_a_server_turns_out_to_be_in_a_quiet_room_is_told() {
    let (room, state) = LoneRoom::of_bob();
    let absent = dora_is(&room, "dora", "join", &[&state[0], &state[2], &state[3]]);
    join_without(&room, "alice", &state, vec![absent.event_id.clone()]);
    let to = end_telling(&room, false);
    assert!(room.alarm().is_none());
    take_outlier(&room, &absent);
    assert!(room.alarm().is_some());
    let undelivered = room.ask(Undelivered {}).unwrap();
    assert_eq!(undelivered.moved, [(THIRD.try_into().unwrap(), true)]);
    let news = &undelivered.users[0];
    assert!(news.user == user("alice", OURS) && news.to > to, "so are our users: {news:?}");
}

#[test]
fn the_server_that_let_us_in_is_asked_first_until_another_speaks() {
    let (room, mut state) = LoneRoom::of_bob();
    for name in ["ann", "ben"] {
        let member = user(name, "aaa.test");
        let auth = [0, 2, 3].map(|index: usize| state[index].event_id.clone());
        let content = json!({ "membership": "join" });
        let key = ("m.room.member", Some(member.as_str()));
        state.push(room.elsewhere(&member, key, &content, &auth));
    }
    let join = room.begin_join(&state);
    let given = room.give(&join, &state);
    room.ask(FinishJoin { event: join, state: given }).unwrap();
    let servers = || -> Vec<String> {
        let servers = room.ask(Participants {}).unwrap().servers;
        servers.iter().map(ToString::to_string).collect()
    };
    assert_eq!(servers(), [OURS, THEIRS, "aaa.test"]);
    room.receive_from("aaa.test", &[]);
    assert_eq!(servers(), [OURS, "aaa.test", THEIRS]);
}
