//! The filters that clients store, and the filter that a sync names or carries. A filter may hold more than we apply.
//! ([filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering))

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use ruma::{
    OwnedUserId, UserId,
    api::client::filter::{
        FilterDefinition, create_filter::v3 as create_filter, get_filter::v3 as get_filter,
    },
};
use serde_json::value::to_raw_value;
use tombolo_platform::World;

use crate::{
    error::{Result, bad_json, internal, invalid_param},
    flows::sync::SyncFilter,
    http::{
        auth::{Session, user_object},
        client::must_be,
        router::Router,
    },
    objects::user_sync::messages::{Filter, SetFilter},
};

/// The most fields of events that a filter may name.
const MAX_FIELDS: usize = 200;

pub fn routes(router: &mut Router) {
    router.endpoint::<create_filter::Request, _, _>(create);
    router.endpoint::<get_filter::Request, _, _>(find);
}

async fn create(
    world: World,
    caller: Session,
    request: create_filter::Request,
) -> Result<create_filter::Response> {
    must_be(&caller, &request.user_id)?;
    check_fields(&request.filter)?;
    let filter = to_raw_value(&request.filter)?;
    Ok(create_filter::Response::new(
        world.ask(&user_object(&caller.user), &SetFilter { filter }).await?,
    ))
}

async fn find(
    world: World,
    caller: Session,
    request: get_filter::Request,
) -> Result<get_filter::Response> {
    must_be(&caller, &request.user_id)?;
    let filter =
        world.ask(&user_object(&caller.user), &Filter { filter_id: request.filter_id }).await?;
    Ok(get_filter::Response::new(serde_json::from_str(filter.get()).map_err(internal)?))
}

/// Refuses a new filter that names too many fields of events. A stored filter applies as it is.
fn check_fields(filter: &FilterDefinition) -> Result<()> {
    if filter.event_fields.as_ref().map_or(0, Vec::len) <= MAX_FIELDS {
        return Ok(());
    }
    Err(invalid_param("event_fields names too many fields"))
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
    let filter = Rc::new(read(text.get())?.into());
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
    let filter = read(text)?;
    check_fields(&filter)?;
    Ok(filter.into())
}

fn read(text: &str) -> Result<FilterDefinition> {
    serde_json::from_str(text).map_err(|error| bad_json(error.to_string()))
}
