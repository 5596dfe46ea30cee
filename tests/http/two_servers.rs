//! Do two of our servers federate, through `local/serve` and real TLS?

use reqwest::Method;
use serde_json::{Value, json};
use tombolo_support::encode;

use super::{client::Client, server::Server};

/// Two servers that trust each other's certificates.
fn pair() -> (Server, Server) {
    let (mut ours, mut theirs) = (Server::start(), Server::start());
    let trust = |other: &Server| vec!["--trust".to_owned(), other.certificate()];
    let (flags, their_flags) = (trust(&theirs), trust(&ours));
    ours.restart_with(&flags);
    theirs.restart_with(&their_flags);
    (ours, theirs)
}

/// The state as (type, key) → event ID.
async fn state(client: &Client, room: &str) -> Vec<(String, String, String)> {
    let state = client.get(&format!("/_matrix/client/v3/rooms/{}/state", encode(room))).await;
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let mut entries: Vec<_> = state
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (text(event, "type"), text(event, "state_key"), text(event, "event_id")))
        .collect();
    entries.sort();
    entries
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn a_join_messages_and_state_cross() {
    let (ours, theirs) = pair();
    let (alice, bob) = (ours.user("alice").await, theirs.user("bob").await);
    for version in ["6", "9", "10", "11", "12"] {
        let room = alice
            .create_room(
                json!({ "preset": "public_chat", "room_version": version, "name": "crossing" }),
            )
            .await;
        alice.send(&room, "1", "before").await;
        bob.join(&room, Some(&ours.name)).await;
        bob.send(&room, "1", "from there").await;
        let newest = format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=1", encode(&room));
        alice.until(&newest, |page| page["chunk"][0]["content"]["body"] == "from there").await;
        alice.send(&room, "2", "from here").await;
        bob.until(&newest, |page| page["chunk"][0]["content"]["body"] == "from here").await;
        assert_eq!(state(&alice, &room).await, state(&bob, &room).await, "version {version}");
        assert_eq!(
            bob.history(&room).await,
            ["before", "from there", "from here"],
            "version {version}"
        );
    }
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn an_invite_crosses_and_can_be_accepted_or_declined() {
    let (ours, theirs) = pair();
    let (alice, bob) = (ours.user("alice").await, theirs.user("bob").await);
    for accept in [true, false] {
        let since = bob.sync("", 0).await["next_batch"].as_str().unwrap().to_owned();
        let room =
            alice.create_room(json!({ "preset": "private_chat", "invite": [bob.user] })).await;
        let synced = bob.sync(&since, 10_000).await;
        assert!(synced["rooms"]["invite"][&room].is_object(), "{synced}");
        if accept {
            bob.join(&room, None).await;
        } else {
            bob.ok(
                Method::POST,
                &format!("/_matrix/client/v3/rooms/{}/leave", encode(&room)),
                Some(json!({})),
            )
            .await;
        }
        let member = format!(
            "/_matrix/client/v3/rooms/{}/state/m.room.member/{}",
            encode(&room),
            encode(&bob.user)
        );
        let wanted = if accept { "join" } else { "leave" };
        alice.until(&member, |content| content["membership"] == wanted).await;
    }
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn a_server_that_was_down_catches_up() {
    let (ours, mut theirs) = pair();
    let (alice, bob) = (ours.user("alice").await, theirs.user("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.join(&room, Some(&ours.name)).await;
    theirs.kill();
    for number in 0..60 {
        alice.send(&room, &number.to_string(), &format!("m{number}")).await;
    }
    let flags = vec!["--trust".to_owned(), ours.certificate()];
    theirs.restart_with(&flags);
    let bob = bob.at(&theirs.url);
    // Any signed request of theirs ends our back-off.
    bob.send(&room, "back", "back").await;
    let path = format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=100", encode(&room));
    bob.until(&path, |page| {
        page.to_string().contains("\"m59\"") && page.to_string().contains("\"m0\"")
    })
    .await;
    let mut history = bob.history(&room).await;
    history.retain(|body| body != "back");
    assert_eq!(history.len(), 60);
}
