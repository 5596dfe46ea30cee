//! What are our signing keys, which keys of other servers do we know, and what runs here?
//! ([publishing keys](https://spec.matrix.org/v1.19/server-server-api/#publishing-keys))
//!
//! Keys are signed, so our own canonical JSON reads and writes them. Ruma's types do not read the queries either: they
//! refuse a whole batch for one malformed key ID, and need a clock that Workers do not have.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use ruma::{
    OwnedServerName,
    api::federation::discovery::{
        discover_homeserver, get_server_version::v1 as get_server_version,
    },
};
use serde::Deserialize;
use serde_json::json;
use tombolo_platform::World;
use tombolo_protocol::{
    canonical_json::{CanonicalJsonObject, CanonicalJsonValue},
    json::parse_object,
    server_keys,
};

use crate::{
    config::Config,
    error::{Result, internal, invalid_param, not_found},
    http::{
        endpoint::{json_body, json_response},
        query,
        rate_limit::{self, Kind, Stranger},
        router::Router,
    },
    remote::keys::{self, Question},
};

/// The most servers whose keys one query may ask for.
const MAX_SERVERS: usize = 100;

/// How long other servers may use our keys without asking again (ms).
const VALID: u64 = 24 * 3600 * 1000;

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, "/_matrix/key/v2/server", server);
    router.page(&Method::GET, "/_matrix/key/v2/server/{key_id}", server);
    router.page(&Method::POST, "/_matrix/key/v2/query", query_many);
    router.page(&Method::GET, "/_matrix/key/v2/query/{server_name}", query_one);
    router.endpoint::<get_server_version::Request, _, _>(version);
    router.endpoint::<discover_homeserver::Request, _, _>(delegation);
}

/// Where other servers reach this one, if the host of its server name leads here ([well-known URI]). Cloudflare does
/// not listen at port 8448, which is the default.
///
/// [well-known URI]: https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver
async fn delegation(
    world: World,
    _: Stranger,
    _: discover_homeserver::Request,
) -> Result<discover_homeserver::Response> {
    let config = Config::of(&world)?;
    let public = config.public_baseurl.as_deref().and_then(|url| url.parse::<Uri>().ok());
    let authority = public.as_ref().and_then(Uri::authority);
    let authority = authority.ok_or_else(|| not_found("This server has no public address"))?;
    let port = authority.port_u16().unwrap_or(443);
    let place = format!("{}:{port}", authority.host()).try_into().map_err(internal)?;
    Ok(discover_homeserver::Response::new(place))
}

async fn server(world: World, _: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    json_response(StatusCode::OK, &CanonicalJsonValue::Object(own(&world)?))
}

/// Our keys as we publish them.
fn own(world: &World) -> Result<CanonicalJsonObject> {
    let config = Config::of(world)?;
    let valid_until_ts = i64::try_from(world.now() + VALID).unwrap_or(i64::MAX);
    Ok(server_keys::publish(
        &config.server_name,
        &config.signing_key,
        &config.old_keys,
        valid_until_ts,
    ))
}

#[derive(Deserialize)]
struct Query {
    server_keys: BTreeMap<OwnedServerName, BTreeMap<String, Criteria>>,
}

/// What the query asks of one key.
#[derive(Deserialize)]
struct Criteria {
    minimum_valid_until_ts: Option<i64>,
}

/// The keys of other servers, signed by us as a notary ([querying keys through another server]).
///
/// [querying keys through another server]: https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server
async fn query_many(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    rate_limit::count(&world, &request, Kind::Errand)?;
    let query: Query = json_body(&request)?;
    let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
    let questions = query.server_keys.into_iter().take(MAX_SERVERS).map(|(server, keys)| {
        let times = keys.values().map(|criteria| criteria.minimum_valid_until_ts.unwrap_or(now));
        let minimum_valid_until_ts = times.max().unwrap_or(now);
        Question { server, minimum_valid_until_ts, key_ids: keys.into_keys().collect() }
    });
    vouch(&world, questions.collect()).await
}

async fn query_one(
    world: World,
    request: Request<Bytes>,
    server: OwnedServerName,
) -> Result<Response<Bytes>> {
    rate_limit::count(&world, &request, Kind::Errand)?;
    let parameters = query::pairs(request.uri().query().unwrap_or_default());
    let minimum = parameters.iter().find(|(name, _)| name == "minimum_valid_until_ts");
    let minimum_valid_until_ts = match minimum {
        Some((_, value)) => {
            value.parse().map_err(|_| invalid_param("minimum_valid_until_ts is no time"))?
        }
        None => i64::try_from(world.now()).unwrap_or(i64::MAX),
    };
    vouch(&world, vec![Question { server, minimum_valid_until_ts, key_ids: Vec::new() }]).await
}

async fn vouch(world: &World, questions: Vec<Question>) -> Result<Response<Bytes>> {
    let config = Config::of(world)?;
    let is_ours = |question: &Question| question.server == config.server_name;
    let (ours, questions): (Vec<_>, Vec<_>) = questions.into_iter().partition(is_ours);
    let mut vouched = Vec::new();
    if !ours.is_empty() {
        vouched.push(CanonicalJsonValue::Object(own(world)?));
    }
    for answer in keys::answers(world, &questions).await {
        let mut object = parse_object(answer.get().as_bytes()).map_err(internal)?;
        config.signing_key.sign_json(&mut object, config.server_name.as_str());
        vouched.push(CanonicalJsonValue::Object(object));
    }
    json_response(StatusCode::OK, &json!({ "server_keys": vouched }))
}

async fn version(
    _: World,
    _: Stranger,
    _: get_server_version::Request,
) -> Result<get_server_version::Response> {
    let mut server = get_server_version::Server::new();
    server.name = Some("Tombolo".to_owned());
    server.version = Some(env!("CARGO_PKG_VERSION").to_owned());
    let mut response = get_server_version::Response::new();
    response.server = Some(server);
    Ok(response)
}
