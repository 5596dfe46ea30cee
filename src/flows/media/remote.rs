//! How are another server's media fetched? ([content repository](https://spec.matrix.org/v1.19/server-server-api/#content-repository))
//!
//! The server is asked by a signed request; one that does not know it yet, by the endpoint without authentication. What
//! comes is kept before it is answered, so each file is fetched once.

use std::{cell::RefCell, collections::BTreeMap, pin::pin, rc::Rc, time::Duration};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Request, Response, header};
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
    flows::ours::Ours,
    remote::{
        RemoteError, api,
        client::{self, Ask},
        reach, resolve,
    },
    stores::media::{self, Described, Media, Name, Owner},
};

/// How long a file may take to come whole.
const WHOLE: Duration = Duration::from_secs(600);
/// How long a server may take until the file begins to come (ms), beside what the caller waits for an upload.
const BEGIN: u64 = 30_000;
/// What stands around a file in an answer, at most (bytes).
const AROUND: usize = 64 << 10;
/// How many redirects are followed.
const MOST_REDIRECTS: usize = 3;
/// Another request fetches the same file: how often it is looked whether it is there (ms).
const LOOK: u64 = 500;
/// A fetch that began so long ago is not waited for (ms): its request may have been ended.
const STALE: u64 = 60_000;
/// How long a failure is told to others who waited (ms).
const FAILED: u64 = 5_000;
/// How many fetches are remembered at most.
const MOST_KNOWN: usize = 1_000;

type Key = (OwnedServerName, String);

/// The fetches of this isolate.
#[derive(Default)]
struct Fetches(RefCell<BTreeMap<Key, Fetch>>);

enum Fetch {
    Begun(u64),
    Failed(u64, Unread),
}

/// A file that begins to come.
struct Incoming {
    described: Described,
    body: Body,
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
        // Whoever fetched before may have kept it since this was looked up.
        if let Found::Here(media, content) = find(world, server, media_id, 0).await? {
            return Ok((*media, content));
        }
        let now = world.now();
        match fetches.0.borrow().get(&key) {
            Some(Fetch::Begun(at)) if at + STALE > now => {}
            Some(Fetch::Failed(at, unread)) if at + FAILED > now => return Err(unread.clone()),
            _ => break,
        }
        world.sleep(Duration::from_millis(LOOK)).await;
    }
    let turn = Turn::begin(fetches, key, world.now());
    let kept = fetch_now(world, server, media_id, patience).await;
    turn.end(world.now(), kept.as_ref().err());
    kept
}

/// That this request fetches a file, until dropped.
struct Turn(Rc<Fetches>, Key);

impl Turn {
    fn begin(fetches: Rc<Fetches>, key: Key, now: u64) -> Self {
        let mut all = fetches.0.borrow_mut();
        if all.len() >= MOST_KNOWN {
            all.clear();
        }
        all.insert(key.clone(), Fetch::Begun(now));
        drop(all);
        Self(fetches, key)
    }

