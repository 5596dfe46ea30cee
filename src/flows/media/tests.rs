//! How many contents are written at once, and how slowly may they come?

use std::{cell::RefCell, rc::Rc, time::Duration};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::{join, join_all},
    stream,
};
use tombolo_platform::{Body, World};
use tombolo_support::Scene;

use super::{failures::Unkept, keep::write};
use crate::app::Tombolo;

const LARGE: usize = 50 << 20;

/// A body that says to be large, notes when it is asked for, and never comes.
fn stalled(world: &World, asked: &Rc<RefCell<Vec<u64>>>) -> Body {
    let (world, asked) = (world.clone(), Rc::clone(asked));
    let never = stream::once(async move {
        asked.borrow_mut().push(world.now());
        std::future::pending().await
    });
    Body::stream(never).announcing(Some(LARGE))
}

#[test]
fn few_large_contents_are_written_at_once_and_small_ones_beside_them() {
    let scene = Scene::new(Rc::new(Tombolo), "example.org", &[]);
    let (world, asked) = (scene.server.world(), Rc::default());
    let begun = world.now();
    let all = (0..25).map(|_| write(&world, stalled(&world, &asked), LARGE, None));
    let small = async {
        world.sleep(Duration::from_secs(1)).await;
        let written = write(&world, Bytes::from_static(b"small").into(), LARGE, None).await;
        (written, world.now())
    };
    let (ended, (small, at)) = scene.simulation.run(join(join_all(all), small));
    // Of three nothing comes, and they are not waited for for ever; others are not begun.
    let at_first = asked.borrow().iter().filter(|at| **at < begun + 30_000).count();
    assert_eq!(at_first, 3);
    assert!(ended.iter().all(Result::is_err) && ended.contains(&Err(Unkept::Busy(10_000))));
    assert!(small.is_ok() && at < begun + 5000, "{small:?}");
}

#[test]
fn what_comes_too_slowly_is_not_written() {
    let scene = Scene::new(Rc::new(Tombolo), "example.org", &[]);
    let world = scene.server.world();
    let drips = |bytes: usize| {
        let drop = move |world: World| async move {
            world.sleep(Duration::from_secs(20)).await;
            Some((Ok(vec![0; bytes].into()), world))
        };
        Body::stream(stream::unfold(world.clone(), drop).take(60))
    };
    let written = |bytes| scene.simulation.run(write(&world, drips(bytes), LARGE, None));
    assert_eq!(written(1), Err(Unkept::Broken));
    assert_eq!(written(100_000).map(|content| content.size), Ok(6_000_000));
    assert_eq!(scene.server.r2_keys().len(), 1);
}

#[test]
fn what_comes_within_a_small_answer_takes_little_room() {
    let scene = Scene::new(Rc::new(Tombolo), "example.org", &[]);
    let world = scene.server.world();
    let slow = || {
        let world = world.clone();
        Body::stream(stream::once(async move {
            world.sleep(Duration::from_secs(20)).await;
            Ok(Bytes::from_static(b"small"))
        }))
    };
    let (all, begun) = ((0..25).map(|_| write(&world, slow(), LARGE, Some(2000))), world.now());
    let ended = scene.simulation.run(join_all(all));
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert!(world.now() < begun + 30_000);
}
