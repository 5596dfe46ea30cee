//! Which accounts are there, and who shares a room with whom, by D1's copy?

use std::{collections::BTreeMap, rc::Rc};

use ruma::{OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId};
use tombolo_platform::{simulated::Faults, values};
use tombolo_support::Scene;

use super::{
    accounts, profiles,
    room_members::{self, Moved},
    room_servers, shown_keys,
};
use crate::app::Tombolo;

/// The name of this server.
const OURS: &str = "ours.test";

/// A server whose rooms are made up.
struct Copy(Scene);

impl Copy {
    fn new() -> Self {
        Self(Scene::new(Rc::new(Tombolo), OURS, &[]))
    }

    /// Writes who is joined, invited and out, a second after what was written before; answers when (ms).
    fn save(&self, room: &str, [joined, invited, out]: [&[&str]; 3]) -> u64 {
        self.0.pass(1000);
        let [joined, invited, out] = [joined, invited, out].map(users);
        let moved = Moved { joined: &joined, invited: &invited, out: &out };
        let at = self.0.simulation.now();
        let (world, ours) = (self.0.server.world(), ServerName::parse(OURS).unwrap());
        let room_id = room_id(room);
        let saving = room_members::save(&world, &room_id, &ours, &moved);
        self.0.simulation.run(saving).unwrap();
        at
    }

    fn sharing(&self, user: &str, with: &[&str]) -> Vec<String> {
        let (world, user, with) = (self.0.server.world(), user_id(user), users(with));
        let asked = room_members::sharing(&world, &user, &with);
        names(self.0.simulation.run(asked).unwrap())
    }

    fn locals_sharing(&self, user: &str) -> Vec<String> {
        let (world, user) = (self.0.server.world(), user_id(user));
        let asked = room_members::locals_sharing(&world, &user);
        names(self.0.simulation.run(asked).unwrap())
    }

    fn shared_since(&self, with: &[&str]) -> BTreeMap<String, u64> {
        let (world, with) = (self.0.server.world(), users(with));
        let since = self.0.simulation.run(room_members::shared_since(&world, &with)).unwrap();
        since.into_iter().map(|(user, since)| (user.localpart().to_owned(), since)).collect()
    }

    fn rows(&self) -> i64 {
        let query = "SELECT count(*) AS n FROM room_members";
        self.0.server.d1().row(query, values![], |row| row.int(0)).unwrap().unwrap()
    }
}

/// Users of another server have a name that begins with `x`.
fn user_id(name: &str) -> OwnedUserId {
    let server = if name.starts_with('x') { "theirs.test" } else { OURS };
    UserId::parse(format!("@{name}:{server}")).unwrap()
}

fn users(names: &[&str]) -> Vec<OwnedUserId> {
    names.iter().map(|name| user_id(name)).collect()
}

fn names(users: impl IntoIterator<Item = OwnedUserId>) -> Vec<String> {
    users.into_iter().map(|user| user.localpart().to_owned()).collect()
}

fn room_id(name: &str) -> OwnedRoomId {
    RoomId::parse(format!("!{name}:{OURS}")).unwrap()
}

/// Alice and bob are in two rooms, carol and xavier in one of these each; dora and xena are invited to one.
fn two_rooms() -> Copy {
    let copy = Copy::new();
    copy.save("one", [&["alice", "bob", "carol"], &["xena"], &[]]);
    copy.save("two", [&["alice", "bob", "xavier"], &["dora"], &[]]);
    copy
}

#[test]
fn who_is_joined_shares_with_who_is_joined_or_invited() {
    let copy = two_rooms();
    let all = ["bob", "carol", "dora", "emil", "xavier", "xena"];
    assert_eq!(copy.sharing("alice", &all), ["bob", "carol", "dora", "xavier", "xena"]);
    assert_eq!(copy.sharing("carol", &["alice", "xavier", "xena"]), ["alice", "xena"]);
    assert!(copy.sharing("dora", &all).is_empty(), "an invite shows her nobody");
    assert!(copy.sharing("emil", &all).is_empty());
    assert!(copy.sharing("alice", &[]).is_empty());
}

