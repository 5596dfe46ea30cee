//! What does `GET /_matrix/client/v3/sync` ask for, and how is it answered?
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync))
//!
//! Read by hand: the session is checked by the same question that asks for the news, and a filter may hold more than we
//! apply.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{OwnedUserId, UserId};
use serde_json::Value;
use tombolo_platform::World;

use super::filters::check_fields;
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
        None | Some("") => Rc::default(),
        Some(text) if text.starts_with('{') => Rc::new(given(text)?),
        Some(id) => stored(&world, &claim.user, id).await?,
    };
    let wish = Wish {
        since: parameter("since").filter(|since| !since.is_empty()).map(position).transpose()?,
        timeout: parameter("timeout")
            .map_or(Ok(0), str::parse)
            .map_err(|_| invalid_param("timeout is no number"))?,
        full_state: match parameter("full_state") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(invalid_param("full_state is neither true nor false")),
        },
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

/// The most bytes of filters that an isolate remembers, as they were stored; beyond, all are asked for again.
const MAX_REMEMBERED: usize = 4 << 20;

/// Stored filters, by user and ID. They never change.
#[derive(Default)]
struct Remembered {
    filters: BTreeMap<(OwnedUserId, String), Rc<SyncFilter>>,
    bytes: usize,
}

/// A stored filter of a user.
async fn stored(world: &World, user: &UserId, id: &str) -> Result<Rc<SyncFilter>> {
    let remembered = world.isolate(|_| RefCell::<Remembered>::default());
    let key = (user.to_owned(), id.to_owned());
    if let Some(filter) = remembered.borrow().filters.get(&key) {
        return Ok(Rc::clone(filter));
    }
    let text = world.ask(&user_object(user), &Filter { filter_id: id.to_owned() }).await?;
    let filter = Rc::new(read(parse(text.get())?)?);
    let mut remembered = remembered.borrow_mut();
    let bytes = text.get().len() + user.as_str().len() + id.len();
    if remembered.bytes + bytes > MAX_REMEMBERED {
        *remembered = Remembered::default();
    }
    remembered.bytes += bytes;
    remembered.filters.insert(key, Rc::clone(&filter));
    Ok(filter)
}

/// The objects in a filter: serde reads lists as such, too.
const PARTS: [&str; 6] = [
    "/account_data",
    "/room",
    "/room/timeline",
    "/room/state",
    "/room/ephemeral",
    "/room/account_data",
];

/// A filter that stands in the query.
fn given(text: &str) -> Result<SyncFilter> {
    let filter = parse(text)?;
    check_fields(filter["event_fields"].as_array().map_or(0, Vec::len))?;
    read(filter)
}

fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| bad_json(error.to_string()))
}

fn read(filter: Value) -> Result<SyncFilter> {
    if let Some(path) = PARTS.iter().find(|path| filter.pointer(path).is_some_and(Value::is_array))
    {
        return Err(bad_json(format!("{path} of the filter is no object")));
    }
    serde_json::from_value(filter).map_err(|error| bad_json(error.to_string()))
}
