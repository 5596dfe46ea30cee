//! Which filters has a client stored?
//! ([filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering))

use ruma::api::client::filter::{create_filter::v3 as create_filter, get_filter::v3 as get_filter};
use serde_json::value::to_raw_value;
use tombolo_platform::World;

use super::must_be;
use crate::{
    error::{Result, internal, invalid_param},
    http::{
        auth::{Session, user_object},
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
    check_fields(request.filter.event_fields.as_ref().map_or(0, Vec::len))?;
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

/// Refuses a new filter that names too many fields of events. What was stored before applies as it stands.
pub fn check_fields(count: usize) -> Result<()> {
    if count <= MAX_FIELDS {
        return Ok(());
    }
    Err(invalid_param("event_fields names too many fields"))
}
