//! Where does the server of this name listen?
//! ([resolving server names](https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names))
//!
//! Results are cached in the isolate and in KV for as long as the server's well-known file says, and failures for a
//! while. `fetch` verifies the certificate of the host it connects to, so an SRV record that names another host cannot
//! be followed; port 8448 is no substitute for it.

use std::{cell::RefCell, collections::BTreeMap, net::IpAddr, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response, StatusCode, header};
use ruma::{OwnedServerName, ServerName};
use serde::{Deserialize, Serialize};
use tombolo_platform::{Body, Limits, World};
use tombolo_protocol::{
    address, backoff,
    discovery::{self, Step, Target, WellKnown},
    server_name,
};
use url::{Host, Url};

use super::{RemoteError, dns, reach};
use crate::config::Config;

const LIMITS: Limits = Limits { time: Duration::from_secs(10), bytes: discovery::MAX_BODY };
/// The shortest time to live that KV allows (s).
const MIN_TTL: i64 = 60;
/// How long a place is kept that was found while the well-known file could not be read, unless the server answers there
/// (ms).
const DOUBTFUL: i64 = 60_000;
/// How long a known place is kept past its time while the well-known file cannot be read (ms).
const LAST_GOOD: i64 = 2 * 3600 * 1000;
/// How many servers are remembered at most, in the isolate's memory.
const MOST_KNOWN: usize = 10_000;

/// Where a server listens, and until when that is believed (ms).
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    places: Vec<Place>,
    until: i64,
    /// Whether the well-known file could not be read.
    #[serde(default)]
    doubtful: bool,
    /// After `until`: until when the places are used all the same, since the last look-up failed to read the well-known
    /// file (ms).
    #[serde(skip)]
    again_at: i64,
}

