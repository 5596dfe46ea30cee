//! Where does the server of this name listen?
//! ([resolving server names](https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names))
//!
//! Answers are cached in the isolate and in KV for as long as the server's well-known file says. `fetch` verifies the
//! certificate of the host it connects to, so an SRV record that names another host cannot be followed.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use ruma::{OwnedServerName, ServerName};
use serde::{Deserialize, Serialize};
use tombolo_platform::{Limits, World};
use tombolo_protocol::{
    address,
    discovery::{self, Step, Target, WellKnown},
    server_name,
};

use super::{RemoteError, dns};
use crate::config::Config;

const LIMITS: Limits = Limits { time: Duration::from_secs(10), bytes: discovery::MAX_BODY };
/// The shortest time to live that KV allows (s).
const MIN_TTL: i64 = 60;

/// Where a server listens, and until when that is believed (ms).
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    places: Vec<Place>,
    until: i64,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub host: String,
    pub port: u16,
}

#[derive(Default)]
struct Cache(RefCell<BTreeMap<OwnedServerName, Known>>);

/// The places at which a server may listen, in order.
pub async fn resolve(world: &World, server: &ServerName) -> Result<Vec<Place>, RemoteError> {
    let cache = world.isolate(|_| Cache::default());
    let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
    let held = cache.0.borrow().get(server).cloned().filter(|known| known.until > now);
    if let Some(known) = held {
        return Ok(known.places);
    }
    let name = format!("place:{server}");
    if let Ok(Some(text)) = world.kv().get(&name).await
        && let Some(known) =
            serde_json::from_slice::<Known>(&text).ok().filter(|known| known.until > now)
    {
        cache.0.borrow_mut().insert(server.to_owned(), known.clone());
        return Ok(known.places);
    }
    let known = discover(world, server, now).await?;
    cache.0.borrow_mut().insert(server.to_owned(), known.clone());
    // A cache that cannot be written costs a look-up, nothing else.
    if let Ok(text) = serde_json::to_vec(&known) {
        let ttl = u64::try_from(((known.until - now) / 1000).max(MIN_TTL)).unwrap_or_default();
        world.kv().put(&name, &text, Some(ttl)).await.ok();
    }
    Ok(known.places)
}

async fn discover(world: &World, server: &ServerName, now: i64) -> Result<Known, RemoteError> {
    let refused = |fault: server_name::ServerNameFault| RemoteError::Refused(fault.to_string());
    let mut step = discovery::begin(server.as_str()).map_err(refused)?;
    let mut lifetime = discovery::DEFAULT_LIFETIME;
    loop {
        step = match step {
            Step::WellKnown(well_known) => {
                let (delegated, told) = fetch_well_known(world, &well_known).await;
                lifetime = told;
                well_known.answered(delegated.as_deref()).map_err(refused)?
            }
            Step::Srv(srv) => {
                let records = dns::srv(world, &srv.query).await?;
                srv.answered(records)
            }
            Step::Connect(targets) => {
                let places = reachable(world, targets).await?;
                return Ok(Known { places, until: now + lifetime });
            }
        };
    }
}

/// What a server's well-known file delegates to, and for how long that holds (ms).
async fn fetch_well_known(world: &World, well_known: &WellKnown) -> (Option<String>, i64) {
    let mut url = format!("https://{}/.well-known/matrix/server", well_known.host);
    for _ in 0..=discovery::MAX_REDIRECTS {
        let Ok(request) = Request::builder().uri(&url).body(Bytes::new()) else { break };
        if guard(world, request.uri().host().unwrap_or_default()).await.is_err() {
            break;
        }
        let Ok(response) = world.fetch(request, LIMITS).await else { break };
        let headers = response.headers();
        let text = |name: header::HeaderName| {
            headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        if response.status().is_redirection() {
            let Some(next) =
                text(header::LOCATION).and_then(|location| redirected(&url, &location))
            else {
                break;
            };
            url = next;
            continue;
        }
        if response.status() != StatusCode::OK {
            break;
        }
        let lifetime = discovery::lifetime(text(header::CACHE_CONTROL).as_deref());
        return match discovery::delegated(response.body()) {
            Ok(name) => (Some(name), lifetime),
            Err(_) => (None, discovery::ERROR_LIFETIME),
        };
    }
    (None, discovery::ERROR_LIFETIME)
}

/// Where a redirect leads; only to HTTPS.
fn redirected(from: &str, location: &str) -> Option<String> {
    if location.starts_with('/') && !location.starts_with("//") {
        let authority = from.parse::<Uri>().ok()?.authority()?.to_string();
        return Some(format!("https://{authority}{location}"));
    }
    location.starts_with("https://").then(|| location.to_owned())
}

/// The targets that `fetch` can connect to and that lie where we may go.
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

/// Refuses addresses that are not of the public network, unless the operator allows them. Names are looked up where a
/// resolver may be asked; else the platform's own network is what guards: workerd checks the address it connects to,
/// and Cloudflare's has no way to private ones.
async fn guard(world: &World, host: &str) -> Result<(), RemoteError> {
    let config = Config::of(world).map_err(|error| RemoteError::Refused(error.to_string()))?;
    if config.allow_private_addresses {
        return Ok(());
    }
    let refused = || RemoteError::Refused(format!("{host} is not on the public network"));
    // A URL's host may be read as an address where we see none, such as `127.1`.
    let Ok((place, None)) = server_name::split(host) else { return Err(refused()) };
    let addresses = match place.address() {
        Some(address) => vec![address],
        None => dns::addresses(world, host).await?,
    };
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if last.eq_ignore_ascii_case("localhost")
        || !addresses.iter().all(|address| address::is_global(*address))
    {
        return Err(refused());
    }
    Ok(())
}
