//! What is a client? A user, a token, and the few calls that scenarios are made of.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tombolo_support::{encode, registration};

#[derive(Clone)]
pub struct Client {
    pub user: String,
    pub token: String,
    pub url: String,
    pub http: reqwest::Client,
}

/// An answer: its status and its body.
pub type Answer = (StatusCode, Value);

impl Client {
    /// Makes an account and logs in.
    pub async fn register(url: &str, localpart: &str) -> Self {
        let anonymous = Self::anonymous(url);
        let body = Some(registration(localpart));
        let (status, answer) =
            anonymous.call(Method::POST, "/_matrix/client/v3/register", body).await;
        assert_eq!(status, 200, "{answer}");
        Self {
            user: answer["user_id"].as_str().unwrap().to_owned(),
            token: answer["access_token"].as_str().unwrap().to_owned(),
            ..anonymous
        }
    }

    pub fn anonymous(url: &str) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        Self { user: String::new(), token: String::new(), url: url.to_owned(), http }
    }

    /// The same user at a server that was started again.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// One request; a connection that breaks is an answer of status 599.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let broken = || (StatusCode::from_u16(599).unwrap(), Value::Null);
        let Ok(response) = request.send().await else { return broken() };
        let status = response.status();
        let Ok(body) = response.bytes().await else { return broken() };
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// One request that must succeed.
    pub async fn ok(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method.clone(), path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ok(Method::GET, path, None).await
    }

    pub async fn create_room(&self, body: Value) -> String {
        let answer = self.ok(Method::POST, "/_matrix/client/v3/createRoom", Some(body)).await;
        answer["room_id"].as_str().unwrap().to_owned()
    }

    pub async fn try_send(&self, room: &str, txn: &str, text: &str) -> Answer {
        let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/{txn}", encode(room));
        self.call(Method::PUT, &path, Some(json!({ "msgtype": "m.text", "body": text }))).await
    }

    /// Sends a message; answers its ID.
    pub async fn send(&self, room: &str, txn: &str, text: &str) -> String {
        let (status, answer) = self.try_send(room, txn, text).await;
        assert_eq!(status, 200, "{answer}");
        answer["event_id"].as_str().unwrap().to_owned()
    }

    pub async fn join(&self, room: &str, via: Option<&str>) {
        let query = via
            .map(|via| format!("?server_name={}&via={}", encode(via), encode(via)))
            .unwrap_or_default();
        self.ok(
            Method::POST,
            &format!("/_matrix/client/v3/join/{}{query}", encode(room)),
            Some(json!({})),
        )
        .await;
    }

    /// A sync; `since` empty for an initial one.
    pub async fn sync(&self, since: &str, timeout: u64) -> Value {
        let since = if since.is_empty() { String::new() } else { format!("&since={since}") };
        self.get(&format!("/_matrix/client/v3/sync?timeout={timeout}{since}")).await
    }

    /// The bodies of all messages of a room, oldest first, by `/messages`.
    pub async fn history(&self, room: &str) -> Vec<String> {
        let (mut bodies, mut from) = (Vec::new(), String::new());
        loop {
            let path =
                format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=100{from}", encode(room));
            let page = self.get(&path).await;
            for event in page["chunk"].as_array().unwrap() {
                bodies.extend(event["content"]["body"].as_str().map(str::to_owned));
            }
            let Some(end) = page["end"].as_str() else { break };
            from = format!("&from={end}");
        }
        bodies.reverse();
        bodies
    }

    /// Asks again until the answer satisfies, for half a minute.
    pub async fn until(&self, path: &str, satisfied: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..150 {
            let (status, answer) = self.call(Method::GET, path, None).await;
            if status.is_success() && satisfied(&answer) {
                return answer;
            }
            last = answer;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("{path}: never satisfied; last answer {last}");
    }
}
