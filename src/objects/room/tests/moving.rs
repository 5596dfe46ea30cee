//! Who is told that somebody came or went, and what is told of them?

use ruma::OwnedUserId;
use serde_json::json;
use tombolo_protocol::event::Pdu;

use super::lone_room::*;
use crate::objects::room::messages::*;

/// Ends a telling; answers where it ended.
pub fn end_telling(room: &LoneRoom, members_lagging: bool) -> Position {
    let UndeliveredReply { to, lagging, .. } = room.ask(Undelivered {}).unwrap();
    room.ask(Told { to, lagging, members_lagging, ..Told::default() }).unwrap();
    to
}

/// Makes a user's membership what it is said to be.
pub fn set(room: &LoneRoom, sender: &str, (of, membership): (&OwnedUserId, &str)) {
    let content = json!({ "membership": membership });
    room.send(sender, "m.room.member", Some(of.as_str()), &content).unwrap();
}

pub fn ours(localpart: &str) -> OwnedUserId {
    user(localpart, OURS)
}

pub fn localparts(users: &[OwnedUserId]) -> Vec<&str> {
    users.iter().map(|user| user.localpart()).collect()
}

fn moved(room: &LoneRoom) -> Option<MembersMoved> {
    room.ask(Undelivered {}).unwrap().members
}

/// Who is joined, invited and out, and who is to be told; then everybody was told.
fn told(room: &LoneRoom) -> [Vec<String>; 4] {
    let MembersMoved { joined, invited, out, tell, .. } = moved(room).unwrap();
    end_telling(room, false);
    assert!(moved(room).is_none(), "it was told");
    [joined, invited, out, tell]
        .map(|users| users.iter().map(|user| user.localpart().to_owned()).collect())
}

/// A local user joins a room with this state.
pub fn join_with(room: &LoneRoom, localpart: &str, state: &[Pdu]) {
    let event = room.begin_join_of(localpart, state);
    let state = room.give(&event, state);
    room.ask(FinishJoin { event, state }).unwrap();
}

/// The join of a user of the other server to Bob's room.
pub fn joined(room: &LoneRoom, localpart: &str, state: &[Pdu]) -> Pdu {
    let (user, content) = (user(localpart, THEIRS), json!({ "membership": "join" }));
    let auth = [0, 2, 3].map(|index: usize| state[index].event_id.clone());
    room.elsewhere(&user, ("m.room.member", Some(user.as_str())), &content, &auth)
}

/// A room of alice and bob of the other server, who may do the same; and bob's event that closes it to those who are
/// not invited, before carl joins. Nobody here has heard of it yet.
pub fn closed_before_carl_came() -> (LoneRoom, Pdu) {
    let room = LoneRoom::new("10");
    room.join_bob();
    let levels = json!({ "users": { "@alice:ours.test": 100, "@bob:theirs.test": 100 } });
    room.send("alice", "m.room.power_levels", Some(""), &levels).unwrap();
    let invite = json!({ "join_rule": "invite" });
    let rule = room.theirs("m.room.join_rules", Some(""), &invite, &room.extremities());
    room.join("carl");
    (room, rule)
}

#[test]
fn each_change_of_membership_and_nothing_else() {
    let room = LoneRoom::new("11");
    assert_eq!(told(&room), [vec!["alice"], vec![], vec![], vec![]], "she is alone");
    room.join("bertha");
    assert_eq!(told(&room), [vec!["bertha"], vec![], vec![], vec!["alice", "bertha"]]);
    let carl = user("carl", THEIRS);
    set(&room, "alice", (&carl, "invite"));
    assert_eq!(told(&room), [vec![], vec!["carl"], vec![], vec!["alice", "bertha"]]);
    set(&room, "alice", (&carl, "ban"));
    assert_eq!(told(&room), [vec![], vec![], vec!["carl"], vec!["alice", "bertha"]]);
    set(&room, "alice", (&carl, "leave"));
    assert_eq!(told(&room)[2], ["carl"]);
    set(&room, "alice", (&ours("bertha"), "leave"));
    assert_eq!(told(&room), [vec![], vec![], vec!["bertha"], vec!["alice", "bertha"]]);
    let named = json!({ "membership": "join", "displayname": "Alice" });
    room.send("alice", "m.room.member", Some("@alice:ours.test"), &named).unwrap();
    room.send("alice", "m.room.message", None, &json!({ "body": "hi" })).unwrap();
    assert!(moved(&room).is_none());
}

