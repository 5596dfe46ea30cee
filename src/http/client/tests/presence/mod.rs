//! Who sees of whom whether they are online, and what does a client say of its user?

mod copy;

use std::time::Duration;

use futures_util::future::join;
use ruma::{RoomId, UserId};
use serde_json::{Value, json};
use tombolo_platform::values;
use tombolo_support::{Answer, Scene, User, ask, encode, text};

use super::one_server_with;
use crate::objects::{room_object, user_object, user_sync::messages::Deactivate};

/// A server with presence, alice and bob, and a room of alice that bob has joined.
fn together() -> (Scene, User, User, String) {
    let scene = one_server_with(&[("PRESENCE", "on")]);
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.pass(5_000);
    (scene, alice, bob, room)
}

fn set(scene: &Scene, user: &User, body: &Value) -> Answer {
    let line = format!("PUT /_matrix/client/v3/presence/{}/status", encode(&user.id));
    scene.call(Some(user), &line, body)
}

fn find(scene: &Scene, viewer: &User, user: &User) -> Answer {
    scene.get(viewer, &format!("/_matrix/client/v3/presence/{}/status", encode(&user.id)))
}

/// The events of presence in a sync, by sender: what each is.
fn shown(synced: &Value) -> Vec<(String, String)> {
    let events = synced["presence"]["events"].as_array().cloned().unwrap_or_default();
    let shown = events.iter().map(|event| {
        assert_eq!(event["type"], "m.presence");
        (text(&event["sender"]), text(&event["content"]["presence"]))
    });
    shown.collect()
}

fn pair(user: &User, state: &str) -> (String, String) {
    (user.id.clone(), state.to_owned())
}

#[test]
fn what_a_client_sets_is_what_others_read() {
    let (scene, alice, bob, _) = together();
    assert_eq!(find(&scene, &alice, &alice).ok()["presence"], "offline");
    set(&scene, &alice, &json!({ "presence": "online", "status_msg": "busy reading" })).ok();
    scene.pass(1_000);
    let found = find(&scene, &bob, &alice).ok();
    assert_eq!(
        (&found["presence"], &found["status_msg"], &found["currently_active"]),
        (&json!("online"), &json!("busy reading"), &json!(true))
    );
    assert!(found["last_active_ago"].as_u64().is_some_and(|ago| ago < 5_000), "{found}");
    set(&scene, &alice, &json!({ "presence": "unavailable" })).ok();
    let found = find(&scene, &bob, &alice).ok();
    assert_eq!((&found["presence"], &found["status_msg"]), (&json!("unavailable"), &Value::Null));
}

#[test]
fn a_waiting_sync_is_told_at_once() {
    let (scene, alice, bob, _) = together();
    let since = text(&scene.sync(&bob, "timeout=0")["next_batch"]);
    for (state, body) in [
        ("online", json!({ "presence": "online", "status_msg": "here" })),
        ("unavailable", json!({ "presence": "unavailable" })),
    ] {
        set(&scene, &alice, &body).ok();
        let synced = scene.sync(&bob, &format!("since={since}&timeout=0"));
        assert!(shown(&synced).contains(&pair(&alice, state)), "{synced}");
    }
    let synced = scene.sync(&bob, &format!("since={since}&timeout=0"));
    let since = text(&synced["next_batch"]);
    let before = scene.simulation.now();
    scene.sync(&alice, "timeout=0&set_presence=online");
    let synced = scene.sync(&bob, &format!("since={since}&timeout=30000"));
    assert_eq!(shown(&synced), [pair(&alice, "online")]);
    assert!(scene.simulation.now() < before + 3_000);
}

#[test]
fn a_sync_that_has_shown_it_shows_it_no_more() {
    let (scene, alice, bob, _) = together();
    set(&scene, &alice, &json!({ "presence": "online" })).ok();
    let synced = scene.sync(&bob, "timeout=0");
    let since = text(&synced["next_batch"]);
    assert!(shown(&synced).contains(&pair(&alice, "online")), "{synced}");
    let begun = scene.simulation.now();
    let synced = scene.sync(&bob, &format!("since={since}&timeout=20000"));
    assert_eq!((shown(&synced), scene.simulation.now() >= begun + 20_000), (Vec::new(), true));
}

