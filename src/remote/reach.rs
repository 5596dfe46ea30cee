//! How does any HTTP request leave this server?
//!
//! Each request has a `User-Agent`: some networks reject those without. Places (host and port) that have not answered
//! yet are tried one at a time, and a place that failed is left alone for a while. On one machine the runtime does
//! nothing else while it looks up a name: hundreds of names that do not exist would keep it from answering anybody.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    str,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join;
use http::{HeaderValue, Request, Response, Uri, header};
use tombolo_platform::{Body, Limits, Unreachable, World};
use tombolo_protocol::{backoff, discovery};

use super::RemoteError;
use crate::config::Config;

/// Statuses from this one on come from Cloudflare's network: the server itself did not answer
/// ([Cloudflare's 5xx](https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/)).
const OF_THE_NETWORK: u16 = 520;
/// If a place that failed may be tried again this soon, the request waits for it (ms).
const SOON: u64 = 1_500;
/// How long a place counts as up after it answered (ms).
const ANSWERED: u64 = 3_600_000;
/// How many connections to a place may be gone at once.
const MOST_KEPT: usize = 3;
/// What fails sooner than this failed at once (ms).
const AT_ONCE: u64 = 1_000;
/// How many places are remembered at most.
const MOST_KNOWN: usize = 10_000;
/// How long the first step of a request to a new place may keep other new places waiting (ms). During a look-up nothing
/// else runs anyway.
const LONGEST_STEP: u64 = 250;
/// How often a waiting request checks whether it is its turn (ms): soon at first, then seldom, since many may wait.
const FIRST_LOOK: u64 = 2;
const LAST_LOOK: u64 = 50;

#[derive(Default)]
struct Places {
    known: RefCell<BTreeMap<String, Standing>>,
    /// When the next new place may be tried (ms).
    next: Cell<u64>,
}

/// What is known of a place: a host and a port.
#[derive(Clone, Copy)]
enum Standing {
    /// When the place last answered (ms).
    Answered { at: u64 },
    /// Since when, and until when it is left alone (ms).
    Failed { since: u64, until: u64 },
}

/// Sends a request, and reads the whole response. Redirects are not followed.
///
/// # Errors
/// The server did not answer, or only the network in its place.
pub async fn fetch(
    world: &World,
    request: Request<Bytes>,
    limits: Limits,
) -> Result<Response<Bytes>, RemoteError> {
    let (head, body) = open(world, request, limits).await?.into_parts();
    let body = body.whole(limits.bytes).await.map_err(RemoteError::from)?;
    Ok(Response::from_parts(head, body))
}

/// The same for a response that is read chunk by chunk.
pub async fn open(
    world: &World,
    mut request: Request<Bytes>,
    limits: Limits,
) -> Result<Response<Body>, RemoteError> {
    let config = Config::of(world).map_err(|error| RemoteError::Refused(error.to_string()))?;
    let named = request.headers_mut().entry(header::USER_AGENT);
    named.or_insert_with(|| server(&config));
    let place = place(request.uri());
    let (places, began) = (world.isolate(|_| Places::default()), world.now());
    let unreachable = |reason: String| RemoteError::Unreachable(format!("{place}: {reason}"));
    let answer = match places.standing(&place, began) {
        Some(Standing::Failed { until, .. }) if until > began + SOON => {
            return Err(unreachable("it failed a moment ago".to_owned()));
        }
        Some(Standing::Answered { .. }) => open_kept(world, request, limits).await,
        standing => {
            if let Some(Standing::Failed { until, .. }) = standing {
                world.sleep(Duration::from_millis(until.saturating_sub(began))).await;
            }
            let unasked = |reason| RemoteError::Unasked(format!("{place}: {reason}"));
            places.turn(world, limits.time).await.map_err(unasked)?;
            join(world.open(request, limits), places.step(world)).await.0
        }
    };
    let in_time = world.now() < began + milliseconds(limits.time);
    places.note(&place, answer.is_ok(), in_time, world.now());
    let answer = answer.map_err(|error| unreachable(error.to_string()))?;
    let status = answer.status().as_u16();
    if status >= OF_THE_NETWORK {
        return Err(unreachable(format!("the network says {status}")));
    }
    Ok(answer)
}

/// Asks at one place after another, as each redirects to the next: the last place, and what it answers.
///
/// # Errors
/// `ask` fails, there is nothing that is `next`, or there are too many.
pub async fn follow<P, E: From<RemoteError>>(
    mut place: P,
    ask: impl AsyncFn(&P) -> Result<Response<Body>, E>,
    next: impl Fn(&P, &str) -> Option<P>,
) -> Result<(P, Response<Body>), E> {
    let nonsense = |why: &str| RemoteError::Nonsense(why.to_owned());
    for _ in 0..=discovery::MAX_REDIRECTS {
        let response = ask(&place).await?;
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok((place, response));
        }
        let location = response.headers().get(header::LOCATION);
        let location = location.and_then(|location| str::from_utf8(location.as_bytes()).ok());
        let following = location.and_then(|location| next(&place, location));
        place = following.ok_or_else(|| nonsense("it redirects to no address that we follow"))?;
    }
    Err(nonsense("it redirects too often").into())
}

