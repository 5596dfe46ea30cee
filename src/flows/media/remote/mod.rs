//! How are another server's media fetched? ([content repository](https://spec.matrix.org/v1.19/server-server-api/#content-repository))
//!
//! The server is asked by a signed request; one that does not know it yet, by the endpoint without authentication. What
//! comes is kept before it is answered, so each file is fetched once.

#[cfg(test)]
mod tests;

use std::{rc::Rc, time::Duration};

use futures_util::stream;
use http::{Response, header};
use ruma::{OwnedServerName, ServerName};
use tombolo_platform::{Body, Limits, World};
use tombolo_protocol::discovery;

use super::{
    cleaning, disposition,
    failures::{Unkept, Unread},
    keep,
    multipart::Parts,
    open::{Found, find},
};
use crate::{
    config::Config,
    flows::{
        ours::Ours,
        turns::{Standing, Turn, Turns},
    },
    remote::{
        RemoteError, api,
        client::{self, Ask},
        resolve,
    },
    stores::media::{self, Described, Media, Name, Owner},
};

/// How long a file may take to come whole.
const WHOLE: Duration = Duration::from_secs(600);
/// How long a server may take until the file begins to come (ms), beside what the caller waits for an upload.
const BEGIN: u64 = 30_000;
/// What stands around a file in an answer, at most (bytes).
const AROUND: usize = 64 << 10;
/// Another request fetches the same file: how often it is looked whether it is there (ms).
const LOOK: u64 = 500;
/// A fetch of which nothing came for so long is not waited for (ms): its request may have been ended.
const STALE: u64 = 60_000;
/// How long a failure is told to others who waited (ms).
const FAILED: u64 = 5_000;
/// How many fetches are remembered at most.
const MOST_KNOWN: usize = 1_000;

type Key = (OwnedServerName, String);
/// The fetches of this isolate, and why the last ones failed.
type Fetches = Turns<Key, Unread>;

/// A file that begins to come.
struct Incoming {
    described: Described,
    body: Body,
    /// How many bytes it comes in, as far as the sender says.
    around: Option<usize>,
}

/// Fetches what is not here, and keeps it: the media, and the key of their content.
pub async fn fetch(
    world: &World,
    server: &ServerName,
    media_id: &str,
    patience: u64,
) -> Result<(Media, String), Unread> {
    let (fetches, key) =
        (world.isolate(|_| Fetches::default()), (server.to_owned(), media_id.to_owned()));
    loop {
        match fetches.standing(&key, world.now()) {
            Standing::Begun => {}
            Standing::Ended(unread) => return Err(unread),
            Standing::Free => break,
        }
        world.sleep(Duration::from_millis(LOOK)).await;
        if let Found::Here(media, content) = find(world, server, media_id, 0).await? {
            return Ok((*media, content));
        }
    }
    let now = world.now();
    let begins = now.saturating_add(patience).saturating_add(BEGIN);
    let turn = Rc::new(fetches.begin(key, (now, begins), MOST_KNOWN));
    let kept = fetch_now(world, (server, media_id), patience, &turn).await;
    if let Err(unread) = &kept {
        turn.end(world.now().saturating_add(FAILED), unread.clone());
    }
    kept
}

/// A file of which others are told that it comes.
fn watched(turn: &Rc<Turn<Key, Unread>>, world: &World, body: Body) -> Body {
    let announced = body.announced();
    let coming = (world.clone(), Rc::clone(turn), body);
    let chunks = stream::unfold(coming, async |(world, turn, mut body)| {
        let chunk = body.next().await?;
        turn.prolong(world.now().saturating_add(STALE));
        Some((chunk, (world, turn, body)))
    });
    Body::stream(chunks).announcing(announced)
}

async fn fetch_now(
    world: &World,
    (server, media_id): (&ServerName, &str),
    patience: u64,
    turn: &Rc<Turn<Key, Unread>>,
) -> Result<(Media, String), Unread> {
    let config = Config::of(world).map_err(Ours::from)?;
    let most = config.media.max_upload_size;
    let ask = Asking { world, server, media_id, patience, limits: limits(most) };
    let incoming = keep::within(world, patience.saturating_add(BEGIN), ask.incoming()).await;
    let incoming = incoming.unwrap_or_else(|| {
        let late = RemoteError::Unreachable("it does not answer in time".to_owned());
        Err(Unread::Remote(late))
    })?;
    let body = watched(turn, world, incoming.body);
    let content = keep::write(world, body, most, incoming.around).await;
    let content = content.map_err(|unkept| match unkept {
        Unkept::TooLarge(_) => Unread::TooLarge,
        Unkept::Busy(ms) => Unread::Busy(ms),
        Unkept::Ours(error) => error.into(),
        unkept => Unread::Remote(RemoteError::Unreachable(unkept.to_string())),
    })?;
    let name = Name { server: server.as_str(), media_id };
    let owner = Owner { localpart: None, quota: None, authenticated: !config.media.is_open };
    let noted = media::insert(world, name, owner, &content, &incoming.described).await;
    let noted = noted.map_err(Ours::from)?;
    // Where it is not taken, another isolate was faster.
    keep::settled(world, &content, noted).await;
    cleaning::soon(world);
    match find(world, server, media_id, 0).await? {
        Found::Here(media, content) => Ok((*media, content)),
        Found::Elsewhere => Err(Unread::NotFound),
    }
}

