//! How does a client log in that knows no login flow? By a page that does it.
//! ([login fallback](https://spec.matrix.org/v1.19/client-server-api/#login-fallback))

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use tombolo_platform::World;

use crate::{error::Result, http::router::Router};

const PATHS: [&str; 2] = ["/_matrix/static/client/login/", "/_matrix/static/client/login"];
const PAGE: &str = include_str!("page.html");
/// The page runs its own script, asks this server alone, and is shown in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

pub fn routes(router: &mut Router) {
    for path in PATHS {
        router.page(&Method::GET, path, page);
    }
}

async fn page(_: World, _: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let mut response = Response::new(Bytes::from_static(PAGE.as_bytes()));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
