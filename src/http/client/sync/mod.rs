//! What does `GET /_matrix/client/v3/sync` ask for, and how is it answered?
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync))
//!
//! Read without ruma's type: one question to the user's object both checks the session and asks for the news, and an
//! empty `since` or `filter` counts as absent.

mod filters;
mod presence;
mod response;
mod sliding;

use std::rc::Rc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use tombolo_platform::World;

use self::response::State;
use crate::{
    error::{Result, invalid_param},
    flows::sync,
    http::{auth, client::tokens, endpoint::json_response, query, router::Router},
};

pub fn routes(router: &mut Router) {
    filters::routes(router);
    sliding::routes(router);
    for version in ["r0", "v3"] {
        router.page(&Method::GET, &format!("/_matrix/client/{version}/sync"), answer);
    }
}

async fn answer(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let claim = auth::claim(&world, &request).await?;
    let parameters = query::pairs(request.uri().query().unwrap_or_default());
    let parameter = |name: &str| {
        parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    };
    let filter = match parameter("filter") {
        None | Some("") => Rc::default(),
        Some(text) if text.starts_with('{') => Rc::new(filters::given(text)?),
        Some(id) => filters::stored(&world, &claim.user, id).await?,
    };
    let since = parameter("since").filter(|since| !since.is_empty()).map(tokens::stream_positions);
    let since = since.transpose()?;
    let [stable, unstable] = ["use_state_after", "org.matrix.msc4222.use_state_after"]
        .map(|name| flag(name, parameter(name)));
    let state = match (stable?, unstable?) {
        (true, _) => State::After,
        (false, true) => State::AfterUnstable,
        (false, false) => State::Before,
    };
    let request = sync::Request {
        since: since.map(|(since, _)| since),
        messages_since: since.map(|(_, messages)| messages),
        timeout: parameter("timeout")
            .map_or(Ok(0), str::parse)
            .map_err(|_| invalid_param("timeout is no number"))?,
        full_state: flag("full_state", parameter("full_state"))?,
        state_after: state != State::Before,
        presence: presence::polling(&world, parameter("set_presence"), parameter("since"))?,
        filter: Rc::clone(&filter),
    };
    let updates = sync::gather(&world, claim, request).await?;
    let now = world.now();
    json_response(
        StatusCode::OK,
        &response::render(updates, now, (state, filter.event_fields.as_ref()))?,
    )
}

fn flag(name: &str, value: Option<&str>) -> Result<bool> {
    match value {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(invalid_param(format!("{name} is neither true nor false"))),
    }
}
