//! How does a client speak to its server, and what does it hear?

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use tombolo_platform::{Unreachable, simulated::Server};

/// The password of every user.
pub const PASSWORD: &str = "correct horse";

/// A user with a session.
#[derive(Clone)]
pub struct User {
    pub server: Server,
    pub id: String,
    pub token: String,
}

/// What a server said.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// The body, if it is JSON.
    pub body: Value,
}

impl User {
    /// Who a server says is logged in.
    pub fn of(server: &Server, answer: &Answer) -> Option<Self> {
        let (id, token) = (answer.text("user_id")?, answer.text("access_token")?);
        Some(Self { server: server.clone(), id, token })
    }

    /// A request of theirs.
    pub fn request(&self, line: (&str, &str), body: impl Into<Bytes>) -> Request<Bytes> {
        request(Some(&format!("Bearer {}", self.token)), line, body)
    }
}

impl Answer {
    pub fn of(response: Response<Bytes>) -> Self {
        let (head, body) = response.into_parts();
        let mut reader = serde_json::Deserializer::from_slice(&body);
        // An event in it may be nested deeper than serde_json reads by itself.
        reader.disable_recursion_limit();
        let body = Value::deserialize(&mut reader).ok().filter(|_| reader.end().is_ok());
        let (status, headers) = (head.status.as_u16(), head.headers);
        Self { status, headers, body: body.unwrap_or_default() }
    }

    pub fn is_ok(&self) -> bool {
        self.status == 200
    }

    /// A string of the body.
    pub fn text(&self, name: &str) -> Option<String> {
        self.body[name].as_str().map(str::to_owned)
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// The body of a refusal.
    #[track_caller]
    pub fn refused(self, status: u16, errcode: &str) -> Value {
        let code = self.body["errcode"].as_str();
        assert_eq!((self.status, code), (status, Some(errcode)), "{}", self.body);
        self.body
    }
}

/// A request of this method and path, with an `Authorization` or without.
pub fn request(
    authorization: Option<&str>,
    (method, path): (&str, &str),
    body: impl Into<Bytes>,
) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request.body(body.into()).unwrap()
}

/// What a server answers. It fails if the server goes down meanwhile.
pub async fn ask(server: &Server, request: Request<Bytes>) -> Result<Answer, Unreachable> {
    server.request(request).await.map(Answer::of)
}

/// Makes an account on a server; where that fails, its answer says why.
pub async fn register(server: &Server, username: &str) -> Result<User, Answer> {
    let line = ("POST", "/_matrix/client/v3/register");
    let asked = ask(server, request(None, line, registration(username).to_string())).await;
    let answer = asked.unwrap_or_default();
    User::of(server, &answer).ok_or(answer)
}

/// The text that a value is.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The body that makes an account.
pub fn registration(username: &str) -> Value {
    let auth = json!({ "type": "m.login.dummy" });
    json!({ "username": username, "password": PASSWORD, "auth": auth })
}

/// An identifier as a path segment or the value of a query.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
