//! What do servers tell each other of presence, and what may they not?

use std::rc::Rc;

use futures_util::future::join;
use serde_json::{Value, json};
use tombolo_platform::values;
use tombolo_support::{Pair, Peer, Scene, User, encode, ok, text};

use super::introduce;
use crate::{
    app::Tombolo,
    flows::tests::{Guest, OTHER, OURS, PEER, room_id},
    objects::room::messages::UndeliveredReply,
};

const ON: &[(&str, &str)] = &[("PRESENCE", "on")];

fn set(scene: &Scene, user: &User, state: &str) {
    let line = format!("PUT /_matrix/client/v3/presence/{}/status", encode(&user.id));
    scene.call(Some(user), &line, &json!({ "presence": state, "status_msg": "said so" })).ok();
}

/// What a user's sync shows of another user's presence.
fn shown(synced: &Value, user: &str) -> Option<Value> {
    let mut events = synced["presence"]["events"].as_array()?.iter();
    Some(events.find(|event| event["sender"] == user)?["content"].clone())
}

fn found(scene: &Scene, viewer: &User, user: &str) -> Value {
    scene.get(viewer, &format!("/_matrix/client/v3/presence/{}/status", encode(user))).ok()
}

fn push(user: &str, state: &str) -> Value {
    json!({ "user_id": user, "presence": state, "last_active_ago": 60_000, "status_msg": "x" })
}

fn edu(push: &Value) -> Value {
    json!({ "edu_type": "m.presence", "content": { "push": push } })
}

/// How many presences our server holds of users of others.
fn held(guest: &Guest) -> i64 {
    let query = "SELECT count(*) AS n FROM presences WHERE local = 0";
    guest.scene.server.d1().row(query, values![], |row| row.int(0)).unwrap().unwrap()
}

#[test]
fn a_presence_reaches_the_users_of_another_server() {
    let two = Pair::with(Rc::new(Tombolo), [OURS, OTHER], ON);
    two.meet(json!({}));
    two.scene.pass(60_000);
    let mut since = text(&two.scene.sync(&two.bob, "timeout=0")["next_batch"]);
    for state in ["online", "unavailable"] {
        set(&two.scene, &two.alice, state);
        let synced = two.scene.sync(&two.bob, &format!("since={since}&timeout=5000"));
        let content = shown(&synced, &two.alice.id).unwrap();
        assert_eq!(
            (&content["presence"], &content["status_msg"]),
            (&json!(state), &json!("said so"))
        );
        assert!(content["last_active_ago"].as_u64().is_some_and(|ago| ago < 10_000), "{content}");
        since = text(&synced["next_batch"]);
    }
    assert_eq!(found(&two.scene, &two.bob, &two.alice.id)["presence"], "unavailable");
}

#[test]
fn servers_that_meet_tell_each_other_who_is_online() {
    let two = Pair::with(Rc::new(Tombolo), [OURS, OTHER], ON);
    for user in [&two.alice, &two.bob] {
        set(&two.scene, user, "online");
    }
    two.meet(json!({}));
    for _ in 0..4 {
        two.scene.pass(5_000);
        for user in [&two.alice, &two.bob] {
            two.scene.sync(user, "timeout=0&set_presence=online");
        }
    }
    assert_eq!(found(&two.scene, &two.bob, &two.alice.id)["presence"], "online");
    assert_eq!(found(&two.scene, &two.alice, &two.bob.id)["presence"], "online");
}

#[test]
fn a_presence_that_is_set_right_after_the_join_arrives_within_five_seconds() {
    let two = Pair::with(Rc::new(Tombolo), [OURS, OTHER], ON);
    two.meet(json!({}));
    let since = text(&two.scene.sync(&two.bob, "timeout=0")["next_batch"]);
    set(&two.scene, &two.alice, "online");
    let (begun, mut since) = (two.scene.simulation.now(), since);
    loop {
        let synced = two.scene.sync(&two.bob, &format!("since={since}&timeout=1000"));
        let passed = two.scene.simulation.now() - begun;
        assert!(passed < 5_000, "{passed} ms");
        if shown(&synced, &two.alice.id).is_some() {
            return;
        }
        since = text(&synced["next_batch"]);
    }
}

#[test]
fn a_server_speaks_only_for_its_own_users() {
    let guest = Guest::with(ON);
    let others =
        [&guest.alice.id, "@eve:elsewhere.test", "no user", ""].map(|user| push(user, "online"));
    guest.transaction(&[], &[edu(&json!(others))]);
    guest.scene.pass(10_000);
    assert_eq!(held(&guest), 0);
    assert_eq!(found(&guest.scene, &guest.alice, &guest.alice.id)["presence"], "offline");
    // One of theirs among them is heard.
    let pushes = [push(&guest.alice.id, "online"), push(&guest.user, "online")];
    guest.transaction(&[], &[edu(&json!(pushes))]);
    let presence = found(&guest.scene, &guest.alice, &guest.user);
    assert_eq!((&presence["presence"], &presence["status_msg"]), (&json!("online"), &json!("x")));
    assert!(presence["last_active_ago"].as_u64().is_some_and(|ago| ago >= 60_000), "{presence}");
}

