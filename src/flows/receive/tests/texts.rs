//! Is a large answer read back as it came, wherever it waited?

use ruma::{OwnedRoomId, RoomId};
use serde_json::json;
use tombolo_platform::{AskError, values};
use tombolo_support::{Dice, Scene};

use crate::{
    flows::{
        receive::texts::Texts,
        tests::{ours, room_id},
    },
    objects::{
        room::messages::{Place, Refusal},
        room_object,
    },
};

/// A server of ours with a room.
fn with_room() -> (Scene, OwnedRoomId) {
    let scene = ours();
    let room = scene.room(&scene.register("alice"), &json!({}));
    (scene, room_id(&room))
}

/// How many parts the room keeps.
fn kept(scene: &Scene, room: &RoomId) -> i64 {
    let tables = scene.server.sql(&room_object(room)).unwrap();
    tables.row("SELECT count(*) FROM kept", values![], |row| row.int(0)).unwrap().unwrap()
}

/// Texts of these lengths, no two alike.
fn texts(lengths: impl IntoIterator<Item = usize>) -> Vec<String> {
    let text = |(number, length): (usize, usize)| {
        let mut text = format!("{number}é");
        text.push_str(&"x".repeat(length.saturating_sub(text.len())));
        text
    };
    lengths.into_iter().enumerate().map(text).collect()
}

async fn keep(into: &mut Texts<'_>, texts: &[String]) -> Vec<Place> {
    let mut places = Vec::new();
    for text in texts {
        places.push(into.keep(text).await.unwrap());
    }
    into.end().await.unwrap();
    places
}

#[test]
fn what_fits_stays_in_the_worker() {
    let scene = ours();
    let world = scene.server.world();
    let all = texts([1000; 500]);
    scene.simulation.run(async {
        let mut into = Texts::new(&world, &room_id("!room:peer.test"));
        let places = keep(&mut into, &all).await;
        assert_eq!(into.read(&places).await.unwrap(), all);
        into.forget().await;
    });
    assert!(scene.server.objects().is_empty());
}

#[test]
fn what_does_not_fit_is_kept_with_the_room_until_it_is_forgotten() {
    let (scene, room) = with_room();
    let (world, dice) = (scene.server.world(), Dice::new(1, 0));
    let mut lengths: Vec<usize> = (0..400).map(|_| dice.between(4, 40_000)).collect();
    // One text may be larger than a part.
    lengths.insert(300, 200_000);
    let all = texts(lengths);
    scene.simulation.run(async {
        let mut into = Texts::new(&world, &room);
        let places = keep(&mut into, &all).await;
        assert!(kept(&scene, &room) > 30);
        assert_eq!(into.read(&places).await.unwrap(), all);
        for _ in 0..20 {
            let some: Vec<usize> = (0..50).map(|_| dice.below(all.len())).collect();
            let places: Vec<Place> = some.iter().map(|number| places[*number]).collect();
            let expected: Vec<&String> = some.iter().map(|number| &all[*number]).collect();
            assert_eq!(into.read(&places).await.unwrap().iter().collect::<Vec<_>>(), expected);
        }
        into.forget().await;
        assert_eq!(kept(&scene, &room), 0);
        let gone = into.read(&places).await;
        assert!(matches!(gone, Err(AskError::Refused(Refusal::NotFound))), "{gone:?}");
    });
}

#[test]
fn two_answers_are_kept_apart() {
    let (scene, room) = with_room();
    let world = scene.server.world();
    let (one, other) = (texts([50_000; 100]), texts([40_000; 150]));
    scene.simulation.run(async {
        let (mut ones, mut others) = (Texts::new(&world, &room), Texts::new(&world, &room));
        let place = (keep(&mut ones, &one).await, keep(&mut others, &other).await);
        assert_eq!(ones.read(&place.0).await.unwrap(), one);
        ones.forget().await;
        assert_eq!(others.read(&place.1).await.unwrap(), other);
    });
}

#[test]
fn what_nobody_forgot_is_deleted_when_its_time_is_up_and_more_comes() {
    let (scene, room) = with_room();
    let world = scene.server.world();
    let large = texts([50_000; 150]);
    let keeps = || {
        let mut into = Texts::new(&world, &room);
        scene.simulation.run(keep(&mut into, &large));
        kept(&scene, &room)
    };
    let parts = keeps();
    scene.pass(600_000);
    assert_eq!(keeps(), 2 * parts);
    scene.pass(600_000);
    // Of three answers the first one's time is up.
    assert_eq!(keeps(), 2 * parts);
}
