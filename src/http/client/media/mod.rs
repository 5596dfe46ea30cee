//! How do clients upload and read media? ([content repository](https://spec.matrix.org/v1.19/client-server-api/#content-repository))
//!
//! Bodies are streams, so none of these is made from ruma's types. What the specification calls frozen, the endpoints
//! without authentication, answer only for what was kept while `UNAUTHENTICATED_MEDIA` was `open`.

mod download;
mod preview;
mod response;
#[cfg(test)]
mod tests;
pub mod thumbnail;
mod upload;

use std::{rc::Rc, str::FromStr};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use tombolo_platform::{Body, World};

use crate::{
    error::{Error, Result, invalid_param, not_found},
    flows::media::is_media_id,
    http::{
        arguments::Argument,
        query,
        router::{Handler, Router},
    },
};

/// How the paths of what was there before authentication begin; clients still use all of them for uploads.
const LEGACY: [&str; 3] = ["/_matrix/media/v3", "/_matrix/media/r0", "/_matrix/media/v1"];
/// How the paths begin that need authentication.
const AUTHENTICATED: &str = "/_matrix/client/v1/media";

/// How long is waited for what is not uploaded yet (ms): unless the client says so, and at most.
const USUAL_PATIENCE: u64 = 20_000;
const MOST_PATIENCE: u64 = 60_000;

/// A request whose body is not read yet.
pub struct Asked {
    pub world: World,
    /// All of it but the body.
    pub request: Request<Bytes>,
    pub body: Body,
    pub arguments: Vec<String>,
}

/// What can be a media ID. What cannot is found nowhere.
pub struct MediaId(pub String);

impl FromStr for MediaId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let id = Some(text).filter(|text| is_media_id(text));
        id.map(|id| Self(id.to_owned())).ok_or_else(|| not_found("This is no media ID"))
    }
}

impl Argument for MediaId {
    const NAME: &'static str = "media ID";

    fn read(text: &str) -> Result<Self> {
        text.parse()
    }
}

impl Asked {
    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = query::pairs(self.request.uri().query().unwrap_or_default());
        pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// How long the caller waits for what is not uploaded yet (ms).
    pub fn patience(&self) -> Result<u64> {
        patience(self.parameter("timeout_ms").as_deref())
    }

    /// An argument of the path.
    pub fn argument(&self, place: usize) -> &str {
        self.arguments.get(place).map_or("", String::as_str)
    }
}

pub fn routes(router: &mut Router) {
    upload::routes(router);
    download::routes(router);
    thumbnail::routes(router);
    preview::routes(router);
}

/// Registers a handler that gets the body unread. Pages of other origins may use whatever it answers
/// ([content repository](https://spec.matrix.org/v1.19/client-server-api/#content-repository)).
fn stream<H, F>(router: &mut Router, method: &Method, paths: &[String], handler: H)
where
    H: Fn(Asked) -> F + Copy + 'static,
    F: Future<Output = Result<Response<Body>>>,
{
    let answer: Handler = Rc::new(move |world, request, arguments| {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let request = Request::from_parts(head, Bytes::new());
            let answer = handler(Asked { world, request, body, arguments }).await;
            let mut response = answer.unwrap_or_else(|error| error.into_response().map(Body::from));
            let cross_origin = HeaderValue::from_static("cross-origin");
            response.headers_mut().insert("cross-origin-resource-policy", cross_origin);
            if response.headers().get(header::X_CONTENT_TYPE_OPTIONS).is_none() {
                let nosniff = HeaderValue::from_static("nosniff");
                response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
            }
            Ok(response)
        })
    });
    for path in paths {
        router.add(method, path, Rc::clone(&answer));
    }
}

/// How long somebody waits for what is not uploaded yet (ms), by their own account.
pub fn patience(given: Option<&str>) -> Result<u64> {
    let given = given.map(str::parse::<u64>).transpose();
    let given = given.map_err(|_| invalid_param("`timeout_ms` is no time"))?;
    Ok(given.unwrap_or(USUAL_PATIENCE).min(MOST_PATIENCE))
}

/// A path under each of the legacy beginnings.
fn legacy(path: &str) -> Vec<String> {
    LEGACY.iter().map(|begin| format!("{begin}{path}")).collect()
}
