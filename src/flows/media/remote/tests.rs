//! Until when is a fetch waited for that another request began?

use tombolo_support::Scene;

use super::*;
use crate::app::Tombolo;

#[test]
fn a_file_is_waited_for_as_long_as_something_comes() {
    let scene = Scene::new(Rc::new(Tombolo), "example.org", &[]);
    let world = scene.server.world();
    let (fetches, key) = (Rc::new(Fetches::default()), ("new.org".try_into().unwrap(), "a".into()));
    let is_begun = || matches!(fetches.standing(&key, world.now()), Standing::Begun);
    let begin = |times| Rc::new(Rc::clone(&fetches).begin(key.clone(), times, MOST_KNOWN));
    scene.simulation.run(async {
        let turn = begin((world.now(), world.now() + BEGIN));
        let slow = stream::unfold(world.clone(), async |world| {
            world.sleep(Duration::from_millis(STALE - 1)).await;
            Some((Ok("a".into()), world))
        });
        let mut body = watched(&turn, &world, Body::stream(Box::pin(slow)));
        for _ in 0..5 {
            body.next().await.unwrap().unwrap();
            assert!(is_begun());
        }
        world.sleep(Duration::from_millis(STALE)).await;
        assert!(!is_begun());
        let another = begin((world.now(), world.now() + BEGIN));
        drop((body, turn));
        assert!(is_begun(), "the first takes the second away");
        drop(another);
        assert!(!is_begun());
    });
}