fn limits(most: usize) -> Limits {
    Limits { time: WHOLE, bytes: most.saturating_add(AROUND) }
}

/// What the other server's refusal means to whoever wants the file.
fn unread(error: RemoteError) -> Unread {
    match &error {
        RemoteError::Answered { errcode, .. } if errcode == "M_NOT_YET_UPLOADED" => {
            Unread::NotUploaded
        }
        RemoteError::Answered { errcode, .. } if errcode == "M_TOO_LARGE" => Unread::TooLarge,
        error if error.is_not_found() => Unread::NotFound,
        _ => Unread::Remote(error),
    }
}

/// What it means that an answer is not read to its end.
fn broken(unread: tombolo_platform::Unread) -> Unread {
    match unread {
        tombolo_platform::Unread::TooLarge(_) => Unread::TooLarge,
        unread => Unread::Remote(unread.into()),
    }
}

/// Whether the server does not know the endpoint. Many say so in other words than the specification's.
fn is_unrecognized(error: &RemoteError) -> bool {
    let RemoteError::Answered { status, errcode, .. } = error else { return false };
    error.is_unrecognized() || errcode.is_empty() && (400..500).contains(status)
}

struct Asking<'a> {
    world: &'a World,
    server: &'a ServerName,
    media_id: &'a str,
    patience: u64,
    limits: Limits,
}

impl Asking<'_> {
    /// Asks until the file begins to come.
    async fn incoming(&self) -> Result<Incoming, Unread> {
        match self.response(&api::download(self.media_id, self.patience)).await {
            Ok(response) => self.in_parts(response).await,
            Err(error) if is_unrecognized(&error) => {
                let path = api::legacy_download(self.server, self.media_id, self.patience);
                self.response(&path).await.map(direct).map_err(unread)
            }
            Err(error) => Err(unread(error)),
        }
    }

    async fn response(&self, path: &str) -> Result<Response<Body>, RemoteError> {
        let ask = Ask { plain: true, ..Ask::get(path).within(self.limits) };
        client::respond(self.world, self.server, ask).await
    }

    async fn in_parts(&self, response: Response<Body>) -> Result<Incoming, Unread> {
        let content_type = header_of(&response, header::CONTENT_TYPE).unwrap_or_default();
        let around = response.body().announced();
        let parts = Parts::of(response.into_body(), &content_type);
        let mut parts = parts.ok_or_else(|| nonsense("the answer has no parts"))?;
        parts.next().await.map_err(broken)?;
        let head = parts.next().await.map_err(broken)?;
        if let Some(location) = head.location {
            return self.elsewhere(&location).await;
        }
        let filename = head.disposition.as_deref().and_then(disposition::filename);
        let content_type = disposition::typed(head.content_type.as_deref());
        let described = Described { content_type, filename };
        Ok(Incoming { described, body: parts.content(), around })
    }

    /// Fetches a file from where the server says that it is: anywhere but within somebody's network.
    async fn elsewhere(&self, location: &[u8]) -> Result<Incoming, Unread> {
        let begin = format!("https://{}/", self.server);
        let url = std::str::from_utf8(location).ok();
        let url = url.and_then(|location| discovery::redirected(&begin, location));
        let url = url.ok_or_else(|| nonsense("the file is at no HTTPS address"))?;
        let response = resolve::follow(self.world, url, self.limits).await;
        let response = response.map_err(Unread::Remote)?;
        if !response.status().is_success() {
            let why = format!("where the file is to be, {} is answered", response.status());
            return Err(Unread::Remote(RemoteError::Unreachable(why)));
        }
        Ok(direct(response))
    }
}

fn nonsense(why: &str) -> Unread {
    Unread::Remote(RemoteError::Nonsense(why.to_owned()))
}

/// A file that is the whole answer.
fn direct(response: Response<Body>) -> Incoming {
    let filename = header_of(&response, header::CONTENT_DISPOSITION)
        .and_then(|header| disposition::filename(&header));
    let content_type = header_of(&response, header::CONTENT_TYPE);
    let content_type = disposition::typed(content_type.as_deref());
    let (described, body) = (Described { content_type, filename }, response.into_body());
    Incoming { described, body, around: None }
}

fn header_of(response: &Response<Body>, name: header::HeaderName) -> Option<Vec<u8>> {
    response.headers().get(name).map(|value| value.as_bytes().to_vec())
}