impl Known {
    fn holds(&self, now: i64) -> bool {
        self.until.max(self.again_at) > now
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub host: String,
    pub port: u16,
}

/// Why a server was not found, since when, and until when it is not looked up again (ms): for as long as it has been
/// failing.
struct Failure {
    error: RemoteError,
    since: i64,
    until: i64,
}

#[derive(Default)]
struct Cache {
    known: RefCell<BTreeMap<OwnedServerName, Known>>,
    failed: RefCell<BTreeMap<OwnedServerName, Failure>>,
}

/// The places at which a server may listen, in order.
pub async fn resolve(world: &World, server: &ServerName) -> Result<Vec<Place>, RemoteError> {
    let cache = world.isolate(|_| Cache::default());
    let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
    let mut held = cache.known.borrow().get(server).cloned();
    if held.as_ref().is_none_or(|known| !known.holds(now))
        && let Ok(Some(text)) = world.kv().get(&key(server)).await
        && let Ok(known) = serde_json::from_slice::<Known>(&text)
        && held.as_ref().is_none_or(|held| held.until < known.until)
    {
        put(&cache.known, server, known.clone());
        held = Some(known);
    }
    if let Some(known) = held.as_ref().filter(|known| known.holds(now)) {
        return Ok(known.places.clone());
    }
    let since = match cache.failed.borrow().get(server) {
        Some(failure) if failure.until > now => return Err(failure.error.clone()),
        failure => failure.map(|failure| failure.since),
    };
    let known = match (discover(world, server, now).await, held) {
        (Ok(known), Some(held)) if known.doubtful && held.until + LAST_GOOD > now => {
            Known { again_at: now + DOUBTFUL, doubtful: true, ..held }
        }
        (Ok(known), _) => known,
        (Err(error), _) => {
            let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
            let since = since.unwrap_or(now);
            let failing_for = u64::try_from(now.saturating_sub(since)).unwrap_or_default();
            let until = now.saturating_add_unsigned(backoff::wait(failing_for));
            put(&cache.failed, server, Failure { error: error.clone(), since, until });
            return Err(error);
        }
    };
    cache.failed.borrow_mut().remove(server);
    put(&cache.known, server, known.clone());
    // A cache that cannot be written costs a look-up, nothing else.
    if !known.doubtful {
        remember(world, server, &known, now).await;
    }
    Ok(known.places)
}

async fn remember(world: &World, server: &ServerName, known: &Known, now: i64) {
    let Ok(text) = serde_json::to_vec(known) else { return };
    let ttl = ((known.until + LAST_GOOD - now) / 1000).max(MIN_TTL);
    world.kv().put(&key(server), &text, u64::try_from(ttl).ok()).await.ok();
}

/// A server answered at a place that was in doubt: it does listen there.
pub fn confirm(world: &World, server: &ServerName) {
    let cache = world.isolate(|_| Cache::default());
    if let Some(known) = cache.known.borrow_mut().get_mut(server).filter(|known| known.doubtful) {
        known.until = i64::try_from(world.now()).unwrap_or(i64::MAX) + discovery::ERROR_LIFETIME;
        known.doubtful = false;
    }
}

/// Nobody has answered for long at a server's places: it may have moved, and is looked up anew. The old places are kept
/// until its well-known file names others.
pub async fn doubt(world: &World, server: &ServerName) {
    let cache = world.isolate(|_| Cache::default());
    let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
    let known = cache.known.borrow().get(server).filter(|known| known.until > now).cloned();
    let Some(known) = known.map(|known| Known { until: now, ..known }) else { return };
    put(&cache.known, server, known.clone());
    remember(world, server, &known, now).await;
}

/// A server has shown that it is up: its failures are forgotten, so that it is looked up and tried at once.
pub fn forgive(world: &World, server: &ServerName) {
    let cache = world.isolate(|_| Cache::default());
    cache.failed.borrow_mut().remove(server);
    let known = cache.known.borrow().get(server).map(|known| known.places.clone());
    let own = Place { host: server.host().to_owned(), port: server.port().unwrap_or(8448) };
    for place in known.into_iter().flatten().chain([own]) {
        reach::forgive(world, &place.host, place.port);
    }
}

/// Inserts into a map in the isolate's memory. A full map is cleared first: server names can be invented, and it must
/// not grow for ever.
fn put<V>(map: &RefCell<BTreeMap<OwnedServerName, V>>, server: &ServerName, value: V) {
    let mut map = map.borrow_mut();
    if map.len() >= MOST_KNOWN {
        map.clear();
    }
    map.insert(server.to_owned(), value);
}

fn key(server: &ServerName) -> String {
    format!("place:{server}")
}

async fn discover(world: &World, server: &ServerName, now: i64) -> Result<Known, RemoteError> {
    let refused = |fault: server_name::ServerNameFault| RemoteError::Refused(fault.to_string());
    let mut step = discovery::begin(server.as_str()).map_err(refused)?;
    let (mut lifetime, mut doubtful) = (discovery::DEFAULT_LIFETIME, false);
    loop {
        step = match step {
            Step::WellKnown(well_known) => {
                let said = fetch_well_known(world, &well_known).await;
                (lifetime, doubtful) = match &said {
                    Said::Delegated(_, lifetime) => (*lifetime, false),
                    Said::Nothing => (discovery::ERROR_LIFETIME, false),
                    Said::Unknown => (DOUBTFUL, true),
                };
                let delegated = match said {
                    Said::Delegated(name, _) => Some(name),
                    Said::Nothing | Said::Unknown => None,
                };
                well_known.answered(delegated.as_deref()).map_err(refused)?
            }
            Step::Srv(srv) => {
                let records = dns::srv(world, &srv.query).await?;
                srv.answered(records)
            }
            Step::Connect(targets) => {
                let places = reachable(world, targets).await?;
                return Ok(Known { places, until: now + lifetime, doubtful, again_at: 0 });
            }
        };
    }
}

/// What became of reading a server's well-known file.
enum Said {
    /// It delegates to this server name, for this long (ms).
    Delegated(String, i64),
    /// There is none, or none that we may follow.
    Nothing,
    /// It could not be read: the server is out of reach, or a proxy before it turns us away.
    Unknown,
}

async fn fetch_well_known(world: &World, well_known: &WellKnown) -> Said {
    let url = format!("https://{}/.well-known/matrix/server", well_known.host);
    let response = match follow(world, url, LIMITS).await {
        Ok(response) => response,
        Err(RemoteError::Unreachable(_) | RemoteError::Unasked(_)) => return Said::Unknown,
        Err(_) => return Said::Nothing,
    };
    let (head, body) = response.into_parts();
    let Ok(body) = body.whole(LIMITS.bytes).await else { return Said::Unknown };
    match head.status {
        StatusCode::OK => {
            let control = text(&head.headers, header::CACHE_CONTROL);
            let expires = text(&head.headers, header::EXPIRES);
            let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
            let lifetime = discovery::lifetime(control, expires, now);
            match discovery::delegated(&body) {
                Ok(name) => Said::Delegated(name, lifetime),
                // Perhaps a page for people, and only for a moment: it is no reason to forget a good place.
                Err(_) => Said::Unknown,
            }
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => Said::Nothing,
        _ => Said::Unknown,
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// What is answered at a URL, or where it redirects to: anywhere but within somebody's network.
pub async fn follow(
    world: &World,
    url: String,
    limits: Limits,
) -> Result<Response<Body>, RemoteError> {
    let ask = async |url: &String| {
        let nowhere = || RemoteError::Nonsense("it is at no URL".to_owned());
        let request = Request::builder().uri(url).body(Bytes::new());
        let request = request.map_err(|_| nowhere())?;
        let parsed = Url::parse(url).map_err(|_| nowhere())?;
        guard_host(world, parsed.host().ok_or_else(nowhere)?).await?;
        reach::open(world, request, limits).await
    };
    let next = |from: &String, location: &str| discovery::redirected(from, location);
    // Else the compiler gives up on how deep this nests.
    reach::follow(url, ask, next).boxed_local().await.map(|(_, response)| response)
}

/// The targets that `fetch` can connect to, and that are on networks where we may go.
async fn reachable(world: &World, targets: Vec<Target>) -> Result<Vec<Place>, RemoteError> {
    let mut places = Vec::new();
    let mut failure = RemoteError::Unreachable("it listens nowhere".to_owned());
    for target in targets {
        if target.host != target.certificate {
            failure = RemoteError::Unreachable(format!("SRV to another host: {}", target.host));
            continue;
        }
        match guard(world, &target.host).await {
            Ok(()) => places.push(Place { host: target.host, port: target.port }),
            Err(refused) => failure = refused,
        }
    }
    if places.is_empty() { Err(failure) } else { Ok(places) }
}

/// Refuses addresses outside the public network, unless the operator allows them. Names are looked up if a resolver is
/// configured. Otherwise the platform guards: workerd checks the address it connects to, and Cloudflare's network has
/// no way to private ones.
pub async fn guard(world: &World, host: &str) -> Result<(), RemoteError> {
    // A URL's host may be read as an address where we see a name, such as `127.1`.
    let named = match server_name::split(host) {
        Ok((place, None)) => place.address().map_or(Named::Name, Named::Address),
        _ => Named::Nothing,
    };
    guard_named(world, host, named).await
}

/// The same for the host of a URL, whose name may be none of a server: many have a `_`.
pub async fn guard_host(world: &World, host: Host<&str>) -> Result<(), RemoteError> {
    let is_named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let named = match host {
        Host::Ipv4(address) => Named::Address(address.into()),
        Host::Ipv6(address) => Named::Address(address.into()),
        Host::Domain(name) if name.bytes().all(is_named) => Named::Name,
        Host::Domain(_) => Named::Nothing,
    };
    guard_named(world, &host.to_string(), named).await
}

/// What a host is.
enum Named {
    Address(IpAddr),
    Name,
    /// Nothing that can be asked for.
    Nothing,
}

async fn guard_named(world: &World, host: &str, named: Named) -> Result<(), RemoteError> {
    let config = Config::of(world).map_err(|error| RemoteError::Refused(error.to_string()))?;
    if config.allow_private_addresses {
        return Ok(());
    }
    let refused = || RemoteError::Refused(format!("{host} is not on the public network"));
    let addresses = match named {
        Named::Address(address) => vec![address],
        Named::Name => dns::addresses(world, host).await?,
        Named::Nothing => return Err(refused()),
    };
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if last.eq_ignore_ascii_case("localhost")
        || !addresses.iter().all(|address| address::is_global(*address))
    {
        return Err(refused());
    }
    Ok(())
}