/// Opens a place that answered before. The connections that were kept to it may be gone, for example where its server
/// was restarted: then the request fails at once, and with it one of them.
async fn open_kept(
    world: &World,
    request: Request<Bytes>,
    limits: Limits,
) -> Result<Response<Body>, Unreachable> {
    for _ in 0..MOST_KEPT {
        let began = world.now();
        let answer = world.open(request.clone(), limits).await;
        if answer.is_ok() || world.now() >= began + AT_ONCE {
            return answer;
        }
    }
    world.open(request, limits).await
}

impl Places {
    fn standing(&self, place: &str, now: u64) -> Option<Standing> {
        let standing = self.known.borrow().get(place).copied();
        standing.filter(|standing| match standing {
            Standing::Answered { at } => at + ANSWERED > now,
            Standing::Failed { .. } => true,
        })
    }

    /// Notes how a request ended. A timeout does not count against the place, since it says nothing of its name; nor
    /// does a failure of a place that answered lately.
    fn note(&self, place: &str, answered: bool, in_time: bool, now: u64) {
        let standing = match self.standing(place, now) {
            _ if answered => Standing::Answered { at: now },
            Some(Standing::Answered { .. }) => return,
            _ if !in_time => return,
            Some(Standing::Failed { since, .. }) => failed(since, now),
            None => failed(now, now),
        };
        let mut known = self.known.borrow_mut();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(place.to_owned(), standing);
    }

    /// Waits until a new place may be tried. Each request has a timer of its own: on Workers, one invocation cannot
    /// wake another.
    async fn turn(&self, world: &World, patience: Duration) -> Result<(), String> {
        let (until, mut look) = (world.now() + milliseconds(patience), FIRST_LOOK);
        while world.now() < self.next.get() {
            if world.now() >= until {
                return Err("too many names are looked up".to_owned());
            }
            world.sleep(Duration::from_millis(look)).await;
            look = (2 * look).min(LAST_LOOK);
        }
        // If this invocation ends before its step does, the others go on after this time.
        self.next.set(world.now() + LONGEST_STEP);
        Ok(())
    }

    /// Ends the first step of a request: a short timer fires once a look-up no longer blocks the runtime. The next new
    /// place is tried after as much time again, which is left for other work.
    async fn step(&self, world: &World) {
        let began = world.now();
        world.sleep(Duration::from_millis(1)).await;
        let now = world.now();
        self.next.set(now + (now - began));
    }
}

/// Forgets that a place failed, since its server has shown that it is up.
pub fn forgive(world: &World, host: &str, port: u16) {
    let places = world.isolate(|_| Places::default());
    let mut known = places.known.borrow_mut();
    for place in [host.to_owned(), format!("{host}:{port}")] {
        if matches!(known.get(&place), Some(Standing::Failed { .. })) {
            known.remove(&place);
        }
    }
}

/// Where a request goes. The port of plain HTTP is another place: where nobody listens there, a server may be up all the
/// same, and whoever can have us ask there must not keep us from it.
fn place(uri: &Uri) -> String {
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    match uri.scheme_str() {
        Some("http") => format!("http://{authority}"),
        _ => authority,
    }
}

/// A place that fails is left alone for as long as it has been failing.
fn failed(since: u64, now: u64) -> Standing {
    Standing::Failed { since, until: now + backoff::wait(now.saturating_sub(since)) }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The `User-Agent` of a program that looks at pages for people: some sites say what is on a page only to robots.
pub fn robot(config: &Config) -> HeaderValue {
    user_agent(config, "bot; ")
}

/// The `User-Agent` of requests to servers.
pub fn server(config: &Config) -> HeaderValue {
    user_agent(config, "")
}

/// The `User-Agent`: who we are, what kind of program, and where more is to be found about us.
fn user_agent(config: &Config, kind: &str) -> HeaderValue {
    const NAME: &str = concat!("Tombolo/", env!("CARGO_PKG_VERSION"));
    let found = config.public_baseurl.as_ref().map(|url| format!("+{url}")).unwrap_or_default();
    let about = format!("{kind}{found}");
    let about = about.trim_end_matches([';', ' ']);
    let whole = format!("{NAME} ({about})");
    let whole = HeaderValue::from_str(&whole).ok().filter(|_| !about.is_empty());
    whole.unwrap_or(HeaderValue::from_static(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_plain_http_is_another_place() {
        let at = |url: &str| place(&url.parse().unwrap());
        assert_eq!(at("https://example.org/a"), "example.org");
        assert_eq!(at("https://example.org:8448/"), "example.org:8448");
        assert_ne!(at("http://example.org/"), at("https://example.org/"));
    }
}