    fn end(self, now: u64, failure: Option<&Unread>) {
        let fetches = Rc::clone(&self.0);
        let key = self.1.clone();
        drop(self);
        if let Some(unread) = failure {
            fetches.0.borrow_mut().insert(key, Fetch::Failed(now, unread.clone()));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.borrow_mut().remove(&self.1);
    }
}

async fn fetch_now(
    world: &World,
    server: &ServerName,
    media_id: &str,
    patience: u64,
) -> Result<(Media, String), Unread> {
    let config = Config::of(world).map_err(Ours::from)?;
    let most = config.media.max_upload_size;
    let ask = Asking { world, server, media_id, patience, limits: limits(most) };
    let begins = world.sleep(Duration::from_millis(patience.saturating_add(BEGIN)));
    let incoming = match select(pin!(ask.incoming()), pin!(begins)).await {
        Either::Left((incoming, _)) => incoming.map_err(unread)?,
        Either::Right(_) => {
            let late = RemoteError::Unreachable("it does not answer in time".to_owned());
            return Err(Unread::Remote(late));
        }
    };
    let content = keep::write(world, incoming.body, most).await.map_err(|unkept| match unkept {
        Unkept::TooLarge(_) => Unread::TooLarge,
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
        RemoteError::Answered { status: 404, .. } => Unread::NotFound,
        _ => Unread::Remote(error),
    }
}

/// Whether the server does not know the endpoint. Many say so in other words than the specification's.
fn is_unrecognized(error: &RemoteError) -> bool {
    let RemoteError::Answered { status, errcode, .. } = error else { return false };
    errcode == "M_UNRECOGNIZED" || errcode.is_empty() && (400..500).contains(status)
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
    async fn incoming(&self) -> Result<Incoming, RemoteError> {
        match self.authenticated().await {
            Err(error) if is_unrecognized(&error) => {
                let path = api::legacy_download(self.server, self.media_id, self.patience);
                Ok(direct(self.response(&path).await?))
            }
            incoming => incoming,
        }
    }

    async fn response(&self, path: &str) -> Result<Response<Body>, RemoteError> {
        let ask = Ask { plain: true, ..Ask::get(path).within(self.limits) };
        client::respond(self.world, self.server, ask).await
    }

    async fn authenticated(&self) -> Result<Incoming, RemoteError> {
        let response = self.response(&api::download(self.media_id, self.patience)).await?;
        let content_type = header_of(&response, header::CONTENT_TYPE).unwrap_or_default();
        let nonsense = || RemoteError::Nonsense("the answer has no parts".to_owned());
        let mut parts = Parts::of(response.into_body(), &content_type).ok_or_else(nonsense)?;
        parts.next().await?;
        let head = parts.next().await?;
        if let Some(location) = head.location {
            let location = String::from_utf8(location).map_err(|_| nonsense())?;
            return self.elsewhere(location).await;
        }
        let filename = head.disposition.as_deref().and_then(disposition::filename);
        let content_type = Some(disposition::typed(head.content_type.as_deref()));
        Ok(Incoming { described: Described { content_type, filename }, body: parts.content() })
    }

    /// Fetches a file from where the server says that it is: anywhere but within somebody's network.
    async fn elsewhere(&self, mut location: String) -> Result<Incoming, RemoteError> {
        let begin = format!("https://{}/", self.server);
        for _ in 0..=MOST_REDIRECTS {
            let refused = || RemoteError::Nonsense("the file is at no HTTPS address".to_owned());
            let url = discovery::redirected(&begin, &location).ok_or_else(refused)?;
            let request = Request::builder().uri(&url).body(Bytes::new());
            let request = request.map_err(|_| refused())?;
            resolve::guard(self.world, request.uri().host().unwrap_or_default()).await?;
            let response = reach::open(self.world, request, self.limits).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(direct(response));
            }
            let next = header_of(&response, header::LOCATION).filter(|_| status.is_redirection());
            let next = next.and_then(|next| String::from_utf8(next).ok());
            let next = next.and_then(|next| discovery::redirected(&url, &next));
            location = next.ok_or_else(|| {
                RemoteError::Unreachable(format!("where the file is to be, {status} is answered"))
            })?;
        }
        Err(RemoteError::Nonsense("too many redirects".to_owned()))
    }
}

/// A file that is the whole answer.
fn direct(response: Response<Body>) -> Incoming {
    let filename = header_of(&response, header::CONTENT_DISPOSITION)
        .and_then(|header| disposition::filename(&header));
    let content_type = header_of(&response, header::CONTENT_TYPE);
    let content_type = Some(disposition::typed(content_type.as_deref()));
    Incoming { described: Described { content_type, filename }, body: response.into_body() }
}

fn header_of(response: &Response<Body>, name: header::HeaderName) -> Option<Vec<u8>> {
    response.headers().get(name).map(|value| value.as_bytes().to_vec())
}
