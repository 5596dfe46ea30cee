//! How is a signed request sent to another server?
//! ([request authentication](https://spec.matrix.org/v1.19/server-server-api/#request-authentication))

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use ruma::ServerName;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;
use tombolo_platform::{Body, Limits, Unread, World};
use tombolo_protocol::{canonical_json::loose_to_string, json, x_matrix};

use super::{RemoteError, UNRECOGNIZED, reach, resolve};
use crate::config::Config;

/// The limits of most requests.
const USUAL: Limits = Limits { time: Duration::from_secs(20), bytes: 16 << 20 };
/// The limits of an answer with a whole state, to a join or `/state`, which is never held whole.
pub const LARGE: Limits = Limits { time: Duration::from_secs(120), bytes: 256 << 20 };
/// The limits of small requests on which other work waits.
pub const BRIEF: Limits = Limits { time: Duration::from_secs(5), bytes: 4 << 20 };

/// The largest error body that is read, in bytes; no homeserver sends a larger one.
const MAX_ERROR: usize = 8 << 10;

/// A request to another server.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    pub method: Method,
    /// Path and query, percent-encoded.
    pub path: &'a str,
    pub content: Option<&'a Value>,
    pub limits: Limits,
    /// Whether an error without JSON is taken for the server's own. So it is where not every server speaks JSON.
    pub plain: bool,
}

impl<'a> Ask<'a> {
    pub fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, content: None, limits: USUAL, plain: false }
    }

    pub fn put(path: &'a str, content: &'a Value) -> Self {
        Self { method: Method::PUT, path, content: Some(content), limits: USUAL, plain: false }
    }

    pub fn post(path: &'a str, content: &'a Value) -> Self {
        Self { method: Method::POST, path, content: Some(content), limits: USUAL, plain: false }
    }

    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}

/// The request body as the JSON value that is signed. Events in it may be nested deeper than `serde_json` reads into
/// values.
pub fn content(of: &impl Serialize) -> Result<Value, RemoteError> {
    let refused = |error: String| RemoteError::Refused(error);
    let text = serde_json::to_vec(of).map_err(|error| refused(error.to_string()))?;
    json::parse_value(&text).map_err(|fault| refused(fault.to_string()))
}

/// Sends a signed request, and reads the JSON of the answer.
pub async fn ask<T: DeserializeOwned>(
    world: &World,
    server: &ServerName,
    ask: Ask<'_>,
) -> Result<T, RemoteError> {
    let body = send(world, server, ask).await?;
    read::<T>(&body)
}

/// Reads the JSON of an answer. Events in it stay text, and the depth of each is checked when that event is parsed: an
/// event that is too deep spoils no other.
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, RemoteError> {
    let text = json::text(body).map_err(|fault| RemoteError::Nonsense(fault.to_string()))?;
    serde_json::from_str(text).map_err(|error| RemoteError::Nonsense(error.to_string()))
}

/// Sends a signed request, and reads the whole answer.
pub async fn send(world: &World, server: &ServerName, ask: Ask<'_>) -> Result<Bytes, RemoteError> {
    let most = ask.limits.bytes;
    Ok(open(world, server, ask).await?.whole(most).await?)
}

/// The same for an answer that is read chunk by chunk.
pub async fn open(world: &World, server: &ServerName, ask: Ask<'_>) -> Result<Body, RemoteError> {
    Ok(respond(world, server, ask).await?.into_body())
}

/// Sends a signed request to the places at which the server may listen, in turn until one answers: the answer with its
/// headers.
pub async fn respond(
    world: &World,
    server: &ServerName,
    ask: Ask<'_>,
) -> Result<Response<Body>, RemoteError> {
    let config = Config::of(world).map_err(|error| RemoteError::Refused(error.to_string()))?;
    if *server == config.server_name {
        return Err(RemoteError::Refused("that is this server".to_owned()));
    }
    let content = ask.content.map(loose_to_string);
    let method = ask.method.as_str();
    let signed = x_matrix::Request { method, uri: ask.path, content: content.as_deref() };
    let authorization =
        x_matrix::sign(signed, &config.server_name, server, &config.signing_key).header();
    let body = Bytes::from(content.unwrap_or_default());
    let mut failure = None;
    for target in resolve::resolve(world, server).await? {
        // The platform takes `Host` from the URL: it has a port even where the server name has none.
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(format!("https://{}:{}{}", target.host, target.port, ask.path))
            .header(header::AUTHORIZATION, &authorization);
        if ask.content.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request =
            request.body(body.clone()).map_err(|error| RemoteError::Refused(error.to_string()))?;
        let answer = match reach::open(world, request, ask.limits).await {
            Ok(response) => of_the_server(response, ask.plain).await,
            Err(unreachable) => Err(unreachable),
        };
        match answer {
            Ok(response) => {
                resolve::confirm(world, server);
                return Ok(response);
            }
            // What does not know the endpoint may be something else than the server: it may listen at the next place.
            Err(answered @ RemoteError::Answered { .. }) if !answered.is_unrecognized() => {
                return Err(answered);
            }
            // A place before that did not answer may have done what was asked: that is said then.
            Err(unrecognized @ RemoteError::Answered { .. }) => {
                failure = failure.or(Some(unrecognized))
            }
            Err(unreachable) => failure = Some(unreachable),
        }
    }
    Err(failure.unwrap_or_else(|| RemoteError::Unreachable("it listens nowhere".to_owned())))
}

/// A success, or the error of the server. An error whose body is no JSON object comes from a proxy before the server,
/// and says nothing of the server or of what was asked, unless it may be `plain`. Where it says that there is no such
/// endpoint, the server has none, as old ones say it.
async fn of_the_server(
    response: Response<Body>,
    plain: bool,
) -> Result<Response<Body>, RemoteError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let is_error = status.is_server_error() || status.is_client_error() && !plain;
    let is_unknown = matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
    let said = match Said::read(response.into_body()).await? {
        None if is_error && is_unknown => {
            Said { errcode: Text::Said(UNRECOGNIZED.to_owned()), ..Said::default() }
        }
        None if is_error => {
            return Err(RemoteError::Unreachable(format!("something before it says {status}")));
        }
        said => said.unwrap_or_default(),
    };
    Err(RemoteError::Answered {
        status: status.as_u16(),
        errcode: said.errcode.short(),
        message: said.error.short(),
        room_version: said.room_version.said(),
    })
}

/// The body of a server's error
/// ([standard error response](https://spec.matrix.org/v1.19/client-server-api/#standard-error-response)).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    errcode: Text,
    error: Text,
    room_version: Text,
}

/// A string, or a value of another type, which is ignored.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Said(String),
    Else(IgnoredAny),
}

impl Said {
    /// Reads an error body; `None` if it is no JSON object, or larger than an error is.
    async fn read(body: Body) -> Result<Option<Self>, RemoteError> {
        let body = match body.whole(MAX_ERROR).await {
            Ok(body) => body,
            Err(Unread::TooLarge(_)) => return Ok(None),
            Err(broken) => return Err(broken.into()),
        };
        let is_object = body.trim_ascii_start().starts_with(b"{");
        Ok(json::from_bytes(&body).ok().filter(|_| is_object))
    }
}

impl Text {
    fn said(self) -> Option<String> {
        match self {
            Self::Said(text) => Some(text.chars().take(200).collect()),
            Self::Else(_) => None,
        }
    }

    fn short(self) -> String {
        self.said().unwrap_or_default()
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::Else(IgnoredAny)
    }
}
