//! The filters that clients store, and the filter that a sync names or carries. A filter may hold more than we apply.
//! ([filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering))

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    OwnedUserId, UserId,
    api::client::filter::{
        FilterDefinition, create_filter::v3 as create_filter, get_filter::v3 as get_filter,
    },
};
use serde_json::{Value, json, value::to_raw_value};
use tombolo_platform::World;

use crate::{
    error::{Result, bad_json, invalid_param},
    flows::sync::SyncFilter,
    http::{
        auth::{self, user_object},
        client::{filter, must_be},
        endpoint::{json_body, json_response, paths_of},
        router::Router,
    },
    objects::user_sync::messages::{Cost, Filter, SetFilter},
};

/// The most fields of events that a filter may name.
const MAX_FIELDS: usize = 200;

pub fn routes(router: &mut Router) {
    for path in paths_of::<create_filter::Request>() {
        router.page(&Method::POST, path, create);
    }
    for path in paths_of::<get_filter::Request>() {
        router.page(&Method::GET, path, find);
    }
}

/// Ruma's type would lose what it does not know, such as filters by relations.
async fn create(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    must_be(&caller, &user)?;
    let filter: Value = json_body(&request)?;
    let filter = to_raw_value(&filter)?;
    given(filter.get())?;
    let filter_id = world.ask(&user_object(&caller.user), &SetFilter { filter }).await?;
    json_response(StatusCode::OK, &json!({ "filter_id": filter_id }))
}

async fn find(
    world: World,
    request: Request<Bytes>,
    (user, filter_id): (OwnedUserId, String),
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    must_be(&caller, &user)?;
    let filter = world.ask(&user_object(&caller.user), &Filter { filter_id }).await?;
    json_response(StatusCode::OK, &filter)
}

/// The most bytes of stored filters that an isolate remembers; beyond that, all are forgotten and asked for again.
const MAX_REMEMBERED: usize = 4 << 20;

/// Stored filters, by user and ID. They never change.
#[derive(Default)]
struct Remembered {
    filters: BTreeMap<(OwnedUserId, String), Rc<SyncFilter>>,
    bytes: usize,
}

/// A stored filter of a user.
pub async fn stored(world: &World, user: &UserId, id: &str) -> Result<Rc<SyncFilter>> {
    let remembered = world.isolate(|_| RefCell::<Remembered>::default());
    let key = (user.to_owned(), id.to_owned());
    if let Some(filter) = remembered.borrow().filters.get(&key) {
        return Ok(Rc::clone(filter));
    }
    let text = world.ask(&user_object(user), &Filter { filter_id: id.to_owned() }).await?;
    let filter = Rc::new(read(text.get())?.1);
    let mut remembered = remembered.borrow_mut();
    let bytes = text.get().len() + user.as_str().len() + id.len();
    if remembered.bytes + bytes > MAX_REMEMBERED {
        *remembered = Remembered::default();
    }
    remembered.bytes += bytes;
    remembered.filters.insert(key, Rc::clone(&filter));
    Ok(filter)
}

/// A filter that the query carries.
pub fn given(text: &str) -> Result<SyncFilter> {
    let (fields, filter) = read(text)?;
    if fields > MAX_FIELDS {
        return Err(invalid_param("event_fields names too many fields"));
    }
    Ok(filter)
}

/// A filter, and how many fields of events it names. A stored filter applies as it is, however many these are.
fn read(text: &str) -> Result<(usize, SyncFilter)> {
    let bad = |error: serde_json::Error| bad_json(error.to_string());
    let definition: FilterDefinition = serde_json::from_str(text).map_err(bad)?;
    let fields = definition.event_fields.as_ref().map_or(0, Vec::len);
    Ok((fields, filter::of_sync(text, definition).map_err(bad)?))
}
