//! Does bad input get a deliberate answer, and does nobody else notice?

use reqwest::{Method, StatusCode};
use serde_json::json;
use tombolo_support::encode;

use super::{client::Client, server::Server};

async fn raw(client: &Client, method: Method, path: &str, body: &[u8]) -> StatusCode {
    sent(client, method, path, body).await.unwrap()
}

/// Fails where the connection was closed before all was sent.
async fn sent(
    client: &Client,
    method: Method,
    path: &str,
    body: &[u8],
) -> reqwest::Result<StatusCode> {
    let request = reqwest::Client::new()
        .request(method, format!("{}{path}", client.url))
        .bearer_auth(&client.token);
    let request = request.header("content-type", "application/json").body(body.to_vec());
    request.send().await.map(|response| response.status())
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn bad_bodies_are_refused_and_the_server_goes_on() {
    let server = Server::start();
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/x", encode(&room));
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"5".to_vec(),
        b"{".to_vec(),
        b"{\"a\":NaN}".to_vec(),
        b"{\"a\":1.5}".to_vec(),
        b"{\"a\":9007199254740992}".to_vec(),
        b"{\"a\":\"\\ud800\"}".to_vec(),
        b"\xff\xfe{}".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        deep.into_bytes(),
        format!("{{\"body\":\"{}\"}}", "x".repeat(70_000)).into_bytes(),
    ];
    for body in bodies {
        let status = raw(&alice, Method::PUT, &path, &body).await;
        assert!(
            status.is_client_error(),
            "{status} for {}",
            String::from_utf8_lossy(&body[..body.len().min(40)])
        );
    }
    alice.send(&room, "after", "fine").await;
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn an_event_is_nested_120_levels_and_other_data_500() {
    let server = Server::start();
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let send = async |levels: usize, txn: &str| {
        let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/{txn}", encode(&room));
        // The event and its content are a level each.
        let lists = levels - 2;
        let body = format!("{{\"a\":{}1{}}}", "[".repeat(lists), "]".repeat(lists));
        raw(&alice, Method::PUT, &path, body.as_bytes()).await
    };
    assert_eq!(send(120, "deepest").await, StatusCode::OK);
    for (levels, txn) in [(121, "one"), (501, "two"), (520, "three"), (100_000, "four")] {
        assert_eq!(send(levels, txn).await, StatusCode::BAD_REQUEST, "{levels}");
    }
    let nested = |lists: usize| format!("{}1{}", "[".repeat(lists), "]".repeat(lists));
    let (sent, deep) = (nested(118), nested(498));
    let data = format!("/_matrix/client/v3/user/{}/account_data/org.deep", encode(&alice.user));
    let body = format!("{{\"data\":{deep}}}");
    assert_eq!(raw(&alice, Method::PUT, &data, body.as_bytes()).await, StatusCode::OK);
    let messages = format!("/_matrix/client/v3/rooms/{}/messages?dir=b", encode(&room));
    for (path, deep) in [(&*messages, &sent), ("/_matrix/client/v3/sync", &deep), (&data, &deep)] {
        // As text: the client's parser gives up long before.
        let request = reqwest::Client::new().get(format!("{}{path}", alice.url));
        let answer = request.bearer_auth(&alice.token).send().await.unwrap().text().await.unwrap();
        assert!(answer.contains(deep), "{path}: {answer}");
    }
    alice.send(&room, "after", "fine").await;
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn strangers_get_nothing_and_garbage_tokens_are_refused() {
    let server = Server::start();
    let (alice, mallory) = (server.user("alice").await, server.user("mallory").await);
    let room = alice.create_room(json!({ "name": "planted-name" })).await;
    let event = alice.send(&room, "1", "planted-body").await;
    let base = format!("/_matrix/client/v3/rooms/{}", encode(&room));
    for path in [
        "/state",
        "/members",
        "/joined_members",
        "/messages?dir=b",
        &format!("/event/{}", encode(&event)),
    ] {
        let (status, answer) = mallory.call(Method::GET, &format!("{base}{path}"), None).await;
        assert!(status == 403 || status == 404, "{path}: {status}");
        assert!(!answer.to_string().contains("planted"), "{path}");
    }
    for token in ["", "x", "tmb.YQ.b.c", &alice.token[..alice.token.len() - 1]] {
        let forged = Client { token: token.to_owned(), ..alice.clone() };
        let (status, _) = forged.call(Method::GET, "/_matrix/client/v3/account/whoami", None).await;
        assert_eq!(status, 401, "{token}");
    }
    for path in [
        "/sync?since=garbage",
        "/sync?since=s-1",
        "/sync?since=s99999999999999999999",
        "/sync?timeout=x",
    ] {
        let (status, _) = alice.call(Method::GET, &format!("/_matrix/client/v3{path}"), None).await;
        assert_eq!(status, 400, "{path}");
    }
    assert_eq!(alice.call(Method::GET, "/_matrix/client/v3/nothing", None).await.0, 404);
    assert_eq!(alice.call(Method::DELETE, "/_matrix/client/v3/sync", None).await.0, 405);
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn unsigned_federation_requests_are_refused() {
    let server = Server::start();
    let nobody = Client::anonymous(&server.url);
    for (method, path) in [
        (Method::PUT, "/_matrix/federation/v1/send/1"),
        (Method::GET, "/_matrix/federation/v1/event/$x"),
        (Method::GET, "/_matrix/federation/v1/state/!x:y?event_id=$x"),
        (Method::PUT, "/_matrix/federation/v2/send_join/!x:y/$x"),
        (Method::PUT, "/_matrix/federation/v2/invite/!x:y/$x"),
        (Method::GET, "/_matrix/federation/v1/query/profile?user_id=@a:b"),
    ] {
        let (status, answer) = nobody.call(method, path, None).await;
        assert_eq!(status, 401, "{path}: {answer}");
    }
}

#[tokio::test]
#[ignore = "needs the built Worker"]
async fn a_body_that_is_too_large_is_refused_before_anybody_is_asked_who_he_is() {
    let server = Server::start();
    let nobody = Client::anonymous(&server.url);
    let (client, federation) = (1 << 20, 16 << 20);
    for (path, bytes, expected) in [
        ("/_matrix/client/v3/rooms/!r:x/send/m.room.message/1", client + 1, 413),
        ("/_matrix/client/v3/rooms/!r:x/send/m.room.message/1", client, 401),
        ("/_matrix/federation/v1/send/1", federation + 1, 413),
        ("/_matrix/federation/v1/send/1", federation, 401),
    ] {
        match sent(&nobody, Method::PUT, path, &vec![b' '; bytes]).await {
            Ok(status) => assert_eq!(status, expected, "{path} {bytes}"),
            // Who is refused may be so before he has sent everything.
            Err(error) => assert_eq!(expected, 413, "{path} {bytes}: {error}"),
        }
    }
}
