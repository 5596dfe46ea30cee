//! What do clients do in rooms of one server?

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tombolo_support::encode;

use super::server::Server;

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn two_users_talk_in_every_room_version() {
    let server = Server::start();
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for version in ["6", "7", "8", "9", "10", "11", "12"] {
        let room = alice
            .create_room(
                json!({ "preset": "public_chat", "room_version": version, "name": "talk" }),
            )
            .await;
        bob.join(&room, None).await;
        alice.send(&room, "1", "hello").await;
        bob.send(&room, "1", "world").await;
        assert_eq!(alice.history(&room).await, ["hello", "world"], "version {version}");
        let name =
            bob.get(&format!("/_matrix/client/v3/rooms/{}/state/m.room.name", encode(&room))).await;
        assert_eq!(name["name"], "talk");
    }
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn forty_sends_with_one_transaction_id_make_one_event() {
    let server = Server::start();
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let ids = join_all((0..40).map(|_| alice.send(&room, "same", "once"))).await;
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(alice.history(&room).await, ["once"]);
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn who_is_kicked_sees_it_and_nothing_after() {
    let server = Server::start();
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.join(&room, None).await;
    let since = bob.sync("", 0).await["next_batch"].as_str().unwrap().to_owned();
    let path = format!("/_matrix/client/v3/rooms/{}/kick", encode(&room));
    alice.ok(Method::POST, &path, Some(json!({ "user_id": bob.user, "reason": "noise" }))).await;
    alice.send(&room, "1", "secret").await;
    let synced = bob.sync(&since, 0).await;
    let left = &synced["rooms"]["leave"][&room];
    let events = left["timeline"]["events"].as_array().unwrap();
    assert_eq!(events.last().unwrap()["content"]["membership"], "leave", "{synced}");
    assert!(!synced.to_string().contains("secret"));
    let (status, _) = bob.try_send(&room, "1", "still here").await;
    assert_eq!(status, 403);
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn logging_out_ends_the_token_and_the_waiting_sync() {
    let server = Server::start();
    let alice = server.user("alice").await;
    let since = alice.sync("", 0).await["next_batch"].as_str().unwrap().to_owned();
    let waiting = tokio::spawn({
        let alice = alice.clone();
        async move {
            alice
                .call(
                    Method::GET,
                    &format!("/_matrix/client/v3/sync?timeout=30000&since={since}"),
                    None,
                )
                .await
                .0
        }
    });
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    alice.ok(Method::POST, "/_matrix/client/v3/logout", Some(json!({}))).await;
    let status =
        tokio::time::timeout(std::time::Duration::from_secs(3), waiting).await.unwrap().unwrap();
    assert_eq!(status, 401);
    assert_eq!(alice.call(Method::GET, "/_matrix/client/v3/account/whoami", None).await.0, 401);
}
