//! Which handler answers a method and a path?
//!
//! Paths are matched as they arrived, anchored at both ends; only the arguments are percent-decoded, one by one. A path
//! without a route is `404 M_UNRECOGNIZED`, a known path with another method `405`. CORS is answered here for all.

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use tombolo_platform::{Body, World};

use crate::error::{Result, invalid_param, unrecognized};

/// A handler, whatever it was made from. It reads the body with a limit of its own, and may answer with a stream.
pub type Handler = Rc<
    dyn Fn(World, Request<Body>, Vec<String>) -> LocalBoxFuture<'static, Result<Response<Body>>>,
>;

/// The table of routes.
#[derive(Default)]
pub struct Router {
    table: matchit::Router<Vec<(Method, Handler)>>,
}

impl Router {
    /// Adds a route. A second handler for the same method and path, or a malformed path, is a fault of ours.
    pub fn add(&mut self, method: &Method, path: &str, handler: Handler) {
        if let Ok(found) = self.table.at_mut(path)
            && found.params.iter().all(|(name, value)| value == format!("{{{name}}}"))
        {
            found.value.push((method.clone(), handler));
            return;
        }
        if let Err(error) = self.table.insert(path, vec![(method.clone(), handler)]) {
            tracing::error!(%error, path, "a route cannot be added");
        }
    }

    /// Has those requests of a route answered by another handler of which this is so. A route that is not there is a
    /// fault of ours.
    pub fn divert(
        &mut self,
        (method, path): (&Method, &str),
        is_so: fn(&Request<Body>) -> bool,
        other: Handler,
    ) {
        let found = self.table.at_mut(path).ok();
        let held =
            found.and_then(|found| found.value.iter_mut().find(|(known, _)| known == method));
        let Some((_, handler)) = held else {
            tracing::error!(path, "there is no such route");
            return;
        };
        let usual = Rc::clone(handler);
        *handler = Rc::new(move |world, request, arguments| {
            let answers = if is_so(&request) { &other } else { &usual };
            answers(world, request, arguments)
        });
    }

    /// Answers a request.
    pub async fn answer(&self, world: World, request: Request<Body>) -> Response<Body> {
        let mut response = if request.method() == Method::OPTIONS {
            Response::default()
        } else {
            self.dispatch(world, request)
                .await
                .unwrap_or_else(|error| error.into_response().map(Body::from))
        };
        add_cors(&mut response);
        response
    }

    /// Whether a method and a path have a handler.
    pub fn knows(&self, method: &Method, path: &str) -> bool {
        self.table.at(path).is_ok_and(|found| found.value.iter().any(|(known, _)| known == method))
    }

    async fn dispatch(&self, world: World, request: Request<Body>) -> Result<Response<Body>> {
        let path = request.uri().path().to_owned();
        let found = self.table.at(&path).map_err(|_| unrecognized(StatusCode::NOT_FOUND))?;
        let wanted = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let handler = found.value.iter().find(|(method, _)| method == wanted);
        let (_, handler) = handler.ok_or_else(|| unrecognized(StatusCode::METHOD_NOT_ALLOWED))?;
        let arguments: Vec<String> = found
            .params
            .iter()
            .map(|(_, raw)| percent_decode_str(raw).decode_utf8().map(|text| text.into_owned()))
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| invalid_param("The path is not UTF-8"))?;
        handler(world, request, arguments).await
    }
}

/// [CORS](https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients)
fn add_cors(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("X-Requested-With, Content-Type, Authorization"),
    );
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
}
