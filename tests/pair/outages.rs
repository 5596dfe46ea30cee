//! How soon does a short outage heal? Within its own length and 5 seconds, with nothing lost.

use serde_json::json;
use tombolo::objects::room::RoomClass;
use tombolo_platform::{Address, simulated::Faults, values};
use tombolo_support::{Pair, User};

use crate::servers::two_servers;

/// How much longer than the outage healing may take (ms).
const MORE: u64 = 5_000;

/// How many messages stand in a server's timeline of a room.
fn said(user: &User, room: &str) -> i64 {
    let sql = user.server.sql(&Address::<RoomClass>::new(room)).unwrap();
    let query = "SELECT count(*) AS n FROM events WHERE pos IS NOT NULL AND json LIKE '%\"m.room.message\"%'";
    sql.row(query, values![], |row| row.int(0)).unwrap().unwrap()
}

/// Time passes (ms) until both have so many messages; at most as long as healing may take.
fn heals(pair: &Pair, room: &str, (all, outage): (i64, u64)) {
    let now = || pair.scene.simulation.now();
    let both = || (said(&pair.alice, room), said(&pair.bob, room));
    let until = now() + outage + MORE;
    while now() < until && both() != (all, all) {
        pair.scene.pass(100);
    }
    assert_eq!(both(), (all, all), "after an outage of {outage} ms");
}

#[test]
fn a_cut_with_both_sides_writing_heals_in_its_own_length() {
    for version in ["10", "11", "12"] {
        let pair = two_servers();
        let Pair { scene, alice, bob } = &pair;
        let (room, outage) = (pair.meet(json!({ "room_version": version })), 30_000);
        let until = scene.simulation.now() + outage;
        pair.cut(outage);
        for _ in 0..10 {
            scene.pass(outage / 11);
            scene.say(alice, &room, "one");
            scene.say(bob, &room, "two");
        }
        scene.pass(until.saturating_sub(scene.simulation.now()));
        heals(&pair, &room, (20, outage));
    }
}

#[test]
fn a_server_that_crashes_is_caught_up() {
    for version in ["10", "11", "12"] {
        let pair = two_servers();
        let Pair { scene, alice, bob } = &pair;
        let room = pair.meet(json!({ "room_version": version }));
        let outage = 20_000;
        pair.cut(outage);
        for _ in 0..10 {
            scene.say(alice, &room, "one");
            scene.pass(outage / 10);
            bob.server.crash();
        }
        heals(&pair, &room, (10, outage));
    }
}

#[test]
fn a_room_is_heard_while_d1_fails_and_the_copy_follows() {
    let pair = two_servers();
    let Pair { scene, alice, bob } = &pair;
    let d1 = alice.server.d1();
    d1.run("ALTER TABLE room_servers RENAME TO away", values![]).unwrap();
    let room = pair.meet(json!({ "room_version": "12" }));
    scene.say(alice, &room, "one");
    heals(&pair, &room, (1, 0));
    d1.run("ALTER TABLE away RENAME TO room_servers", values![]).unwrap();
    scene.pass(10_000);
    let query = "SELECT count(*) FROM room_servers WHERE server = ?";
    let rooms = || d1.row(query, values![bob.server.name()], |row| row.int(0));
    assert_eq!(rooms(), Ok(Some(1)));
    scene.act(bob, &room, "leave", &json!({})).ok();
    scene.pass(10_000);
    assert_eq!(rooms(), Ok(Some(0)));
}

#[test]
fn a_room_is_heard_while_d1_is_out_of_reach() {
    let pair = two_servers();
    let Pair { scene, alice, .. } = &pair;
    let room = pair.meet(json!({ "room_version": "12" }));
    scene.simulation.faults(Faults { lost_d1: 1000, ..Faults::NONE });
    scene.say(alice, &room, "one");
    heals(&pair, &room, (1, 0));
}
