//! Is anything acknowledged lost when the server is killed?

use std::time::Duration;

use serde_json::json;
use tombolo_support::Dice;

use super::{client::Client, server::Server};

/// How often the server is killed; `TOMBOLO_KILLS` sets another number.
fn kills() -> u32 {
    std::env::var("TOMBOLO_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(50)
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn no_acknowledged_event_is_lost_by_kill() {
    let mut server = Server::start();
    let mut alice = server.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let mut acknowledged: Vec<String> = Vec::new();
    let dice = Dice::new(1, 0);
    for round in 0..kills() {
        let moment = Duration::from_millis(dice.next() % 512);
        let sending = tokio::spawn(send_until_it_fails(alice.clone(), room.clone(), round));
        tokio::time::sleep(moment).await;
        server.kill_and_restart();
        acknowledged.extend(sending.await.unwrap());
        alice = alice.at(&server.url);
    }
    let history = alice.history(&room).await;
    let lost: Vec<_> = acknowledged.iter().filter(|text| !history.contains(text)).collect();
    assert!(lost.is_empty(), "lost {lost:?} of {}", acknowledged.len());
    let mut once = history.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), history.len(), "an event came twice");
    assert!(!acknowledged.is_empty());
}

/// Sends one message after another; answers those that were acknowledged.
async fn send_until_it_fails(alice: Client, room: String, round: u32) -> Vec<String> {
    let mut sent = Vec::new();
    loop {
        let text = format!("{round}.{}", sent.len());
        if alice.try_send(&room, &text, &text).await.0 != 200 {
            return sent;
        }
        sent.push(text);
    }
}
