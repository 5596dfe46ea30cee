//! What does a client learn by D1's copy of presence, and while it does not answer?

use serde_json::json;
use tombolo_platform::values;
use tombolo_support::{Scene, User, ask, text};

use super::{pair, set, shown, together, waiting};

fn run(scene: &Scene, sql: &str) {
    scene.server.d1().run(sql, values![]).unwrap();
}

#[test]
fn who_went_silent_is_shown_as_offline_to_who_comes_back_and_to_who_never_went() {
    let (scene, alice, bob, room) = together();
    let far = User { id: "@far:other.test".to_owned(), ..alice };
    let insert =
        "INSERT INTO room_members (user, room_id, joined, local, since) VALUES (?1, ?2, 1, 0, 0)";
    scene.server.d1().run(insert, values![&far.id, &room]).unwrap();
    let insert = "INSERT INTO presences (user, local, state, currently_active, told_ts) VALUES (?1, 0, 'online', 1, ?2)";
    scene.server.d1().run(insert, values![&far.id, scene.simulation.now()]).unwrap();
    let synced = scene.sync(&bob, "timeout=0");
    assert!(shown(&synced).contains(&pair(&far, "online")), "{synced}");
    let away = text(&synced["next_batch"]);
    let (mut since, mut seen) = (away.clone(), Vec::new());
    for _ in 0..80 {
        let synced = scene.sync(&bob, &format!("since={since}&timeout=60000"));
        since = text(&synced["next_batch"]);
        seen.extend(shown(&synced).into_iter().filter(|(user, _)| *user == far.id));
    }
    assert!((1..=2).contains(&seen.len()) && seen[0].1 == "offline", "{seen:?}");
    let synced = scene.sync(&bob, &format!("since={away}&timeout=0"));
    assert!(shown(&synced).contains(&pair(&far, "offline")), "{synced}");
}

#[test]
fn what_d1_does_not_say_is_shown_when_it_does() {
    for is_known in [false, true] {
        let (scene, alice, bob, _) = together();
        let mut query = "timeout=0".to_owned();
        if is_known {
            query = format!("since={}&{query}", text(&scene.sync(&bob, &query)["next_batch"]));
        }
        set(&scene, &alice, &json!({ "presence": "online" })).ok();
        scene.pass(10);
        scene.server.evict();
        run(&scene, "ALTER TABLE presences RENAME TO hidden");
        let mut synced = scene.sync(&bob, &query);
        // A sync that waits does not ask again and again.
        let (begun, calls) = (scene.simulation.now(), scene.server.world().units().d1_calls);
        for _ in 0..2 {
            assert!(shown(&synced).iter().all(|(user, _)| *user != alice.id), "{synced}");
            let since = text(&synced["next_batch"]);
            synced = scene.sync(&bob, &format!("since={since}&timeout=10000"));
        }
        assert!(scene.simulation.now() >= begun + 10_000);
        assert!(scene.server.world().units().d1_calls < calls + 40);
        run(&scene, "ALTER TABLE hidden RENAME TO presences");
        let since = text(&synced["next_batch"]);
        let synced = scene.sync(&bob, &format!("since={since}&timeout=0"));
        assert!(shown(&synced).contains(&pair(&alice, "online")), "{is_known}: {synced}");
    }
}

#[test]
fn who_comes_while_d1_does_not_answer_is_shown_later() {
    let (scene, alice, bob, _) = together();
    set(&scene, &alice, &json!({ "presence": "online" })).ok();
    let carol = scene.register("carol");
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    let since = text(&scene.sync(&carol, "timeout=0")["next_batch"]);
    scene.act(&carol, &room, "join", &json!({})).ok();
    scene.pass(5_000);
    run(&scene, "ALTER TABLE presences RENAME TO hidden");
    let synced = scene.sync(&carol, &format!("since={since}&timeout=0"));
    run(&scene, "ALTER TABLE hidden RENAME TO presences");
    let since = text(&synced["next_batch"]);
    let synced = scene.sync(&carol, &format!("since={since}&timeout=0"));
    assert!(shown(&synced).contains(&pair(&alice, "online")), "{synced}");
    assert!(shown(&synced).iter().all(|(user, _)| *user != bob.id), "{synced}");
}

#[test]
fn a_sync_that_was_cut_off_misses_nothing() {
    let (scene, alice, bob, room) = together();
    set(&scene, &alice, &json!({ "presence": "online" })).ok();
    let since = text(&scene.sync(&bob, "timeout=0")["next_batch"]);
    let synced = waiting(&scene, &bob, &format!("since={since}&timeout=30000"), async {
        // D1 was told, bob's object could not be.
        let update = "UPDATE presences SET state = 'unavailable', told_ts = ?1 WHERE user = ?2";
        let values = values![scene.simulation.now(), &alice.id];
        scene.server.d1().run(update, values).unwrap();
        scene.server.evict();
        let path = format!("/_matrix/client/v3/rooms/{room}/typing/{}", alice.id);
        let typing = json!({ "typing": true, "timeout": 10_000 }).to_string();
        ask(&alice.server, alice.request(("PUT", &path), typing)).await.unwrap().ok();
    });
    assert!(shown(&synced).contains(&pair(&alice, "unavailable")), "{synced}");
}