#[test]
fn users_see_themselves_and_nobody_with_whom_they_share_no_room() {
    let (scene, alice, bob, _) = together();
    let carol = scene.register("carol");
    let synced = scene.sync(&carol, "timeout=0");
    assert_eq!(shown(&synced), [pair(&carol, "online")]);
    find(&scene, &carol, &alice).refused(403, "M_FORBIDDEN");
    find(&scene, &alice, &carol).refused(403, "M_FORBIDDEN");
    let nobody = User { id: "@nobody:example.org".to_owned(), ..alice.clone() };
    find(&scene, &alice, &nobody).refused(403, "M_FORBIDDEN");
    set(&scene, &bob, &json!({ "presence": "online" })).ok();
    let synced = scene.sync(&carol, "timeout=0");
    assert_eq!(shown(&synced), [pair(&carol, "online")]);
    // An invite shows nothing of who is invited, nor to them.
    let [of_alice, of_carol] =
        [&alice, &carol].map(|user| text(&scene.sync(user, "timeout=0")["next_batch"]));
    let room = scene.room(&alice, &json!({ "invite": [carol.id] }));
    scene.pass(5_000);
    find(&scene, &alice, &carol).refused(403, "M_FORBIDDEN");
    find(&scene, &carol, &alice).refused(403, "M_FORBIDDEN");
    for (viewer, since, other) in [(&alice, &of_alice, &carol), (&carol, &of_carol, &alice)] {
        for parameters in [String::new(), format!("since={since}&timeout=0")] {
            let synced = scene.sync(viewer, &parameters);
            assert!(shown(&synced).iter().all(|(user, _)| *user != other.id), "{synced}");
        }
    }
    scene.act(&carol, &room, "join", &json!({})).ok();
    scene.pass(5_000);
    assert_eq!(find(&scene, &alice, &carol).ok()["presence"], "online");
}

#[test]
fn who_joins_a_room_sees_who_is_there_and_is_seen() {
    let scene = one_server_with(&[("PRESENCE", "on")]);
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    let [of_alice, of_bob] =
        [&alice, &bob].map(|user| text(&scene.sync(user, "timeout=0")["next_batch"]));
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.pass(5_000);
    let synced = scene.sync(&alice, &format!("since={of_alice}&timeout=0"));
    assert!(shown(&synced).contains(&pair(&bob, "online")), "{synced}");
    let synced = scene.sync(&bob, &format!("since={of_bob}&timeout=0"));
    assert!(shown(&synced).contains(&pair(&alice, "online")), "{synced}");
}

#[test]
fn who_was_away_learns_who_has_gone_meanwhile() {
    let (scene, alice, bob, _) = together();
    set(&scene, &alice, &json!({ "presence": "online" })).ok();
    let synced = scene.sync(&bob, "timeout=0");
    let since = text(&synced["next_batch"]);
    assert!(shown(&synced).contains(&pair(&alice, "online")));
    // Alice goes, and bob's object is forgotten.
    scene.pass(900_000);
    scene.server.evict();
    let synced = scene.sync(&bob, &format!("since={since}&timeout=0"));
    assert!(shown(&synced).contains(&pair(&alice, "offline")), "{synced}");
    assert_eq!(find(&scene, &bob, &alice).ok()["presence"], "offline");
}

#[test]
fn whom_a_user_ignores_is_not_shown() {
    let (scene, alice, bob, _) = together();
    let line = format!("PUT /_matrix/client/v3/user/{}/account_data/m.ignored_user_list", bob.id);
    scene.call(Some(&bob), &line, &json!({ "ignored_users": { alice.id.clone(): {} } })).ok();
    let since = text(&scene.sync(&bob, "timeout=0")["next_batch"]);
    set(&scene, &alice, &json!({ "presence": "online" })).ok();
    for parameters in [String::new(), format!("since={since}&timeout=0")] {
        let synced = scene.sync(&bob, &parameters);
        assert!(shown(&synced).iter().all(|(user, _)| *user != alice.id), "{synced}");
    }
}

