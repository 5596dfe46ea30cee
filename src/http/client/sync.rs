//! What does `GET /_matrix/client/v3/sync` ask for, and how is it answered?
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync))
//!
//! Read by hand: the session is checked by the same question that asks for the news, and a filter may hold more than we
//! apply.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use tombolo_platform::World;

use crate::{
    error::{Result, bad_json, invalid_param},
    flows::sync::{self, SyncFilter, Wish},
    http::{
        auth::{self, user_object},
        endpoint::json_response,
        query,
        router::Router,
    },
    objects::user_sync::messages::{Filter, StreamPosition},
};

pub fn routes(router: &mut Router) {
    for version in ["r0", "v3"] {
        router.page(&Method::GET, &format!("/_matrix/client/{version}/sync"), answer);
    }
}

async fn answer(world: World, request: Request<Bytes>, _: Vec<String>) -> Result<Response<Bytes>> {
    let claim = auth::claim(&world, &request)?;
    let parameters = query::pairs(request.uri().query().unwrap_or_default());
    let parameter = |name: &str| {
        parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    };
    let filter = match parameter("filter") {
        None | Some("") => SyncFilter::default(),
        Some(text) if text.starts_with('{') => read(text)?,
        Some(id) => {
            let stored =
                world.ask(&user_object(&claim.user), &Filter { filter_id: id.to_owned() }).await?;
            read(stored.get())?
        }
    };
    let wish = Wish {
        since: parameter("since").filter(|since| !since.is_empty()).map(position).transpose()?,
        timeout: parameter("timeout")
            .map_or(Ok(0), str::parse)
            .map_err(|_| invalid_param("timeout is no number"))?,
        full_state: parameter("full_state") == Some("true"),
        filter,
    };
    json_response(StatusCode::OK, &sync::sync(&world, claim, wish).await?)
}

/// A token of this endpoint: `s<position>`.
pub fn position(token: &str) -> Result<StreamPosition> {
    let number = token.strip_prefix('s').and_then(|number| number.parse().ok());
    number
        .filter(|position| (0..1 << 53).contains(position))
        .ok_or_else(|| invalid_param("This is no sync token"))
}

fn read(text: &str) -> Result<SyncFilter> {
    serde_json::from_str(text).map_err(|error| bad_json(error.to_string()))
}
