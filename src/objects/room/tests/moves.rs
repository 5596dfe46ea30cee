//! What does a user have to know of who came and went in a range of a room?

use serde_json::json;

use super::{lone_room::*, moving::*};
use crate::objects::room::messages::*;

/// Who came and who is gone for a local user, by localpart.
fn moves(room: &LoneRoom, localpart: &str, (from, to): (Position, Position)) -> [Vec<String>; 2] {
    let MovesReply { came, gone, .. } =
        room.ask(Moves { user: ours(localpart), from, to }).unwrap();
    [came, gone].map(|users| users.iter().map(|user| user.localpart().to_owned()).collect())
}

/// What a step did: for which user, who came and who is gone.
type Expected<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

/// A room of alice and what was done before; then what is done, and what each must know of that.
fn after(before: &[&str], deeds: &[&str], expected: &[Expected<'_>]) {
    let room = LoneRoom::new("11");
    let change = |deed: &&str| {
        let [sender, membership, of] = deed.split(' ').collect::<Vec<_>>().try_into().unwrap();
        set(&room, sender, (&ours(of), membership));
    };
    before.iter().for_each(change);
    let from = end_telling(&room, false);
    deeds.iter().for_each(change);
    let to = end_telling(&room, false);
    for (user, came, gone) in expected {
        assert_eq!(moves(&room, user, (from, to)), [*came, *gone], "{user}: {deeds:?}");
        // What comes later changes nothing.
        room.send("alice", "m.room.message", None, &json!({ "body": "later" })).unwrap();
        room.join("zoe");
        assert_eq!(moves(&room, user, (from, to)), [*came, *gone], "{user}, later: {deeds:?}");
        set(&room, "zoe", (&ours("zoe"), "leave"));
    }
}

#[test]
fn each_kind_of_change() {
    after(&["b join b"], &["c join c"], &[("alice", &["c"], &[]), ("c", &["alice", "b"], &[])]);
    after(&["b join b"], &["b leave b"], &[("alice", &[], &["b"]), ("b", &[], &["alice"])]);
    after(&["b join b"], &["alice leave b"], &[("alice", &[], &["b"]), ("b", &[], &["alice"])]);
    after(&["b join b"], &["alice ban b"], &[("alice", &[], &["b"]), ("b", &[], &["alice"])]);
    after(&["b join b"], &["alice invite c"], &[("alice", &["c"], &[]), ("c", &[], &[])]);
    let declined = ["alice invite c", "c leave c"];
    after(&["b join b"], &declined, &[("alice", &[], &["c"]), ("c", &[], &[])]);
    let accepted = ["alice invite c", "c join c"];
    after(&["b join b"], &accepted, &[("alice", &["c"], &[]), ("c", &["alice", "b"], &[])]);
    after(&["b join b"], &["alice ban c"], &[("alice", &[], &[]), ("c", &[], &[])]);
}

#[test]
fn who_was_out_and_is_back_came() {
    let back = ["b leave b", "b join b"];
    after(&["b join b", "c join c"], &back, &[("alice", &["b"], &[]), ("b", &["alice", "c"], &[])]);
}

#[test]
fn what_happened_while_a_user_was_out_is_not_theirs_to_know() {
    after(
        &["b join b", "c join c"],
        &["b leave b", "d join d", "d leave d", "e join e", "c leave c"],
        &[("b", &[], &["alice", "c"]), ("alice", &["e"], &["b", "c", "d"])],
    );
    after(
        &["b join b", "c join c"],
        &["b leave b", "d join d", "d leave d", "e join e", "c leave c", "b join b"],
        &[("b", &["alice", "e"], &["c"]), ("alice", &["b", "e"], &["c", "d"])],
    );
    after(
        &["b join b", "c join c"],
        &["d join d", "b leave b", "d leave d", "d join d", "c leave c", "c join c"],
        &[("b", &[], &["alice", "c", "d"])],
    );
    after(&[], &["b join b", "b leave b", "c join c"], &[("b", &[], &["alice"])]);
}

#[test]
fn who_comes_and_goes_more_than_once_knows_whom_they_met() {
    after(
        &[],
        &["c join c", "b join b", "b leave b", "c leave c", "d join d", "b join b", "b leave b"],
        &[("b", &[], &["alice", "c", "d"])],
    );
    after(
        &["b join b"],
        &["b leave b", "c join c", "b join b", "c leave c", "b leave b", "d join d", "b join b"],
        &[("b", &["alice", "d"], &["c"])],
    );
}

#[test]
fn what_a_user_knew_before_they_went_is_told_once() {
    let b_left = ["b join b", "c join c", "b leave b"];
    after(&b_left, &["c leave c", "b join b"], &[("b", &["alice"], &[])]);
    let c_left = ["b join b", "c join c", "c leave c"];
    after(&c_left, &["b leave b", "c join c", "c leave c"], &[("b", &[], &["alice"])]);
}

#[test]
fn who_was_not_there_at_all_knows_nothing() {
    after(&["b join b"], &["c join c"], &[("d", &[], &[])]);
    let room = LoneRoom::new("11");
    room.join("b");
    set(&room, "b", (&ours("b"), "leave"));
    let from = end_telling(&room, false);
    room.join("c");
    let to = end_telling(&room, false);
    assert_eq!(moves(&room, "b", (from, to)), [[""; 0]; 2]);
}

#[test]
fn a_joined_room_is_known_whole_and_of_a_left_one_nobody_who_came_later() {
    let (room, mut state) = LoneRoom::of_bob();
    join_with(&room, "alice", &state);
    let joined_at = end_telling(&room, false);
    assert_eq!(moves(&room, "alice", (0, joined_at)), [vec!["bob"], vec![]]);
    set(&room, "alice", (&ours("alice"), "leave"));
    state.push(joined(&room, "dora", &state));
    join_with(&room, "eve", &state);
    let to = end_telling(&room, false);
    assert_eq!(moves(&room, "alice", (joined_at, to)), [vec![], vec!["bob"]]);
    assert_eq!(moves(&room, "eve", (joined_at, to)), [vec!["bob", "dora"], vec![]]);
    join_with_later(&room);
    assert_eq!(moves(&room, "alice", (joined_at, to)), [vec![], vec!["bob"]]);
}

/// Alice comes back, and Bob goes.
fn join_with_later(room: &LoneRoom) {
    room.join("alice");
    let leave = json!({ "membership": "leave" });
    let leave = room.theirs("m.room.member", Some("@bob:theirs.test"), &leave, &room.extremities());
    assert_eq!(room.outcome(&leave), Outcome::Accepted);
}

#[test]
fn who_is_moved_by_a_resolution_is_told_of() {
    let (room, rule) = closed_before_carl_came();
    let from = end_telling(&room, false);
    assert_eq!(room.outcome(&rule), Outcome::Accepted);
    let members = room.ask(Undelivered {}).unwrap().members.unwrap();
    assert_eq!(localparts(&members.out), ["carl"]);
    assert_eq!(localparts(&members.tell), ["alice", "carl"]);
    let to = end_telling(&room, false);
    assert_eq!(moves(&room, "alice", (from, to)), [vec![], vec!["carl"]]);
    assert_eq!(moves(&room, "carl", (from, to)), [vec![], vec!["alice", "bob"]]);
}

#[test]
fn who_was_invited_and_has_joined_since_is_told_with_the_join() {
    let room = LoneRoom::new("11");
    let from = end_telling(&room, false);
    set(&room, "alice", (&ours("b"), "invite"));
    let invited = end_telling(&room, false);
    assert_eq!(moves(&room, "alice", (from, invited)), [vec!["b"], vec![]]);
    room.join("b");
    // Nobody was told of the join yet, nor when the first telling of it failed.
    assert_eq!(moves(&room, "alice", (from, invited)), [[""; 0]; 2]);
    let joined = end_telling(&room, true);
    assert_eq!(moves(&room, "alice", (from, invited)), [[""; 0]; 2]);
    assert_eq!(moves(&room, "alice", (invited, joined)), [vec!["b"], vec![]]);
    end_telling(&room, false);
    for (from, to) in [(from, invited), (invited, joined), (from, joined)] {
        assert_eq!(moves(&room, "alice", (from, to)), [vec!["b"], vec![]]);
    }
    // Who leaves is told of with the leave.
    set(&room, "b", (&ours("b"), "leave"));
    assert_eq!(moves(&room, "alice", (from, joined)), [vec!["b"], vec![]]);
}