#[test]
fn a_filter_says_whose_presence_is_shown() {
    let (scene, alice, bob, _) = together();
    set(&scene, &alice, &json!({ "presence": "online" })).ok();
    for (filter, of_alice) in [
        (json!({}), true),
        (json!({ "senders": [alice.id] }), true),
        (json!({ "senders": [bob.id] }), false),
        (json!({ "not_senders": [alice.id] }), false),
        (json!({ "types": ["m.typing"] }), false),
        (json!({ "not_types": ["m.*"] }), false),
        (json!({ "limit": 0 }), false),
    ] {
        let synced = scene.filtered(&bob, &json!({ "presence": filter }), "timeout=0");
        let is_shown = shown(&synced).contains(&pair(&alice, "online"));
        assert_eq!(is_shown, of_alice, "{filter}: {synced}");
    }
}

#[test]
fn a_hidden_client_is_offline() {
    let (scene, alice, bob, _) = together();
    scene.sync(&alice, "timeout=0&set_presence=offline");
    assert!(shown(&scene.sync(&bob, "")).iter().all(|(user, _)| *user != alice.id));
    assert_eq!(find(&scene, &bob, &alice).ok()["presence"], "offline");
}

#[test]
fn what_is_no_presence_is_refused() {
    let (scene, alice, bob, _) = together();
    for name in ["busy", "Online", "", "org.matrix.msc3026.busy"] {
        scene
            .get(&alice, &format!("/_matrix/client/v3/sync?timeout=0&set_presence={name}"))
            .refused(400, "M_INVALID_PARAM");
        set(&scene, &alice, &json!({ "presence": name })).refused(400, "M_INVALID_PARAM");
    }
    set(&scene, &alice, &json!({})).refused(400, "M_BAD_JSON");
    set(&scene, &alice, &json!({ "presence": 5 })).refused(400, "M_BAD_JSON");
    set(&scene, &alice, &json!({ "presence": "online", "status_msg": {} }))
        .refused(400, "M_BAD_JSON");
    let long = "x".repeat(2_049);
    set(&scene, &alice, &json!({ "presence": "online", "status_msg": long }))
        .refused(400, "M_INVALID_PARAM");
    let line = format!("PUT /_matrix/client/v3/presence/{}/status", encode(&bob.id));
    let online = json!({ "presence": "online" });
    scene.call(Some(&alice), &line, &online).refused(403, "M_FORBIDDEN");
    scene.call(None, &line, &online).refused(401, "M_MISSING_TOKEN");
    assert_eq!(find(&scene, &bob, &bob).ok()["presence"], "offline");
}

#[test]
fn who_sets_a_presence_too_often_has_to_wait() {
    let scene = one_server_with(&[("PRESENCE", "on"), ("RATE_LIMITS", "on")]);
    let alice = scene.register("alice");
    let answers = (0..20).map(|_| set(&scene, &alice, &json!({ "presence": "online" })).status);
    assert!(answers.collect::<Vec<_>>().contains(&429));
}

#[test]
fn where_presence_is_off_nobody_is_online() {
    let scene = one_server_with(&[]);
    let [alice, bob] = ["alice", "bob"].map(|name| scene.register(name));
    let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
    scene.act(&bob, &room, "join", &json!({})).ok();
    scene.pass(5_000);
    set(&scene, &alice, &json!({ "presence": "online" })).ok();
    assert_eq!(find(&scene, &bob, &alice).ok(), json!({ "presence": "offline" }));
    let synced = scene.sync(&alice, "timeout=0&set_presence=online");
    assert_eq!((&synced["presence"], shown(&scene.sync(&bob, ""))), (&Value::Null, Vec::new()));
    assert!(!text(&synced["next_batch"]).contains('p'));
    scene
        .get(&alice, "/_matrix/client/v3/sync?timeout=0&set_presence=busy")
        .refused(400, "M_INVALID_PARAM");
}

