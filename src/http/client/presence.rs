//! How is a user's presence set and read?
//! ([presence](https://spec.matrix.org/v1.19/client-server-api/#presence))
//!
//! Where presence is off, what is set has no effect and everybody is offline, as at Synapse.

use std::time::Duration;

use ruma::{
    UserId,
    api::client::presence::{get_presence::v3 as get_presence, set_presence::v3 as set_presence},
    presence,
};
use tombolo_platform::World;

use crate::{
    config::Config,
    error::{Result, forbidden, invalid_param},
    flows,
    http::{
        auth::{Session, user_object},
        client::must_be,
        router::Router,
    },
    objects::user_sync::messages::{MOST_STATUS, PresenceState, SetPresence},
    stores::room_members,
};

pub fn routes(router: &mut Router) {
    router.endpoint(find);
    router.endpoint(set);
}

async fn set(
    world: World,
    caller: Session,
    request: set_presence::Request,
) -> Result<set_presence::Response> {
    let set_presence::Request { user_id, presence, status_msg, .. } = request;
    must_be(&caller, &user_id)?;
    let state = PresenceState::of(presence.as_str());
    let state = state.ok_or_else(|| invalid_param("This is no presence"))?;
    if status_msg.as_ref().is_some_and(|text| text.len() > MOST_STATUS) {
        return Err(invalid_param(format!("status_msg has more than {MOST_STATUS} bytes")));
    }
    if Config::of(&world)?.presence {
        let set = SetPresence { device_id: caller.device.to_string(), state, status_msg };
        if let Some(tell) = world.ask(&user_object(&caller.user), &set).await? {
            flows::presence::tell_now(&world, tell).await;
        }
    }
    Ok(set_presence::Response::new())
}

async fn find(
    world: World,
    caller: Session,
    request: get_presence::Request,
) -> Result<get_presence::Response> {
    let user = request.user_id;
    if !Config::of(&world)?.presence {
        return Ok(get_presence::Response::new(presence::PresenceState::Offline));
    }
    if !may_see(&world, &caller.user, &user).await? {
        return Err(forbidden("You are not allowed to see their presence"));
    }
    let held = flows::presence::of(&world, &user).await?;
    let mut response = get_presence::Response::new(held.state.as_str().into());
    let ago = held.active_ts.map(|active_ts| world.now().saturating_sub(active_ts));
    response.last_active_ago = ago.map(Duration::from_millis);
    response.status_msg = held.status_msg;
    let is_online = held.state == PresenceState::Online;
    response.currently_active = is_online.then_some(held.currently_active);
    Ok(response)
}

/// Users see themselves, and those to whom they are joined in a room: an invite alone shows nothing.
async fn may_see(world: &World, caller: &UserId, user: &UserId) -> Result<bool> {
    if caller == user {
        return Ok(true);
    }
    Ok(!room_members::mutual(world, (caller, user), "", 1).await?.is_empty())
}