#[test]
fn who_is_gone_from_one_room_may_share_another() {
    let copy = two_rooms();
    copy.save("one", [&[], &[], &["alice", "xena"]]);
    assert_eq!(copy.sharing("alice", &["bob", "carol", "xena"]), ["bob"]);
    copy.save("two", [&[], &[], &["bob"]]);
    assert!(copy.sharing("alice", &["bob"]).is_empty());
}

#[test]
fn our_users_in_the_rooms_of_a_user() {
    let copy = two_rooms();
    assert_eq!(copy.locals_sharing("alice"), ["bob", "carol"]);
    assert_eq!(copy.locals_sharing("xavier"), ["alice", "bob"]);
    assert!(copy.locals_sharing("xena").is_empty(), "she is only invited");
    copy.save("two", [&["dora"], &[], &["bob"]]);
    assert_eq!(copy.locals_sharing("xavier"), ["alice", "dora"]);
}

#[test]
fn the_servers_that_are_in_no_other_room_of_a_user() {
    let copy = two_rooms();
    let world = copy.0.server.world();
    let servers = |user: &str, room: &str| {
        let (user, room) = (user_id(user), room_id(room));
        let asked = room_members::servers_only_in(&world, &user, &room);
        let asked = copy.0.simulation.run(asked);
        asked.unwrap().iter().map(ToString::to_string).collect::<Vec<String>>()
    };
    for (room, others) in [("one", ["a.test", "b.test"]), ("two", ["b.test", "c.test"])] {
        let mut changes = vec![(OURS.try_into().unwrap(), true)];
        changes.extend(others.map(|server| (server.try_into().unwrap(), true)));
        let room_id = room_id(room);
        let saving = room_servers::save(&world, &room_id, &changes);
        copy.0.simulation.run(saving).unwrap();
    }
    assert_eq!(servers("alice", "one"), ["a.test"]);
    assert_eq!(servers("alice", "two"), ["c.test"]);
    assert_eq!(servers("carol", "one"), ["a.test", "b.test"]);
}

#[test]
fn since_when_a_user_of_another_server_was_there_without_a_break() {
    let copy = Copy::new();
    let one = copy.save("one", [&["alice", "xavier"], &["xena"], &[]]);
    let two = copy.save("two", [&["alice", "xavier", "xena"], &[], &[]]);
    let since = |of: &[(&str, u64)]| -> BTreeMap<String, u64> {
        of.iter().map(|(name, since)| ((*name).to_owned(), *since)).collect()
    };
    let asked = ["xavier", "xena", "xerxes"];
    assert_eq!(copy.shared_since(&asked), since(&[("xavier", one), ("xena", two)]));
    copy.save("one", [&["bob"], &[], &["alice"]]);
    assert_eq!(copy.shared_since(&asked), since(&[("xavier", one), ("xena", two)]));
    // Out and in again since the last copy: what is written is only that he is in.
    let back = copy.save("one", [&["xavier"], &[], &[]]);
    assert_eq!(copy.shared_since(&asked), since(&[("xavier", two), ("xena", two)]));
    copy.save("two", [&[], &[], &["alice"]]);
    assert_eq!(copy.shared_since(&asked), since(&[("xavier", back)]), "none of us is in there");
}

#[test]
fn very_many_are_written_and_asked_for_in_parts() {
    let copy = Copy::new();
    let many: Vec<String> = (0..50_000).map(|number| format!("x{number}")).collect();
    let mut all: Vec<&str> = many.iter().map(String::as_str).collect();
    all.push("alice");
    copy.save("one", [&all, &[], &[]]);
    assert_eq!(copy.rows(), 50_001);
    assert_eq!(copy.sharing("alice", &all).len(), 50_001);
    assert_eq!(copy.shared_since(&all).len(), 50_001);
    copy.save("one", [&all, &[], &[]]);
    assert_eq!(copy.rows(), 50_001, "written again, it is the same");
    copy.save("one", [&[], &[], &all]);
    assert_eq!(copy.rows(), 0);
}

