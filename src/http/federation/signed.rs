//! Which server sends a request, and did it sign the request?
//! ([request authentication](https://spec.matrix.org/v1.19/server-server-api/#request-authentication))

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use ruma::{OwnedServerName, api::federation::authentication::ServerSignatures};
use serde::{Serialize, de::DeserializeOwned};
use tombolo_platform::{Body, World};
use tombolo_protocol::{
    json,
    x_matrix::{self, Authorization, XMatrixFault},
};

use crate::{
    config::Config,
    error::{Error, Result, bad_json, invalid_param, missing_param},
    http::{
        arguments::Arguments,
        endpoint::{Scheme, fault_response, json_response, of_json, whole},
        query,
        rate_limit::{self, Kind},
        router::{Handler, Router},
    },
    objects::{destination::messages::Heard, destination_object, user_sync::messages::Cost},
    remote::{failing, origins, resolve},
};

/// The largest body that is read: 50 events of 64 KiB and 100 EDUs are much smaller.
const MAX_BODY: usize = 16 << 20;
/// How often a destination is told that its server is up (ms): if the server is noted as failing, and otherwise.
const HEARD_EVERY: u64 = 60_000;
const HEARD_SELDOM: u64 = 3_600_000;
/// How many origins are remembered at most.
const MOST_HEARD: usize = 10_000;

/// A request that its origin signed.
pub struct Signed {
    pub origin: OwnedServerName,
    query: Vec<(String, String)>,
    body: Bytes,
}

impl Signed {
    /// The body, read as `T`.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T> {
        json::from_bytes(&self.body).map_err(|error| bad_json(error.to_string()))
    }

    /// The body's text.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// Every value of a query parameter.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// A query parameter that must be there and well-formed.
    pub fn parameter<T: std::str::FromStr>(&self, name: &str) -> Result<T> {
        let value = self
            .all(name)
            .first()
            .copied()
            .ok_or_else(|| missing_param(format!("{name} is missing")))?;
        value.parse().map_err(|_| invalid_param(format!("{name} has no form")))
    }
}

impl Scheme for ServerSignatures {
    type Caller = Signed;
    async fn caller(world: &World, request: &Request<Bytes>, _: Cost) -> Result<Signed> {
        let signed = authenticate(world, request).await?;
        note(world, &signed.origin);
        Ok(signed)
    }
}

impl Router {
    /// Registers a handler for requests of other servers that carry events or are answered with them. The answer is
    /// serialised directly to text: events may be nested deeper than `serde_json` reads into values.
    pub fn federation<P, H, F, A>(&mut self, method: &Method, path: &str, handler: H)
    where
        P: Arguments,
        H: Fn(World, Signed, P) -> F + Copy + 'static,
        F: Future<Output = Result<A>>,
        A: Serialize,
    {
        let answer: Handler = Rc::new(move |world, request, arguments| {
            Box::pin(async move {
                let signed = signed(&world, request).await?;
                let answer = handler(world, signed, P::read(&arguments)?).await?;
                Ok(json_response(StatusCode::OK, &answer)?.map(Body::from))
            })
        });
        self.add(method, path, answer);
    }

    /// The same, for an answer that is written while it is sent.
    pub fn federation_stream<P, H, F>(&mut self, method: &Method, path: &str, handler: H)
    where
        P: Arguments,
        H: Fn(World, Signed, P) -> F + Copy + 'static,
        F: Future<Output = Result<Body>>,
    {
        let answer: Handler = Rc::new(move |world, request, arguments| {
            Box::pin(async move {
                let signed = signed(&world, request).await?;
                Ok(of_json(handler(world, signed, P::read(&arguments)?).await?))
            })
        });
        self.add(method, path, answer);
    }
}

/// Reads and authenticates a request, and notes that its origin is up.
async fn signed(world: &World, request: Request<Body>) -> Result<Signed> {
    let request = whole(request, MAX_BODY).await?;
    ServerSignatures::caller(world, &request, Cost::Free).await
}

async fn authenticate(world: &World, request: &Request<Bytes>) -> Result<Signed> {
    let body = request.body().clone();
    let header = request
        .headers()
        .get(header::AUTHORIZATION)
        .ok_or_else(|| refusal(&XMatrixFault::Missing))?;
    let header = header.to_str().map_err(|_| refusal(&XMatrixFault::Malformed("not ASCII")))?;
    let authorization = Authorization::parse(header).map_err(|fault| refusal(&fault))?;
    let config = Config::of(world)?;
    authorization.check_servers(&config.server_name).map_err(|fault| refusal(&fault))?;
    let content = match body.is_empty() {
        true => None,
        false => Some(json::signed_text(&body).map_err(|fault| fault_response(&fault))?),
    };
    let uri = request.uri().path_and_query().map_or("/", |uri| uri.as_str());
    let method = request.method().as_str();
    let signed = x_matrix::Request { method, uri, content: content.as_deref() };
    let now = i64::try_from(world.now()).unwrap_or(i64::MAX);
    // A request in the name of an unknown server makes us look for that server.
    let needed =
        BTreeMap::from([(authorization.origin.clone(), vec![(authorization.key.clone(), now)])]);
    if !origins::missing(world, &needed).await.is_empty() {
        rate_limit::count(world, request, Kind::Errand)?;
    }
    let keys = origins::of(world, &authorization.origin, &[(authorization.key.clone(), now)]).await;
    authorization
        .verify(signed, &config.server_name, &keys, now)
        .map_err(|fault| refusal(&fault))?;
    Ok(Signed {
        origin: authorization.origin,
        query: query::pairs(request.uri().query().unwrap_or_default()),
        body,
    })
}

fn refusal(fault: &XMatrixFault) -> Error {
    let status = match fault {
        XMatrixFault::Malformed(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::UNAUTHORIZED,
    };
    Error::new(status, "M_UNAUTHORIZED", fault.to_string())
}

#[derive(Default)]
struct LastHeard(RefCell<BTreeMap<OwnedServerName, u64>>);

/// Ends the back-off of a server that sends a request: it is up. Its destination is told at most once a minute if this
/// isolate knows that the server fails, and otherwise once an hour, since another isolate may know.
fn note(world: &World, origin: &OwnedServerName) {
    let heard = world.isolate(|_| LastHeard::default());
    let now = world.now();
    resolve::forgive(world, origin);
    let pause = if failing::is_noted(world, origin) { HEARD_EVERY } else { HEARD_SELDOM };
    if heard.0.borrow().get(origin).is_some_and(|at| at + pause > now) {
        return;
    }
    failing::forget(world, origin);
    let mut all = heard.0.borrow_mut();
    if all.len() >= MOST_HEARD {
        all.clear();
    }
    all.insert(origin.clone(), now);
    let (world, address) = (world.clone(), destination_object(origin));
    let asked = world.clone();
    world.later(async move {
        // If this fails, the next request of the server repeats it.
        asked.ask(&address, &Heard {}).await.ok();
    });
}
