//! Does a client learn with whom it shares a room, and with whom no more?

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tombolo_platform::simulated::Faults;
use tombolo_support::{Answer, Dice, Scene, User, encode, text};

use crate::flows::tests::{Guest, meet, membership, ours, two_servers};

/// A client that remembers whose devices it has to know.
struct Client<'a> {
    scene: &'a Scene,
    user: &'a User,
    since: String,
    known: BTreeSet<String>,
}

impl<'a> Client<'a> {
    /// A client that has all the news there is.
    fn new(scene: &'a Scene, user: &'a User) -> Self {
        scene.pass(5_000);
        let first = scene.sync(user, "");
        assert!(first["device_lists"].is_null(), "{first}");
        Self { scene, user, since: text(&first["next_batch"]), known: BTreeSet::new() }
    }

    /// What came since the last sync: whose devices to ask for, and whose to forget, by localpart.
    fn lists(&mut self) -> [Vec<String>; 2] {
        self.scene.pass(5_000);
        self.lists_now().unwrap()
    }

    /// The same at once; `None` if the sync fails.
    fn lists_now(&mut self) -> Option<[Vec<String>; 2]> {
        let path = format!("/_matrix/client/v3/sync?since={}", self.since);
        let sync = Some(self.scene.get(self.user, &path)).filter(Answer::is_ok)?.body;
        self.since = text(&sync["next_batch"]);
        let [changed, left] = ["changed", "left"].map(|name| users(&sync["device_lists"][name]));
        assert!(changed.is_disjoint(&left), "{sync}");
        self.known.extend(changed.iter().cloned());
        self.known.retain(|user| !left.contains(user));
        Some([changed, left].map(localparts))
    }
}

fn users(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().map(text).collect()
}

fn localparts(users: BTreeSet<String>) -> Vec<String> {
    let localpart = |user: &str| user[1..user.find(':').unwrap()].to_owned();
    users.iter().map(|user| localpart(user)).collect()
}

/// Alice, bob and carol.
fn three(scene: &Scene) -> [User; 3] {
    ["alice", "bob", "carol"].map(|name| scene.register(name))
}

/// A public room of a user, and of others who joined.
fn room_of(scene: &Scene, user: &User, others: &[&User]) -> String {
    let room = scene.room(user, &json!({ "preset": "public_chat" }));
    for other in others {
        scene.act(other, &room, "join", &json!({})).ok();
    }
    room
}

const NOBODY: [&str; 0] = [];

#[test]
fn who_comes_and_who_goes() {
    let scene = ours();
    let [alice, bob, carol] = three(&scene);
    let room = room_of(&scene, &alice, &[&carol]);
    let (mut of_alice, mut of_bob) = (Client::new(&scene, &alice), Client::new(&scene, &bob));
    let (nothing, named) = (json!({}), json!({ "user_id": bob.id }));
    let deeds = [
        (&alice, "invite", &named),
        (&bob, "join", &nothing),
        (&alice, "kick", &named),
        (&alice, "ban", &named),
    ];
    let lists = deeds.map(|(user, deed, body)| {
        scene.act(user, &room, deed, body).ok();
        [of_alice.lists(), of_bob.lists()]
    });
    let [invited, joined, kicked, banned] = lists;
    assert_eq!(invited, [[vec!["bob"], vec![]], [vec![], vec![]]]);
    // Who asks for bob's devices from now on is told of changes, and so are his other devices.
    assert_eq!(joined, [[vec!["bob"], vec![]], [vec!["alice", "bob", "carol"], vec![]]]);
    assert_eq!(kicked, [[vec![], vec!["bob"]], [vec![], vec!["alice", "carol"]]]);
    assert_eq!(banned, [[NOBODY; 2]; 2]);
}

#[test]
fn an_invite_that_is_declined() {
    let scene = ours();
    let [alice, bob, _] = three(&scene);
    let room = scene.room(&alice, &json!({ "invite": [bob.id] }));
    let (mut of_alice, mut of_bob) = (Client::new(&scene, &alice), Client::new(&scene, &bob));
    scene.act(&bob, &room, "leave", &json!({})).ok();
    assert_eq!(of_alice.lists(), [vec![], vec!["bob"]]);
    assert_eq!(of_bob.lists(), [NOBODY; 2]);
}

#[test]
fn who_is_back_before_the_next_sync_came() {
    let scene = ours();
    let [alice, bob, carol] = three(&scene);
    let room = room_of(&scene, &alice, &[&bob, &carol]);
    let (mut of_alice, mut of_bob) = (Client::new(&scene, &alice), Client::new(&scene, &bob));
    for deed in ["leave", "join"] {
        scene.act(&bob, &room, deed, &json!({})).ok();
        scene.pass(5_000);
    }
    assert_eq!(of_alice.lists(), [vec!["bob"], vec![]]);
    assert_eq!(of_bob.lists(), [vec!["alice", "bob", "carol"], vec![]]);
}

