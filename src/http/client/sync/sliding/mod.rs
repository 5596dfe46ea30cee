//! How is a sliding sync asked for, and how is it answered?
//! ([MSC4186](https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md))
//!
//! Clients ask in one of two forms: that of the proposal, and the one in use before it was accepted. Ruma's type knows
//! only the latter, and reads no list without ranges.

mod request;
mod response;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tombolo_platform::World;

use self::request::{Proposed, Unstable};
use crate::{
    error::{Result, bad_json},
    flows::sync::sliding,
    http::{
        auth,
        client::sync::presence,
        endpoint::{is_object, json_body, json_response},
        query,
        router::Router,
    },
};

pub fn routes(router: &mut Router) {
    router.page(&Method::POST, "/_matrix/client/v4/sync", stable);
    let unstable_path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    router.page(&Method::POST, unstable_path, unstable);
}

/// The form of a request and its response.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Stable,
    Unstable,
}

async fn stable(world: World, request: Request<Bytes>, (): ()) -> Result<Response<Bytes>> {
    let claim = auth::claim(&world, &request).await?;
    let mut body: Proposed = object(&request)?;
    let says = body.set_presence.take();
    let presence = presence::polling(&world, says.as_deref(), None)?;
    let asked = sliding::Request { presence, ..body.read()? };
    let updates = sliding::gather(&world, claim, asked).await?;
    json_response(StatusCode::OK, &response::render(updates, Form::Stable, None)?)
}

async fn unstable(world: World, request: Request<Bytes>, (): ()) -> Result<Response<Bytes>> {
    let claim = auth::claim(&world, &request).await?;
    let mut body: Unstable = object(&request)?;
    let (parameters, txn_id) =
        (query::pairs(request.uri().query().unwrap_or_default()), body.txn_id.take());
    let presence = presence::polling(&world, query::first(&parameters, "set_presence"), None)?;
    let asked = sliding::Request { presence, ..body.read(&claim.user, &parameters)? };
    let updates = sliding::gather(&world, claim, asked).await?;
    json_response(StatusCode::OK, &response::render(updates, Form::Unstable, txn_id)?)
}

/// The body. Serde reads a struct from a list, too.
fn object<T: DeserializeOwned>(request: &Request<Bytes>) -> Result<T> {
    let body: Box<RawValue> = json_body(request)?;
    if is_object(&body) { json_body(request) } else { Err(bad_json("The body is no object")) }
}
