//! What becomes of bodies that do not end, and which language is asked for?

use std::rc::Rc;

use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::{join, join_all},
    stream,
};
use tombolo_platform::Body;
use tombolo_support::Scene;

use super::*;
use crate::{
    app::Tombolo,
    flows::media::{failures::Unkept, room::Purpose},
};

/// A body that begins so and goes on for ever.
fn endless(begin: &'static [u8]) -> Body {
    let begin = stream::iter([Ok(Bytes::from_static(begin))]);
    let chunk = Bytes::from(vec![b' '; 99_999]);
    Body::stream(begin.chain(stream::repeat_with(move || Ok(chunk.clone()))))
}

fn fetching(world: &World) -> Fetch<'_> {
    let until = world.now() + TIME - OURS;
    Fetch { world, asker: "alice", language: LANGUAGE, until, waited: Cell::new(0) }
}

#[test]
fn what_does_not_end_is_read_no_further_than_that() {
    let scene = Scene::new(Rc::new(Tombolo), "example.org", &[]);
    let world = scene.server.world();
    let fetch = fetching(&world);
    let page = fetch.metadata(b"text/html", endless(b"<title>a</title>"));
    let metadata = scene.simulation.run(page).unwrap();
    assert_eq!(metadata.properties.get("og:title").map(String::as_str), Some("a"));
    let kept = scene.simulation.run(image::keep(&world, endless(b"GIF89a")));
    assert_eq!(kept, Err(Unkept::TooLarge(3 << 20)));
    let kept = scene.simulation.run(image::keep(&world, endless(b"%PDF-1.7")));
    assert_eq!(kept, Ok(None));
    assert!(scene.server.r2_keys().is_empty());
}

#[test]
fn few_pages_and_images_are_held_at_once() {
    let scene = Scene::new(Rc::new(Tombolo), "example.org", &[]);
    let world = scene.server.world();
    let fetch = fetching(&world);
    let held =
        |purpose, bytes| scene.simulation.run(join_all((0..9).map(|_| fetch.room(purpose, bytes))));
    let images = held(Purpose::Image, image::MOST);
    // Half of the time was waited, and then no more.
    assert_eq!(fetch.until - world.now(), (TIME - OURS) / 2);
    assert_eq!(images.iter().filter(|room| room.is_ok()).count(), 2);
    // Neither takes the room of the other.
    let pages = held(Purpose::Page, fetch::PAGE);
    assert_eq!(pages.iter().filter(|room| room.is_ok()).count(), 8);
    assert!(pages.iter().any(|room| matches!(room, Err(Unpreviewed::Busy(LATER)))));
}

#[test]
fn one_image_of_a_user_is_read_at_once() {
    let scene = Scene::new(Rc::new(Tombolo), "example.org", &[]);
    let world = scene.server.world();
    let fetch = fetching(&world);
    let bobs = Fetch { asker: "bob", ..fetching(&world) };
    scene.simulation.run(async {
        let first = fetch.image_room().await;
        assert!(first.is_ok());
        assert!(matches!(fetch.image_room().await, Err(Unpreviewed::Busy(LATER))));
        assert!(bobs.image_room().await.is_ok());
        drop(first);
        assert!(fetch.image_room().await.is_ok());
    });
}

#[test]
fn an_upload_does_not_wait_for_previews() {
    let scene = Scene::new(Rc::new(Tombolo), "example.org", &[]);
    let world = scene.server.world();
    let silent = || {
        let begin = stream::iter([Ok(Bytes::from_static(b"GIF89a and ten more"))]);
        Body::stream(begin.chain(stream::pending()))
    };
    let images =
        join_all((0..20).map(|_| keep::within(&world, TIME, image::keep(&world, silent()))));
    let upload = async {
        world.sleep(std::time::Duration::from_secs(1)).await;
        let body = Bytes::from(vec![0; 6 << 20]).into();
        let written = keep::write(&world, body, 10 << 20, None).await;
        (written.is_ok(), world.now())
    };
    let began = world.now();
    let (_, (is_written, at)) = scene.simulation.run(join(images, upload));
    assert!(is_written && at < began + 3000, "{}", at - began);
}

#[test]
fn the_first_language_is_asked_for() {
    assert_eq!(first_language("de-AT,de;q=0.9,en;q=0.8"), Some("de-AT"));
    assert_eq!(first_language(" fr;q=1"), Some("fr"));
    let long = "a".repeat(36);
    for none in ["", "*", ",de", "de\r\nx: y", "ä", &long] {
        assert_eq!(first_language(none), None, "{none}");
    }
}