#[test]
fn who_shares_another_room_has_not_left() {
    let scene = ours();
    let [alice, bob, carol] = three(&scene);
    let rooms = [room_of(&scene, &alice, &[&bob, &carol]), room_of(&scene, &alice, &[&bob])];
    let (mut of_alice, mut of_bob) = (Client::new(&scene, &alice), Client::new(&scene, &bob));
    scene.act(&bob, &rooms[0], "leave", &json!({})).ok();
    assert_eq!(of_alice.lists(), [NOBODY; 2]);
    assert_eq!(of_bob.lists(), [vec![], vec!["carol"]]);
    scene.act(&bob, &rooms[1], "leave", &json!({})).ok();
    assert_eq!(of_alice.lists(), [vec![], vec!["bob"]]);
    assert_eq!(of_bob.lists(), [vec![], vec!["alice"]]);
}

#[test]
fn who_leaves_two_rooms_at_once_has_left_and_who_changes_rooms_has_not() {
    let scene = ours();
    let [alice, bob, carol] = three(&scene);
    let rooms = [(); 2].map(|()| room_of(&scene, &alice, &[&bob, &carol]));
    let other = room_of(&scene, &alice, &[]);
    let (mut of_alice, mut of_bob) = (Client::new(&scene, &alice), Client::new(&scene, &bob));
    for room in &rooms {
        scene.act(&bob, room, "leave", &json!({})).ok();
        scene.act(&carol, room, "leave", &json!({})).ok();
    }
    scene.act(&carol, &other, "join", &json!({})).ok();
    assert_eq!(of_alice.lists(), [vec!["carol"], vec!["bob"]]);
    assert_eq!(of_bob.lists(), [vec![], vec!["alice", "carol"]]);
}

#[test]
fn the_same_token_gives_the_same_lists() {
    let scene = ours();
    let [alice, bob, carol] = three(&scene);
    let room = room_of(&scene, &alice, &[&bob]);
    let client = Client::new(&scene, &alice);
    scene.act(&carol, &room, "join", &json!({})).ok();
    scene.act(&bob, &room, "leave", &json!({})).ok();
    scene.pass(5_000);
    let ask = || scene.sync(&alice, &format!("since={}", client.since));
    let first = ask();
    scene.server.evict();
    assert_eq!(ask(), first);
    let until = format!("since={}", text(&first["next_batch"]));
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.pass(5_000);
    assert_eq!(
        users(&scene.sync(&alice, &until)["device_lists"]["changed"]),
        [bob.id.clone()].into()
    );
    let all = users(&ask()["device_lists"]["changed"]);
    assert_eq!(all, [bob.id.clone(), carol.id.clone()].into());
}

/// Syncs with a filter that shows no room, and waits; answers the lists, and how long that took (ms).
fn waited(client: &Client<'_>, room: &str) -> (Value, u64) {
    let (scene, began) = (client.scene, client.scene.simulation.now());
    let filter = encode(&json!({ "room": { "not_rooms": [room] } }).to_string());
    let query = format!("since={}&timeout=30000&filter={filter}", client.since);
    let sync = scene.sync(client.user, &query);
    (sync["device_lists"].clone(), scene.simulation.now() - began)
}

#[test]
fn lists_alone_are_a_reason_to_answer() {
    let scene = ours();
    let [alice, bob, _] = three(&scene);
    let room = room_of(&scene, &alice, &[]);
    let mut client = Client::new(&scene, &alice);
    scene.act(&bob, &room, "join", &json!({})).ok();
    let (lists, took) = waited(&client, &room);
    assert_eq!(lists, json!({ "changed": [bob.id], "left": [] }));
    assert!(took < 2_000, "they follow at once: {took}");
    client.lists();
    // Here they come after the news, and before the sync.
    scene.simulation.faults(Faults { lost_d1: 1000, ..Faults::NONE });
    scene.act(&bob, &room, "leave", &json!({})).ok();
    assert_eq!(client.lists(), [NOBODY; 2]);
    scene.simulation.faults(Faults::NONE);
    scene.pass(20_000);
    assert_eq!(waited(&client, &room), (json!({ "changed": [], "left": [bob.id] }), 0));
}