#[test]
fn nothing_is_kept_of_who_shares_no_room() {
    let guest = Guest::with(ON);
    let strangers: Vec<Value> =
        (0..100_000).map(|n| push(&format!("@stranger{n}:{PEER}"), "online")).collect();
    guest.transaction(&[], &[edu(&json!(strangers[..5_000]))]);
    guest.scene.pass(10_000);
    assert_eq!(held(&guest), 0);
}

#[test]
fn what_is_malformed_has_no_effect_and_fails_nothing_else() {
    let guest = Guest::with(ON);
    let mut odd = vec![json!([]), json!({}), json!(5), json!(null), json!("online")];
    odd.extend([json!({ "push": 5 }), json!({ "push": {} }), json!({ "push": [5, null, [], {}] })]);
    let edus: Vec<Value> =
        odd.iter().map(|content| json!({ "edu_type": "m.presence", "content": content })).collect();
    guest.transaction(&[], &edus);
    let broken = [
        json!({ "user_id": guest.user }),
        json!({ "user_id": guest.user, "presence": "busy" }),
        json!({ "user_id": guest.user, "presence": 5 }),
        json!({ "user_id": guest.user, "presence": "online", "status_msg": {} }),
        json!({ "user_id": guest.user, "presence": "online", "last_active_ago": "1" }),
        json!({ "user_id": guest.user, "presence": "online", "last_active_ago": 1e300 }),
        json!({ "user_id": guest.user, "presence": "online", "currently_active": "yes" }),
    ];
    guest.transaction(&[], &[edu(&json!(broken))]);
    assert_eq!(held(&guest), 0);
    let long = "\u{e9}".repeat(5_000);
    let told = json!({ "user_id": guest.user, "presence": "online", "status_msg": long,
                       "last_active_ago": -5 });
    guest.transaction(&[], &[edu(&json!([told]))]);
    let presence = found(&guest.scene, &guest.alice, &guest.user);
    assert_eq!(presence["status_msg"].as_str().map(str::len), Some(2_048));
    assert!(presence["last_active_ago"].as_u64().is_some_and(|ago| ago < 5_000), "{presence}");
    let told = json!({ "user_id": guest.user, "presence": "unavailable", "status_msg": "a\0b",
                       "last_active_ago": (1_u64 << 53) - 1 });
    guest.transaction(&[], &[edu(&json!([told]))]);
    let presence = found(&guest.scene, &guest.alice, &guest.user);
    assert_eq!(
        (&presence["status_msg"], &presence["last_active_ago"]),
        (&json!("ab"), &Value::Null)
    );
}

#[test]
fn who_counts_as_offline_and_is_told_to_be_is_no_more_shown_as_online() {
    let guest = Guest::with(ON);
    guest.transaction(&[], &[edu(&json!([push(&guest.user, "online")]))]);
    let mut since = text(&guest.scene.sync(&guest.alice, "timeout=0")["next_batch"]);
    // A client that polls all the time.
    for _ in 0..100 {
        guest.scene.pass(30_000);
        let synced = guest.scene.sync(&guest.alice, &format!("since={since}&timeout=0"));
        since = text(&synced["next_batch"]);
    }
    for state in ["offline", "online"] {
        guest.transaction(&[], &[edu(&json!([push(&guest.user, state)]))]);
        let synced = guest.scene.sync(&guest.alice, &format!("since={since}&timeout=0"));
        let told = shown(&synced, &guest.user);
        assert_eq!(told.unwrap()["presence"], state);
        since = text(&synced["next_batch"]);
    }
}

#[test]
fn a_server_that_comes_into_two_rooms_hears_of_those_in_both() {
    let guest = Guest::with(ON);
    let heard = listen(&guest.peer);
    let [dora, eve] = ["dora", "eve"].map(|name| guest.scene.register(name));
    let rooms = [&dora, &eve].map(|user| {
        set(&guest.scene, &guest.alice, "online");
        set(&guest.scene, user, "online");
        let room = guest.scene.room(&guest.alice, &json!({ "preset": "public_chat" }));
        guest.scene.act(user, &room, "join", &json!({})).ok();
        room_id(&room)
    });
    guest.scene.pass(10_000);
    let world = guest.scene.server.world();
    let came =
        json!({ "to": 0, "users": [], "servers": [], "receipts": [], "moved": [[PEER, true]] });
    let undelivered: UndeliveredReply = serde_json::from_value(came).unwrap();
    let [one, other] = rooms.each_ref().map(|room| introduce(&world, room, &undelivered));
    guest.scene.simulation.run(join(one, other));
    guest.scene.pass(10_000);
    for user in [&dora, &eve] {
        assert!(json!(*heard.borrow()).to_string().contains(&user.id), "{heard:?}");
    }
}

