//! What becomes of bodies that do not end, and which language is asked for?

use std::rc::Rc;

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all, stream};
use tombolo_platform::Body;
use tombolo_support::Scene;

use super::*;
use crate::app::Tombolo;

/// A body that begins so and goes on for ever.
fn endless(begin: &'static [u8]) -> Body {
    let begin = stream::iter([Ok(Bytes::from_static(begin))]);
    let chunk = Bytes::from(vec![b' '; 99_999]);
    Body::stream(begin.chain(stream::repeat_with(move || Ok(chunk.clone()))))
}

#[test]
fn what_does_not_end_is_read_no_further_than_that() {
    let scene = Scene::new(Rc::new(Tombolo), "example.org", &[]);
    let world = scene.server.world();
    let until = world.now() + TIME;
    let page = read_page(&world, b"text/html", endless(b"<title>a</title>"), until);
    let said = scene.simulation.run(page).unwrap();
    assert_eq!(said.properties.get("og:title").map(String::as_str), Some("a"));
    let kept = scene.simulation.run(image::keep(&world, endless(b"GIF89a")));
    assert_eq!(kept, Err(Unkept::TooLarge(10 << 20)));
    let kept = scene.simulation.run(image::keep(&world, endless(b"%PDF-1.7")));
    assert_eq!(kept, Ok(None));
    assert!(scene.server.r2_keys().is_empty());
}

#[test]
fn few_pages_are_held_at_once() {
    let scene = Scene::new(Rc::new(Tombolo), "example.org", &[]);
    let world = scene.server.world();
    let until = world.now() + TIME;
    let silent = || Body::stream(stream::pending());
    let pages = (0..20).map(|_| {
        let page = read_page(&world, b"text/html", silent(), until);
        keep::within(&world, TIME + 1000, page)
    });
    let read = scene.simulation.run(join_all(pages));
    let busy = |read: &&Option<_>| **read == Some(Err(Unpreviewed::Busy(LATER)));
    // The platform breaks off what these would wait for.
    assert_eq!(read.iter().filter(|read| read.is_none()).count(), 12);
    assert_eq!(read.iter().filter(busy).count(), 8);
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
