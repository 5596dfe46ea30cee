//! How do clients read and set display names and avatars?
//! ([profiles](https://spec.matrix.org/v1.19/client-server-api/#profiles))

use futures_util::{StreamExt, stream};
use http::StatusCode;
use ruma::{
    OwnedRoomId, UserId,
    api::client::profile::{
        ProfileFieldValue, get_profile::v3 as get_profile,
        get_profile_field::v3 as get_profile_field, set_profile_field::v3 as set_profile_field,
    },
};
use serde_json::{Map, Value, json, value::to_raw_value};
use tombolo_platform::World;
use tombolo_protocol::membership::Membership;

use crate::{
    config::Config,
    error::{Error, Result, bad_gateway, forbidden, not_found},
    flows,
    http::{
        auth::{Session, user_object},
        client::{must_be, rooms::events::send_draft},
        rate_limit::Stranger,
        router::Router,
    },
    objects::{
        room::messages::Draft,
        user_sync::messages::{Cost, JoinedRooms},
    },
    remote::{
        api,
        client::{self, Ask},
    },
    stores::{accounts, profiles},
};

/// The longest display name and the longest address of an avatar, in bytes.
const MAX_BYTES: usize = 1024;
/// In how many rooms a new profile is announced at once.
const AT_ONCE: usize = 8;

pub fn routes(router: &mut Router) {
    router.endpoint::<get_profile::Request, _, _>(whole);
    router.endpoint::<get_profile_field::Request, _, _>(field);
    router.costly::<set_profile_field::Request, _, _>(Cost::Event, set);
}

async fn whole(
    world: World,
    stranger: Stranger,
    request: get_profile::Request,
) -> Result<get_profile::Response> {
    stranger.count_errand(&world, request.user_id.server_name())?;
    Ok(profile(&world, &request.user_id, None).await?.into_iter().collect())
}

async fn field(
    world: World,
    stranger: Stranger,
    request: get_profile_field::Request,
) -> Result<get_profile_field::Response> {
    stranger.count_errand(&world, request.user_id.server_name())?;
    let name = request.field.as_str().to_owned();
    let mut profile = profile(&world, &request.user_id, Some(&name)).await?;
    let value = profile.remove(&name).filter(|value| !value.is_null());
    let value = value.ok_or_else(|| not_found("There is no such field"))?;
    let value = ProfileFieldValue::new(&name, value)
        .map_err(|_| bad_gateway("The profile makes no sense"))?;
    Ok(get_profile_field::Response::new(value))
}

/// A user's profile, from this server or from theirs; of a remote user at least the field that is asked for.
async fn profile(world: &World, user: &UserId, field: Option<&str>) -> Result<Map<String, Value>> {
    if user.server_name() == Config::of(world)?.server_name {
        if accounts::find(world, user.localpart()).await?.is_none() {
            return Err(not_found("There is no such user"));
        }
        return Ok(flows::membership::join::member_content(world, user).await?);
    }
    let path = api::profile(user, field);
    Ok(client::ask(world, user.server_name(), Ask::get(&path)).await?)
}

async fn set(
    world: World,
    caller: Session,
    request: set_profile_field::Request,
) -> Result<set_profile_field::Response> {
    must_be(&caller, &request.user_id)?;
    let localpart = caller.user.localpart();
    let held = profiles::find(&world, localpart).await?.unwrap_or_default();
    let mut profile = held.clone();
    match request.value {
        ProfileFieldValue::DisplayName(name) => profile.displayname = checked(name)?,
        ProfileFieldValue::AvatarUrl(address) => profile.avatar_url = checked(address.to_string())?,
        _ => return Err(forbidden("Only the display name and the avatar can be set")),
    }
    if profile != held {
        profiles::save(&world, localpart, &profile).await?;
        announce(&world, &caller).await?;
    }
    Ok(set_profile_field::Response::new())
}

/// A value of bounded length; an empty one unsets the field.
fn checked(value: String) -> Result<Option<String>> {
    if value.len() > MAX_BYTES {
        return Err(Error::new(StatusCode::BAD_REQUEST, "M_TOO_LARGE", "The value is too long"));
    }
    Ok(Some(value).filter(|value| !value.is_empty()))
}

/// Sends the new profile as a member event to every room the user is in.
async fn announce(world: &World, caller: &Session) -> Result<()> {
    let rooms = world.ask(&user_object(&caller.user), &JoinedRooms {}).await?;
    let mut content = flows::membership::join::member_content(world, &caller.user).await?;
    content.insert("membership".to_owned(), json!(Membership::Join));
    let content = &to_raw_value(&content)?;
    let announced =
        stream::iter(rooms).for_each_concurrent(AT_ONCE, |room_id: OwnedRoomId| async move {
            let draft = Draft::membership(&caller.user, content.clone());
            // The profile is set; a room that refuses the event shows the old one.
            if let Err(error) = send_draft(world, caller, &room_id, draft, None).await {
                tracing::info!(%room_id, error = error.message, "a profile was not announced");
            }
        });
    announced.await;
    Ok(())
}