#[test]
fn who_is_told_to_be_the_same_wakes_nobody_and_writes_nothing() {
    let guest = Guest::with(ON);
    guest.transaction(&[], &[edu(&json!([push(&guest.user, "online")]))]);
    guest.scene.sync(&guest.alice, "timeout=0");
    // What alice's own poll tells is told by then.
    guest.scene.pass(5_000);
    let synced = guest.scene.sync(&guest.alice, "timeout=0");
    assert_eq!(shown(&synced, &guest.user).unwrap()["presence"], "online");
    let units = || guest.scene.server.world().units().d1_rows_written;
    let (before, since) = (units(), text(&synced["next_batch"]));
    for active in [true, false, true] {
        let mut pushed = push(&guest.user, "online");
        pushed["currently_active"] = json!(active);
        guest.transaction(&[], &[edu(&json!([pushed]))]);
    }
    assert_eq!(units(), before);
    let begun = guest.scene.simulation.now();
    guest.scene.sync(&guest.alice, &format!("since={since}&timeout=5000"));
    assert!(guest.scene.simulation.now() >= begun + 5_000);
}

#[test]
fn a_server_whose_user_flickers_is_heard_of_some_of_it() {
    let guest = Guest::with(ON);
    let before = guest.scene.server.world().units().d1_rows_written;
    for n in 0..1_000 {
        let state = if n % 2 == 0 { "online" } else { "unavailable" };
        guest.transaction(&[], &[edu(&json!([push(&guest.user, state)]))]);
        guest.scene.pass(1);
    }
    let written = guest.scene.server.world().units().d1_rows_written - before;
    assert!((400..=700).contains(&written), "{written}");
    // Later it is heard of again.
    guest.scene.pass(60_000);
    guest.transaction(&[], &[edu(&json!([push(&guest.user, "offline")]))]);
    assert_eq!(found(&guest.scene, &guest.alice, &guest.user)["presence"], "offline");
}

#[test]
fn who_is_not_heard_of_for_long_is_offline() {
    let guest = Guest::with(ON);
    guest.transaction(&[], &[edu(&json!([push(&guest.user, "online")]))]);
    assert_eq!(found(&guest.scene, &guest.alice, &guest.user)["presence"], "online");
    guest.scene.pass(3_600_000);
    assert_eq!(found(&guest.scene, &guest.alice, &guest.user)["presence"], "offline");
    assert_eq!(shown(&guest.scene.sync(&guest.alice, ""), &guest.user), None);
}

#[test]
fn where_presence_is_off_nothing_is_kept_and_nothing_sent() {
    let guest = Guest::new();
    let heard = listen(&guest.peer);
    guest.transaction(&[], &[edu(&json!([push(&guest.user, "online")]))]);
    set(&guest.scene, &guest.alice, "online");
    guest.scene.sync(&guest.alice, "timeout=0&set_presence=online");
    guest.scene.pass(400_000);
    assert_eq!((held(&guest), heard.borrow().len()), (0, 0));
}

#[test]
fn another_server_gets_one_edu_for_a_change_and_none_for_a_poll() {
    let guest = Guest::with(ON);
    let heard = listen(&guest.peer);
    set(&guest.scene, &guest.alice, "online");
    for _ in 0..20 {
        guest.scene.sync(&guest.alice, "timeout=0&set_presence=online");
        guest.scene.pass(3_000);
    }
    let heard = heard.borrow();
    assert_eq!(heard.len(), 1, "{heard:?}");
    let told = &heard[0]["content"]["push"][0];
    assert_eq!((&told["user_id"], &told["presence"]), (&json!(guest.alice.id), &json!("online")));
    assert!(told["last_active_ago"].is_u64() && told["currently_active"] == true, "{told}");
}

/// The presence that a peer is told.
fn listen(peer: &Peer) -> Rc<std::cell::RefCell<Vec<Value>>> {
    let heard: Rc<std::cell::RefCell<Vec<Value>>> = Rc::default();
    let hears = Rc::clone(&heard);
    peer.on("send", move |asked| {
        let edus = asked.body["edus"].as_array().cloned().unwrap_or_default();
        let of_presence = edus.into_iter().filter(|edu| edu["edu_type"] == "m.presence");
        hears.borrow_mut().extend(of_presence);
        ok(&json!({ "pdus": {} }))
    });
    heard
}
