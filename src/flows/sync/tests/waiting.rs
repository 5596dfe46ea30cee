//! Does a sync that waits return with the news, and without news in time?

use std::time::Duration;

use futures_util::future::join;
use serde_json::{Value, json};
use tombolo_support::{Answer, Scene, User, ask, encode, text};

use crate::flows::tests::ours;

/// Runs a sync with this timeout (ms), and half a second later a request that sends a message, if one is given; returns
/// the answer of the sync and how long it took (ms).
fn waited(
    scene: &Scene,
    user: &User,
    query: &str,
    (time, deed): (u64, Option<&str>),
) -> (Value, u64) {
    let began = scene.simulation.now();
    let path = format!("/_matrix/client/v3/sync?timeout={time}&{query}");
    let (world, server) = (scene.server.world(), &user.server);
    let later = async {
        world.sleep(Duration::from_millis(500)).await;
        if let Some(path) = deed {
            let body = json!({ "msgtype": "m.text", "body": "hello" }).to_string();
            ask(server, user.request(("PUT", path), body)).await.unwrap().ok();
        }
    };
    let sync = async {
        let answer: Answer = ask(server, user.request(("GET", &path), "")).await.unwrap();
        (answer.ok(), scene.simulation.now())
    };
    let ((answer, ended), ()) = scene.simulation.run(join(sync, later));
    (answer, ended - began)
}

/// A user in a room of their own, the room, and the token of their next sync.
fn settled(scene: &Scene) -> (User, String, String) {
    let alice = scene.register("alice");
    let room = scene.room(&alice, &json!({}));
    let since = text(&scene.sync(&alice, "")["next_batch"]);
    (alice, room, since)
}

#[test]
fn a_sync_that_waits_returns_with_the_news() {
    let scene = ours();
    let (alice, room, since) = settled(&scene);
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let query = format!("since={since}");
    let (news, took) = waited(&scene, &alice, &query, (30_000, Some(&path)));
    let events = &news["rooms"]["join"][&room]["timeline"]["events"];
    assert_eq!(events[0]["content"]["body"], "hello");
    assert!((500..5_000).contains(&took), "{took}");
}

#[test]
fn without_news_a_sync_ends_in_time_where_it_began() {
    let scene = ours();
    let (alice, _, since) = settled(&scene);
    let (nothing, took) = waited(&scene, &alice, &format!("since={since}"), (10_000, None));
    assert!(nothing.get("rooms").is_none_or(|rooms| rooms["join"].is_null()), "{nothing}");
    assert_eq!(nothing["next_batch"], since);
    assert!((10_000..12_000).contains(&took), "{took}");
}

#[test]
fn what_a_filter_hides_is_no_reason_to_answer() {
    let scene = ours();
    let (alice, room, since) = settled(&scene);
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let filter = encode(&json!({ "room": { "not_rooms": [room] } }).to_string());
    let query = format!("since={since}&filter={filter}");
    let (hidden, took) = waited(&scene, &alice, &query, (10_000, Some(&path)));
    assert!(hidden["rooms"]["join"][&room].is_null(), "{hidden}");
    assert!((10_000..12_000).contains(&took), "{took}");
}
