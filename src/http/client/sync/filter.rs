//! The filter of a sync: one that stands in the query, or a stored one. It may hold more than we apply.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use ruma::{OwnedUserId, UserId};
use serde_json::Value;
use tombolo_platform::World;

use crate::{
    error::{Result, bad_json},
    flows::sync::SyncFilter,
    http::{auth::user_object, client::filters::check_fields},
    objects::user_sync::messages::Filter,
};

/// The most bytes of filters that an isolate remembers, as they were stored; beyond, all are asked for again.
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
pub fn given(text: &str) -> Result<SyncFilter> {
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
