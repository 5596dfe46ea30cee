//! Is a one-time key given twice, however many claim at once and whenever the server is killed?

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use tombolo_support::Dice;

use super::{client::Client, server::Server};

/// The keys of a device: as many as one may have.
const KEYS: usize = 1000;
/// How many claim at once.
const AT_ONCE: usize = 32;
const KILLS: usize = 3;

/// How many devices there are; `TOMBOLO_DEVICES` sets another number.
fn devices() -> usize {
    std::env::var("TOMBOLO_DEVICES").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// What came of claims: the keys, and how many claims were not answered.
#[derive(Default)]
struct Claims {
    keys: Vec<String>,
    unanswered: usize,
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn a_one_time_key_is_given_once() {
    let (mut server, dice) = (Server::start(), Dice::new(1, 0));
    let mut owners = Vec::new();
    for number in 0..devices() {
        owners.push(upload(&server.user(&format!("u{number}")).await).await);
    }
    let (total, asker) = (devices() * KEYS, server.user("asker").await);
    let (wanted, done) = (Arc::new(owners), Arc::new(AtomicUsize::new(0)));
    let (mut keys, mut unanswered) = (Vec::new(), 0);
    for round in 0..=KILLS {
        // In the last round all that are left are claimed, and some more.
        let end = if round < KILLS {
            total * 3 / 4
        } else {
            done.load(Ordering::Relaxed) + total + AT_ONCE
        };
        let claiming: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (asker, wanted) = (asker.at(&server.url), Arc::clone(&wanted));
                tokio::spawn(claim_until_it_fails(asker, wanted, (Arc::clone(&done), end)))
            })
            .collect();
        if round < KILLS {
            tokio::time::sleep(Duration::from_millis(200 + dice.next() % 512)).await;
            server.kill_and_restart();
        }
        for claims in claiming {
            let claims = claims.await.unwrap();
            keys.extend(claims.keys);
            unanswered += claims.unanswered;
        }
    }
    let given = keys.iter().filter(|key| !key.contains("fallback")).count();
    let once: BTreeSet<&String> = keys.iter().filter(|key| !key.contains("fallback")).collect();
    assert_eq!(once.len(), given, "a key was given twice");
    assert!(given + unanswered >= total, "{given} keys of {total}, {unanswered} unanswered");
    assert!(keys.len() > given, "nobody was given the fallback key");
}

/// Publishes keys; answers the user and the device.
async fn upload(owner: &Client) -> (String, String) {
    let who = owner.get("/_matrix/client/v3/account/whoami").await;
    let key = |name: &str| json!({ "key": format!("{}{name}", owner.user), "signatures": {} });
    let keys: serde_json::Map<String, Value> =
        (0..KEYS).map(|n| (format!("signed_curve25519:{n}"), key(&n.to_string()))).collect();
    let fallback =
        json!({ "signed_curve25519:f": { "key": "fallback", "fallback": true, "signatures": {} } });
    let body = json!({ "one_time_keys": keys, "fallback_keys": fallback });
    owner.ok(Method::POST, "/_matrix/client/v3/keys/upload", Some(body)).await;
    (owner.user.clone(), who["device_id"].as_str().unwrap().to_owned())
}

/// Claims one key after another, until so many claims were made in all, or one is not answered.
async fn claim_until_it_fails(
    asker: Client,
    wanted: Arc<Vec<(String, String)>>,
    (done, end): (Arc<AtomicUsize>, usize),
) -> Claims {
    let mut claims = Claims::default();
    loop {
        let number = done.fetch_add(1, Ordering::Relaxed);
        if number >= end {
            return claims;
        }
        let (user, device) = &wanted[number % wanted.len()];
        let body = json!({ "one_time_keys": { user: { device: "signed_curve25519" } } });
        let path = "/_matrix/client/v3/keys/claim";
        let (status, answer) = asker.call(Method::POST, path, Some(body)).await;
        if status != 200 {
            claims.unanswered += 1;
            return claims;
        }
        let given = answer["one_time_keys"][user][device].as_object().unwrap();
        claims.keys.extend(given.values().map(|key| key["key"].as_str().unwrap().to_owned()));
    }
}
