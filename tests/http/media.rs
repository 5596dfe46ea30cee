//! Does a large file pass through the Worker without lying in its memory?

use serde_json::Value;

use super::{client::Client, server::Server};

/// Several parts of R2, and no whole number of them.
const SIZE: usize = 23_456_789;
/// How much the memory may grow meanwhile, in bytes: it never shrinks.
const MOST: u64 = 4 << 20;

async fn memory(client: &Client) -> u64 {
    client.get("/_tombolo/units").await["memory"].as_u64().unwrap()
}

async fn upload(client: &Client, bytes: Vec<u8>) -> String {
    let url = format!("{}/_matrix/media/v3/upload", client.url);
    let response = client.http.post(url).bearer_auth(&client.token).body(bytes).send().await;
    let answer = response.unwrap().bytes().await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    answer["content_uri"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned()
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn a_large_file_passes_through_and_is_never_held() {
    let server = Server::start_with(&["--set".to_owned(), "UNITS=yes".to_owned()]);
    let alice = server.user("alice").await;
    let bytes: Vec<u8> = (0..SIZE).map(|place| (place % 251) as u8).collect();
    let before = memory(&alice).await;
    for _ in 0..2 {
        let media = upload(&alice, bytes.clone()).await;
        let url = format!("{}/_matrix/client/v1/media/download/{media}", server.url);
        let response = alice.http.get(url).bearer_auth(&alice.token).send().await.unwrap();
        assert_eq!(response.content_length(), Some(SIZE as u64));
        assert!(response.bytes().await.unwrap() == bytes);
    }
    let after = memory(&alice).await;
    assert!(after <= before + MOST, "{before} bytes, then {after}");
}