/// What a sync of a user shows that waits while something happens, half a second after its begin.
fn waiting(scene: &Scene, user: &User, query: &str, deed: impl Future<Output = ()>) -> Value {
    let world = scene.server.world();
    let later = async {
        world.sleep(Duration::from_millis(500)).await;
        deed.await;
    };
    let path = format!("/_matrix/client/v3/sync?{query}");
    let sync = ask(&user.server, user.request(("GET", &path), ""));
    let (answer, ()) = scene.simulation.run(join(sync, later));
    answer.unwrap().ok()
}

#[test]
fn a_limit_cuts_nobody_off() {
    let (scene, alice, bob, room) = together();
    let carol = scene.register("carol");
    scene.act(&carol, &room, "join", &json!({})).ok();
    scene.pass(5_000);
    for user in [&alice, &bob] {
        set(&scene, user, &json!({ "presence": "online" })).ok();
    }
    let synced = scene.filtered(&carol, &json!({ "presence": { "limit": 1 } }), "timeout=0");
    for user in [&alice, &bob] {
        assert!(shown(&synced).contains(&pair(user, "online")), "{synced}");
    }
}

#[test]
fn others_learn_of_a_user_whose_sync_fails() {
    let (scene, alice, bob, room) = together();
    let since = text(&scene.sync(&bob, "timeout=0")["next_batch"]);
    let room = room_object(&RoomId::parse(room.as_str()).unwrap());
    let sql = scene.server.sql(&room).unwrap();
    sql.run("ALTER TABLE past RENAME TO hidden", values![]).unwrap();
    let synced = scene.get(&alice, "/_matrix/client/v3/sync?timeout=0");
    assert!(!synced.is_ok(), "{synced:?}");
    sql.run("ALTER TABLE hidden RENAME TO past", values![]).unwrap();
    scene.pass(3_000);
    let synced = scene.sync(&bob, &format!("since={since}&timeout=0"));
    assert!(shown(&synced).contains(&pair(&alice, "online")), "{synced}");
}

#[test]
fn who_has_left_the_room_is_not_shown_to_who_begins() {
    let (scene, alice, bob, room) = together();
    scene.sync(&bob, "timeout=0");
    set(&scene, &alice, &json!({ "presence": "online" })).ok();
    assert!(shown(&scene.sync(&bob, "timeout=0")).contains(&pair(&alice, "online")));
    scene.act(&bob, &room, "leave", &json!({})).ok();
    scene.pass(5_000);
    assert_eq!(shown(&scene.sync(&bob, "timeout=0")), [pair(&bob, "online")]);
}

#[test]
fn who_is_deactivated_is_shown_once_as_offline_and_nothing_is_kept() {
    let (scene, alice, bob, _) = together();
    set(&scene, &alice, &json!({ "presence": "online", "status_msg": "here" })).ok();
    let since = text(&scene.sync(&bob, "timeout=0")["next_batch"]);
    let user = user_object(&UserId::parse(alice.id.as_str()).unwrap());
    let world = scene.server.world();
    scene.simulation.run(world.ask(&user, &Deactivate { erase: false })).unwrap();
    scene.pass(60_000);
    let synced = scene.sync(&bob, &format!("since={since}&timeout=0"));
    assert_eq!(shown(&synced), [pair(&alice, "offline")]);
    let query = "SELECT count(*) AS n FROM presences WHERE user = ?1";
    let read = scene.server.d1().row(query, values![&alice.id], |row| row.int(0));
    let sql = scene.server.sql(&user).unwrap();
    let kept = sql.row("SELECT count(*) FROM presence", values![], |row| row.int(0));
    assert_eq!((read.unwrap(), kept.unwrap()), (Some(0), Some(0)));
}