#[test]
fn an_invite_that_is_declined_concerns_who_is_joined() {
    let room = LoneRoom::new("11");
    end_telling(&room, false);
    set(&room, "alice", (&ours("bertha"), "invite"));
    assert_eq!(told(&room), [vec![], vec!["bertha"], vec![], vec!["alice"]]);
    set(&room, "bertha", (&ours("bertha"), "leave"));
    assert_eq!(told(&room), [vec![], vec![], vec!["bertha"], vec!["alice"]]);
}

#[test]
fn who_comes_and_goes_in_one_telling_is_told_by_what_they_are() {
    let room = LoneRoom::new("11");
    end_telling(&room, false);
    room.join("bertha");
    set(&room, "bertha", (&ours("bertha"), "leave"));
    room.join("carl");
    set(&room, "carl", (&ours("carl"), "leave"));
    room.join("carl");
    let all = ["alice", "bertha", "carl"];
    assert_eq!(told(&room), [vec!["carl"], vec![], vec!["bertha"], all.to_vec()]);
}

#[test]
fn what_could_not_be_told_is_told_again_and_nothing_else_with_it() {
    let room = LoneRoom::new("11");
    let from = end_telling(&room, false);
    room.join_bob();
    end_telling(&room, true);
    room.join("bertha");
    let undelivered = room.ask(Undelivered {}).unwrap();
    assert!(undelivered.moved.is_empty(), "the servers were copied");
    let members = undelivered.members.unwrap();
    assert_eq!((members.from, localparts(&members.joined)), (from, vec!["bertha", "bob"]));
    end_telling(&room, false);
    assert!(moved(&room).is_none());
    room.join("carl");
    assert_eq!(localparts(&moved(&room).unwrap().joined), ["carl"]);
}

#[test]
fn in_a_room_of_few_a_move_is_told_at_once() {
    let room = LoneRoom::new("11");
    room.join_bob();
    assert_eq!(room.alarm(), Some(0));
    let message = room.theirs("m.room.message", None, &json!({}), &room.extremities());
    room.outcome(&message);
    assert_eq!(room.alarm(), Some(2000));
    room.run("UPDATE room SET joined = 101");
    room.evict();
    let leave = json!({ "membership": "leave" });
    let leave = room.theirs("m.room.member", Some("@bob:theirs.test"), &leave, &room.extremities());
    assert_eq!(room.outcome(&leave), Outcome::Accepted);
    assert_eq!(room.alarm(), Some(2000), "in a large room, with other news");
}

#[test]
fn many_who_come_with_a_join_are_one_row_of_the_log() {
    let (room, mut state) = LoneRoom::of_bob();
    for number in 0..50 {
        state.push(joined(&room, &format!("u{number}"), &state));
    }
    join_with(&room, "alice", &state);
    assert_eq!(room.count("moves"), 2, "everybody, and Alice");
    let [joined, invited, out, tell] = told(&room);
    assert_eq!((joined.len(), tell), (52, vec!["alice".to_owned()]));
    assert!(joined.contains(&"bob".to_owned()) && joined.contains(&"u49".to_owned()));
    assert!(invited.is_empty() && out.is_empty());
}

#[test]
fn a_room_that_we_left_is_in_no_copy_until_we_are_back() {
    let (room, mut state) = LoneRoom::of_bob();
    let dora = joined(&room, "dora", &state);
    join_with(&room, "alice", &[state.clone(), vec![dora]].concat());
    assert_eq!(told(&room)[0], ["alice", "bob", "dora"]);
    set(&room, "alice", (&ours("alice"), "leave"));
    assert_eq!(told(&room), [vec![], vec![], vec!["alice", "bob", "dora"], vec!["alice"]]);
    state.push(joined(&room, "emil", &state));
    join_with(&room, "eve", &state);
    assert_eq!(told(&room), [vec!["bob", "emil", "eve"], vec![], vec!["dora"], vec!["eve"]]);
}

#[test]
fn who_left_while_we_were_away_is_out_though_our_leave_was_never_copied() {
    let (room, state) = LoneRoom::of_bob();
    let dora = joined(&room, "dora", &state);
    join_with(&room, "alice", &[state.clone(), vec![dora]].concat());
    end_telling(&room, false);
    set(&room, "alice", (&ours("alice"), "leave"));
    end_telling(&room, true);
    join_with(&room, "eve", &state);
    let all = ["alice", "eve"];
    assert_eq!(told(&room), [vec!["bob", "eve"], vec![], vec!["alice", "dora"], all.to_vec()]);
}