#[test]
fn what_could_not_be_written_is_an_error() {
    let copy = Copy::new();
    copy.0.simulation.faults(Faults { lost_d1: 1000, ..Faults::NONE });
    let (world, joined) = (copy.0.server.world(), users(&["alice"]));
    let moved = Moved { joined: &joined, invited: &[], out: &[] };
    let (ours, room_id) = (ServerName::parse(OURS).unwrap(), room_id("one"));
    let saving = room_members::save(&world, &room_id, &ours, &moved);
    assert!(copy.0.simulation.run(saving).is_err());
    assert_eq!(copy.rows(), 0);
}

#[test]
fn of_many_names_those_are_found_that_are_taken() {
    let copy = Copy::new();
    copy.0.register("alice");
    copy.0.register("bob");
    let world = copy.0.server.world();
    let many: Vec<String> = (0..4_500).map(|n| format!("nobody{n}")).collect();
    let mut names: Vec<&str> = many.iter().map(String::as_str).collect();
    names.extend(["bob", "alice", "Alice"]);
    let existing = copy.0.simulation.run(accounts::existing(&world, &names)).unwrap();
    assert_eq!(existing.into_iter().collect::<Vec<_>>(), ["alice", "bob"]);
}

#[test]
fn only_what_is_newer_of_an_account_is_copied_and_read() {
    let copy = Copy::new();
    copy.0.register("alice");
    let world = copy.0.server.world();
    let save = |version: i64, shown: &str| {
        for name in ["alice", "nobody"] {
            let copies = [(name, version, shown)];
            copy.0.simulation.run(shown_keys::save(&world, &copies)).unwrap();
        }
    };
    let find = |known: Option<i64>| {
        let asked = [("alice", known), ("nobody", None)];
        let found = copy.0.simulation.run(shown_keys::find(&world, &asked)).unwrap();
        found.into_iter().map(|copied| (copied.version, copied.shown)).collect::<Vec<_>>()
    };
    let shown = |text: &str| Some(text.to_owned());
    assert_eq!(find(None), []);
    save(2, "two");
    save(1, "one");
    save(2, "again");
    assert_eq!((find(None), find(Some(2))), (vec![(2, shown("two"))], vec![(2, None)]));
    save(3, &"x".repeat(70_000));
    assert_eq!(find(Some(2)), [(3, None)]);
    save(4, "four");
    assert_eq!(find(Some(2)), [(4, shown("four"))]);
}

#[test]
fn a_profile_has_a_hundred_further_fields_at_most() {
    let copy = Copy::new();
    copy.0.register("alice");
    let world = copy.0.server.world();
    let save = |name: &str| {
        let value = serde_json::json!(1);
        copy.0.simulation.run(profiles::save_field(&world, "alice", (name, &value))).unwrap()
    };
    let names: Vec<String> = (0..101).map(|number| format!("org.example.f{number}")).collect();
    assert!(names[..100].iter().all(|name| save(name)));
    assert!(!save(&names[100]));
    assert!(save(&names[0]));
    copy.0.simulation.run(profiles::remove_field(&world, "alice", &names[0])).unwrap();
    assert!(save(&names[100]));
}

#[test]
fn a_name_and_an_avatar_are_set_each_by_itself() {
    let copy = Copy::new();
    copy.0.register("alice");
    let (world, run) = (copy.0.server.world(), &copy.0.simulation);
    let name =
        |name: Option<&str>| run.run(profiles::set_displayname(&world, "alice", name)).unwrap();
    let avatar =
        |url: Option<&str>| run.run(profiles::set_avatar_url(&world, "alice", url)).unwrap();
    assert!(name(Some("Alice")) && avatar(Some("mxc://ours.test/a")));
    assert!(!name(Some("Alice")) && !avatar(Some("mxc://ours.test/a")));
    assert!(name(None));
    let found = run.run(profiles::find(&world, "alice")).unwrap().unwrap();
    assert_eq!((found.displayname, found.avatar_url.as_deref()), (None, Some("mxc://ours.test/a")));
}
