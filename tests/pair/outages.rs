//! How soon does a short outage heal? Within its own length and 5 seconds, with nothing lost.

use std::time::Duration;

use tombolo::objects::room::RoomClass;
use tombolo_platform::{Address, simulated::Faults, values};
use tombolo_protocol::json::parse_value;
use tombolo_support::{User, encode};

use crate::scene::Scene;

/// How much longer than the outage healing may take (ms).
const MORE: u64 = 5_000;

/// A room of this version with both users in it, percent-encoded.
fn shared_room(scene: &Scene, alice: &User, bob: &User, version: &str) -> String {
    let body = format!(r#"{{"preset":"public_chat","room_version":"{version}"}}"#);
    let answer = scene.call(alice, "POST /createRoom", &body);
    let room = parse_value(answer.as_bytes()).unwrap()["room_id"].as_str().unwrap().to_owned();
    let via = encode(alice.server.name());
    scene.call(bob, &format!("POST /join/{}?server_name={via}", encode(&room)), "{}");
    room
}

fn pause(scene: &Scene, time: u64) {
    scene.simulation.run(scene.one.world().sleep(Duration::from_millis(time)));
}

/// How many messages stand in a server's timeline of a room.
fn said(user: &User, room: &str) -> i64 {
    let sql = user.server.sql(&Address::<RoomClass>::new(room)).unwrap();
    let query = "SELECT count(*) AS n FROM events WHERE pos IS NOT NULL AND json LIKE '%\"m.room.message\"%'";
    sql.row(query, values![], |row| row.int(0)).unwrap().unwrap()
}

/// Time passes (ms) until both have so many messages; at most as long as healing may take.
fn heals(scene: &Scene, (alice, bob): (&User, &User), room: &str, (all, outage): (i64, u64)) {
    let until = scene.simulation.now() + outage + MORE;
    while scene.simulation.now() < until && (said(alice, room), said(bob, room)) != (all, all) {
        pause(scene, 100);
    }
    assert_eq!((said(alice, room), said(bob, room)), (all, all), "after an outage of {outage} ms");
}

#[test]
fn a_cut_with_both_sides_writing_heals_in_its_own_length() {
    for version in ["10", "11", "12"] {
        Scene::play(|scene, alice, bob| {
            let (room, outage) = (shared_room(scene, alice, bob, version), 30_000);
            let until = scene.simulation.now() + outage;
            scene.simulation.partition(alice.server.name(), bob.server.name(), until);
            for _ in 0..10 {
                pause(scene, outage / 11);
                scene.say(alice, &encode(&room), r#"{"body":"one"}"#);
                scene.say(bob, &encode(&room), r#"{"body":"two"}"#);
            }
            pause(scene, until.saturating_sub(scene.simulation.now()));
            heals(scene, (alice, bob), &room, (20, outage));
        });
    }
}

#[test]
fn a_server_that_crashes_is_caught_up() {
    for version in ["10", "11", "12"] {
        Scene::play(|scene, alice, bob| {
            let room = shared_room(scene, alice, bob, version);
            let outage = 20_000;
            let until = scene.simulation.now() + outage;
            scene.simulation.partition(alice.server.name(), bob.server.name(), until);
            for _ in 0..10 {
                scene.say(alice, &encode(&room), r#"{"body":"one"}"#);
                pause(scene, outage / 10);
                bob.server.crash();
            }
            heals(scene, (alice, bob), &room, (10, outage));
        });
    }
}

#[test]
fn a_room_is_heard_while_d1_fails_and_the_copy_follows() {
    Scene::play(|scene, alice, bob| {
        let d1 = alice.server.d1();
        d1.run("ALTER TABLE room_servers RENAME TO away", values![]).unwrap();
        let room = shared_room(scene, alice, bob, "12");
        scene.say(alice, &encode(&room), r#"{"body":"one"}"#);
        heals(scene, (alice, bob), &room, (1, 0));
        d1.run("ALTER TABLE away RENAME TO room_servers", values![]).unwrap();
        pause(scene, 10_000);
        let query = "SELECT count(*) FROM room_servers WHERE server = ?";
        let rooms = || d1.row(query, values![bob.server.name()], |row| row.int(0));
        assert_eq!(rooms(), Ok(Some(1)));
        scene.call(bob, &format!("POST /rooms/{}/leave", encode(&room)), "{}");
        pause(scene, 10_000);
        assert_eq!(rooms(), Ok(Some(0)));
    });
}

#[test]
fn a_room_is_heard_while_d1_is_out_of_reach() {
    Scene::play(|scene, alice, bob| {
        let room = shared_room(scene, alice, bob, "12");
        scene.simulation.faults(Faults { lost_d1: 1000, ..Faults::NONE });
        scene.say(alice, &encode(&room), r#"{"body":"one"}"#);
        heals(scene, (alice, bob), &room, (1, 0));
    });
}
