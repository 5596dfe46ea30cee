//! Is `/sync` prompt, gapless and stable?

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tombolo_support::encode;

use super::{client::Client, server::Server};

fn bodies(synced: &Value, room: &str) -> Vec<String> {
    let events =
        synced["rooms"]["join"][room]["timeline"]["events"].as_array().cloned().unwrap_or_default();
    events.iter().filter_map(|event| event["content"]["body"].as_str().map(str::to_owned)).collect()
}

fn next(synced: &Value) -> String {
    synced["next_batch"].as_str().unwrap().to_owned()
}

/// The token of a client that has all the news there is: whose devices it has to know is told after the rooms' news.
async fn settled(client: &Client) -> String {
    let mut since = next(&client.sync("", 0).await);
    loop {
        let synced = client.sync(&since, 500).await;
        if next(&synced) == since {
            return since;
        }
        since = next(&synced);
    }
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn a_waiting_sync_returns_with_the_message() {
    let server = Server::start();
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.join(&room, None).await;
    let since = settled(&bob).await;
    let waiting = tokio::spawn({
        let (bob, since) = (bob.clone(), since.clone());
        async move { bob.sync(&since, 30_000).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    alice.send(&room, "1", "wake up").await;
    let synced = tokio::time::timeout(Duration::from_secs(2), waiting).await.unwrap().unwrap();
    assert_eq!(bodies(&synced, &room), ["wake up"]);
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn a_sync_without_news_waits_its_time_and_repeats_its_token() {
    let server = Server::start();
    let alice = server.user("alice").await;
    let since = next(&alice.sync("", 0).await);
    let started = Instant::now();
    let synced = alice.sync(&since, 1000).await;
    assert!(started.elapsed() >= Duration::from_millis(950), "{:?}", started.elapsed());
    assert_eq!(next(&synced), since);
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn the_senders_next_sync_has_the_message_and_its_transaction() {
    let server = Server::start();
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let since = next(&alice.sync("", 0).await);
    alice.send(&room, "mine", "echo").await;
    let synced = alice.sync(&since, 0).await;
    let event = synced["rooms"]["join"][&room]["timeline"]["events"][0].clone();
    assert_eq!(event["content"]["body"], "echo");
    assert_eq!(event["unsigned"]["transaction_id"], "mine");
    assert_eq!(
        bodies(&alice.sync(&since, 0).await, &room),
        ["echo"],
        "the same token gives the same answer"
    );
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn a_long_gap_is_limited_and_joins_with_messages() {
    let server = Server::start();
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.join(&room, None).await;
    let since = next(&bob.sync("", 0).await);
    for number in 0..25 {
        alice.send(&room, &number.to_string(), &format!("m{number}")).await;
    }
    let path = format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=1", encode(&room));
    bob.until(&path, |page| page["chunk"][0]["content"]["body"] == "m24").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let synced = bob.sync(&since, 0).await;
    let timeline = &synced["rooms"]["join"][&room]["timeline"];
    assert_eq!(timeline["limited"], true);
    assert_eq!(
        bodies(&synced, &room),
        (15..25).map(|number| format!("m{number}")).collect::<Vec<_>>()
    );
    let before = timeline["prev_batch"].as_str().unwrap();
    let path =
        format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=15&from={before}", encode(&room));
    let page = bob.get(&path).await;
    assert_eq!(page["chunk"][0]["content"]["body"], "m14");
    assert_eq!(page["chunk"][14]["content"]["body"], "m0");
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn typing_and_receipts_arrive() {
    let server = Server::start();
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.join(&room, None).await;
    let event = alice.send(&room, "1", "read me").await;
    let since = settled(&alice).await;
    let typing = format!("/_matrix/client/v3/rooms/{}/typing/{}", encode(&room), encode(&bob.user));
    bob.ok(Method::PUT, &typing, Some(json!({ "typing": true, "timeout": 20000 }))).await;
    let synced = alice.sync(&since, 5000).await;
    let events = &synced["rooms"]["join"][&room]["ephemeral"]["events"];
    assert_eq!(events[0]["content"]["user_ids"], json!([bob.user]), "{synced}");
    let since = next(&synced);
    let receipt =
        format!("/_matrix/client/v3/rooms/{}/receipt/m.read/{}", encode(&room), encode(&event));
    bob.ok(Method::POST, &receipt, Some(json!({}))).await;
    let synced = alice.sync(&since, 5000).await;
    let events = &synced["rooms"]["join"][&room]["ephemeral"]["events"];
    assert!(events[0]["content"][&event]["m.read"][&bob.user]["ts"].is_u64(), "{synced}");
}