#[test]
fn a_user_alone_is_told_nothing() {
    let scene = ours();
    let [alice, _, _] = three(&scene);
    let mut client = Client::new(&scene, &alice);
    let room = room_of(&scene, &alice, &[]);
    scene.act(&alice, &room, "leave", &json!({})).ok();
    assert_eq!(client.lists(), [NOBODY; 2]);
    let before = client.since.clone();
    assert_eq!(client.lists(), [NOBODY; 2]);
    assert_eq!(client.since, before);
}

#[test]
fn a_room_of_another_server() {
    let two = two_servers();
    let room = meet(&two);
    let dora = two.scene.register_on(&two.bob.server, "dora");
    let mut of_dora = Client::new(&two.scene, &dora);
    let mut of_alice = Client::new(&two.scene, &two.alice);
    two.through(&dora, "join", &room).ok();
    assert_eq!(of_dora.lists(), [vec!["alice", "bob", "dora"], vec![]]);
    assert_eq!(of_alice.lists(), [vec!["dora"], vec![]]);
    let mut of_bob = Client::new(&two.scene, &two.bob);
    two.scene.act(&two.bob, &room, "leave", &json!({})).ok();
    assert_eq!(of_bob.lists(), [vec![], vec!["alice", "dora"]]);
    assert_eq!(of_dora.lists(), [vec![], vec!["bob"]]);
    assert_eq!(of_alice.lists(), [vec![], vec!["bob"]]);
}

#[test]
fn where_d1_cannot_say_who_has_left_the_rooms_do() {
    let scene = ours();
    let [alice, bob, carol] = three(&scene);
    let rooms = [room_of(&scene, &alice, &[&bob, &carol]), room_of(&scene, &alice, &[&bob])];
    let mut client = Client::new(&scene, &alice);
    for user in [&bob, &carol] {
        scene.act(user, &rooms[0], "leave", &json!({})).ok();
    }
    scene.pass(5_000);
    scene.simulation.faults(Faults { lost_d1: 1000, ..Faults::NONE });
    assert_eq!(client.lists(), [vec![], vec!["carol"]]);
}

#[test]
fn a_guest_of_another_server_is_forgotten_when_they_are_banned() {
    let guest = Guest::new();
    let mut client = Client::new(&guest.scene, &guest.alice);
    let body = json!({ "user_id": guest.user });
    guest.scene.act(&guest.alice, &guest.room, "ban", &body).ok();
    assert_eq!(client.lists(), [vec![], vec!["guest"]]);
}

/// Who shares a room with a user, as the rooms have it.
fn sharing(scene: &Scene, rooms: &[String], user: &User, users: &[User]) -> BTreeSet<String> {
    let others = users.iter().filter(|other| other.id != user.id);
    let is = |viewer: &User, room: &str, who: &User| membership(scene, viewer, room, &who.id);
    let share = |other: &&User| {
        rooms.iter().any(|room| {
            is(user, room, user).as_deref() == Some("join")
                && matches!(is(user, room, other).as_deref(), Some("join" | "invite"))
        })
    };
    others.filter(share).map(|other| other.id.clone()).collect()
}

#[test]
fn whatever_happens_a_client_knows_with_whom_it_shares_a_room() {
    for seed in 0..12 {
        let (scene, dice) = (ours(), Dice::new(seed, 0));
        let all = ["alice", "bob", "carol", "dora"].map(|name| scene.register(name));
        let mut clients: Vec<Client<'_>> =
            all.iter().map(|user| Client::new(&scene, user)).collect();
        let rooms = [0, 1, 2].map(|number| room_of(&scene, &all[number], &[]));
        if dice.percent(50) {
            scene.simulation.faults(Faults { lost_ask: 20, lost_d1: 200, ..Faults::NONE });
        }
        for _ in 0..60 {
            let (user, other, room) = (dice.one(&all), dice.one(&all), dice.one(&rooms));
            let body = json!({ "user_id": other.id });
            let deed = *dice.one(&["join", "join", "leave", "invite", "kick", "ban", "unban"]);
            let own = matches!(deed, "join" | "leave");
            // What may not be done now is refused.
            scene.act(user, room, deed, if own { &Value::Null } else { &body });
            if dice.percent(30) {
                scene.pass(dice.below(3_000) as u64);
            }
            if dice.percent(5) {
                scene.server.crash();
            }
            if dice.percent(40) {
                clients[dice.below(all.len())].lists_now();
            }
        }
        scene.simulation.settle(600_000);
        for (client, user) in clients.iter_mut().zip(&all) {
            client.lists();
            client.known.remove(&user.id);
            assert_eq!(
                client.known,
                sharing(&scene, &rooms, user, &all),
                "seed {seed}: {}",
                user.id
            );
        }
    }
}