#[test]
fn what_is_verified_late_is_told_each_time() {
    let (room, state) = LoneRoom::of_bob();
    let late = ["dora", "emil"].map(|name| joined(&room, name, &state));
    let event = room.begin_join(&state);
    let unverified = late.iter().map(|pdu| pdu.event_id.clone()).collect();
    let state = room.give_without(&event, &state, unverified).unwrap();
    room.ask(FinishJoin { event, state }).unwrap();
    let mut told = vec![end_telling(&room, false)];
    for (event, name) in late.iter().zip(["dora", "emil"]) {
        let (origin, events) = (THEIRS.try_into().unwrap(), vec![checked(event)]);
        room.ask(Receive { origin, events, purpose: Purpose::Outlier, again: Vec::new() }).unwrap();
        let members = moved(&room).unwrap();
        assert_eq!(localparts(&members.joined), [name]);
        assert_eq!(members.from, *told.last().unwrap());
        let to = end_telling(&room, false);
        assert!(to > members.from, "who was told of a position is told nothing more there");
        told.push(to);
    }
}

#[test]
fn an_older_room_is_told_whole_once_anybody_asks_it() {
    let room = LoneRoom::new("11");
    room.join_bob();
    end_telling(&room, false);
    let later = ["moves", "relations", "relations_due", "times", "indexed", "words", "directory"];
    let latest = ["blocked", "deletions", "farewells"];
    for table in later.into_iter().chain(latest) {
        room.run(&format!("DROP TABLE {table}"));
    }
    room.run("UPDATE schema SET version = 9");
    room.evict();
    room.ask(Describe {}).unwrap();
    assert_eq!(room.alarm(), Some(0));
    let members = moved(&room).unwrap();
    assert_eq!((members.from, localparts(&members.joined)), (0, vec!["alice", "bob"]));
    assert_eq!(told(&room)[3], ["alice"]);
    let to = room.ask(Undelivered {}).unwrap().to;
    let MovesReply { came, gone, .. } =
        room.ask(Moves { user: ours("alice"), from: 0, to }).unwrap();
    assert_eq!((localparts(&came), gone), (vec!["bob"], vec![]));
}

#[test]
fn who_is_back_after_a_resolution_took_us_out_finds_everybody_anew() {
    let (room, rule) = closed_before_carl_came();
    let bob = user("bob", THEIRS);
    let state = |kind: &str, key: &str| room.state_id(kind, key).unwrap();
    let mut auth = vec![state("m.room.create", ""), state("m.room.power_levels", "")];
    auth.extend([state("m.room.member", bob.as_str()), rule.event_id.clone()]);
    set(&room, "alice", (&ours("alice"), "leave"));
    end_telling(&room, false);
    assert_eq!(room.outcome(&rule), Outcome::Accepted);
    assert_eq!(told(&room), [vec![], vec![], vec!["bob", "carl"], vec!["carl"]]);
    let (carl, invite) = (ours("carl"), json!({ "membership": "invite" }));
    let invite = room.elsewhere(&bob, ("m.room.member", Some(carl.as_str())), &invite, &auth);
    // With that, Carl may have come before or after: he is in again.
    assert_eq!(room.outcome(&invite), Outcome::Accepted);
    assert_eq!(told(&room), [vec!["bob", "carl"], vec![], vec![], vec!["carl"]]);
}

#[test]
fn who_is_invited_and_joins_after_that_in_one_transaction_finds_everybody_anew_too() {
    let (room, rule) = closed_before_carl_came();
    let (bob, carl) = (user("bob", THEIRS), ours("carl"));
    let state = |kind: &str, key: &str| room.state_id(kind, key).unwrap();
    let rules =
        [state("m.room.create", ""), state("m.room.power_levels", ""), rule.event_id.clone()];
    let by_bob = [&rules[..], &[state("m.room.member", bob.as_str())]].concat();
    set(&room, "alice", (&ours("alice"), "leave"));
    end_telling(&room, false);
    assert_eq!(room.outcome(&rule), Outcome::Accepted);
    assert_eq!(told(&room), [vec![], vec![], vec!["bob", "carl"], vec!["carl"]]);
    let of_carl = ("m.room.member", Some(carl.as_str()));
    let (invite, join) = (json!({ "membership": "invite" }), json!({ "membership": "join" }));
    let invite = room.elsewhere_after(&bob, of_carl, &invite, (&by_bob, &room.extremities()));
    let by_carl = [&rules[..], std::slice::from_ref(&invite.event_id)].concat();
    let join = room.elsewhere(&carl, of_carl, &join, &by_carl);
    // The invite makes the room one that we left; the join behind it brings us back.
    let (origin, events) = (THEIRS.try_into().unwrap(), vec![checked(&invite), checked(&join)]);
    let received =
        room.ask(Receive { origin, events, purpose: Purpose::Live, again: Vec::new() }).unwrap();
    assert!(received.outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Accepted));
    assert_eq!(told(&room), [vec!["bob", "carl"], vec![], vec![], vec!["carl"]]);
}
