//! Which calls are answered? Those that Complement makes; any other is 501 and is said on standard error, so that a
//! newer Complement tells what it misses.

mod containers;
mod images;
mod networks;
mod refusal;

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router, ServiceExt,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderValue, Method, Uri},
    middleware::map_response,
    response::Response,
    routing::{IntoMakeService, delete, get, post, put},
};
use tower::{Service, util::BoxCloneSyncService};

use self::refusal::Refusal;
use super::Engine;

/// What takes calls; it is made anew for each connection.
pub type Calls = BoxCloneSyncService<Request, Response, Infallible>;

/// The version of the API that is spoken.
const VERSION: HeaderValue = HeaderValue::from_static("1.48");

/// The engine's calls, with or without a version in front of the path.
pub fn service(engine: Arc<Engine>) -> IntoMakeService<Calls> {
    let mut routes = router(engine);
    let unversioned = tower::service_fn(move |mut request: Request| {
        *request.uri_mut() = without_version(request.uri());
        routes.call(request)
    });
    ServiceExt::<Request>::into_make_service(BoxCloneSyncService::new(unversioned))
}

fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/_ping", get(async || "OK"))
        .route("/commit", post(images::commit))
        .route("/images/json", get(images::list))
        .route("/images/{id}", delete(images::remove))
        .route("/networks", get(networks::list))
        .route("/networks/create", post(networks::create))
        .route("/networks/{id}", delete(networks::remove))
        .route("/containers/json", get(containers::list))
        .route("/containers/create", post(containers::create))
        .route("/containers/{id}", delete(containers::remove))
        .route("/containers/{id}/json", get(containers::inspect))
        .route("/containers/{id}/archive", put(containers::archive))
        .route("/containers/{id}/start", post(containers::start))
        .route("/containers/{id}/stop", post(containers::stop))
        .route("/containers/{id}/kill", post(containers::kill))
        .route("/containers/{id}/pause", post(containers::pause))
        .route("/containers/{id}/unpause", post(containers::unpause))
        .route("/containers/{id}/logs", get(containers::logs))
        .route("/containers/{id}/stats", get(containers::stats))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::disable())
        .layer(map_response(introduced))
        .with_state(engine)
}

async fn unknown(method: Method, uri: Uri) -> Refusal {
    eprintln!("engine: {method} {uri} is not built");
    Refusal::NotBuilt(format!("{method} {}", uri.path()))
}

/// Every answer says who gives it: the client goes by it for the version.
async fn introduced(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert("api-version", VERSION);
    headers.insert("ostype", HeaderValue::from_static("linux"));
    response
}

/// `/v1.48/path` is `/path`.
fn without_version(uri: &Uri) -> Uri {
    let whole = uri.path_and_query().map_or("/", |path| path.as_str());
    let is_version = |word: &str| {
        word.strip_prefix("v1.")
            .is_some_and(|minor| minor.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match whole[1..].split_once('/') {
        Some((first, rest)) if is_version(first) => {
            format!("/{rest}").parse().unwrap_or_else(|_| uri.clone())
        }
        _ => uri.clone(),
    }
}

#[cfg(test)]
mod tests;
