//! How do clients read and set display names, avatars and what else stands in profiles?
//! ([profiles](https://spec.matrix.org/v1.19/client-server-api/#profiles))

use futures_util::{StreamExt, stream};
use http::StatusCode;
use ruma::{
    OwnedRoomId, UserId,
    api::client::profile::{
        ProfileFieldName, ProfileFieldValue, delete_profile_field::v3 as delete_profile_field,
        get_profile::v3 as get_profile, get_profile_field::v3 as get_profile_field,
        set_profile_field::v3 as set_profile_field,
    },
};
use serde_json::{Map, Value, json, value::to_raw_value};
use tombolo_platform::World;
use tombolo_protocol::{json::plain_object, membership::Membership};

use crate::{
    config::Config,
    error::{Error, Result, bad_gateway, bad_json, invalid_param, not_found},
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
    stores::{
        accounts,
        profiles::{self, Profile},
    },
};

/// The longest display name and the longest address of an avatar, in bytes.
const MAX_BYTES: usize = 1024;
/// The longest name of a field, in bytes.
const MAX_NAME: usize = 255;
/// In how many rooms a new profile is announced at once.
const AT_ONCE: usize = 8;

pub fn routes(router: &mut Router) {
    router.endpoint::<get_profile::Request, _, _>(whole);
    router.endpoint::<get_profile_field::Request, _, _>(field);
    router.costly::<set_profile_field::Request, _, _>(Cost::Event, set);
    router.costly::<delete_profile_field::Request, _, _>(Cost::Event, remove);
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
        let mut profile = profiles::fields(world, user.localpart()).await?;
        profile.append(&mut flows::membership::join::member_content(world, user).await?);
        return Ok(profile);
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
    match request.value {
        ProfileFieldValue::DisplayName(name) => {
            let displayname = checked(name)?;
            change(&world, &caller, |held| Profile { displayname, ..held }).await?;
        }
        ProfileFieldValue::AvatarUrl(address) => {
            let avatar_url = checked(address.to_string())?;
            change(&world, &caller, |held| Profile { avatar_url, ..held }).await?;
        }
        field => save_field(&world, &caller, &field).await?,
    }
    Ok(set_profile_field::Response::new())
}

async fn remove(
    world: World,
    caller: Session,
    request: delete_profile_field::Request,
) -> Result<delete_profile_field::Response> {
    must_be(&caller, &request.user_id)?;
    match &request.field {
        ProfileFieldName::DisplayName => {
            change(&world, &caller, |held| Profile { displayname: None, ..held }).await?;
        }
        ProfileFieldName::AvatarUrl => {
            change(&world, &caller, |held| Profile { avatar_url: None, ..held }).await?;
        }
        field => profiles::remove_field(&world, caller.user.localpart(), field.as_str()).await?,
    }
    Ok(delete_profile_field::Response::new())
}

/// Changes the display name or the avatar, and announces that.
async fn change(
    world: &World,
    caller: &Session,
    change: impl FnOnce(Profile) -> Profile,
) -> Result<()> {
    let localpart = caller.user.localpart();
    let held = profiles::find(world, localpart).await?.unwrap_or_default();
    let profile = change(held.clone());
    if profile != held {
        profiles::save(world, localpart, &profile).await?;
        announce(world, caller).await?;
    }
    Ok(())
}

/// Sets a field that is neither the display name nor the avatar. Nobody is told: whoever wants to know asks.
async fn save_field(world: &World, caller: &Session, field: &ProfileFieldValue) -> Result<()> {
    let (name, value) = (field.field_name(), field.value());
    let too_large = |errcode, message: &str| Error::new(StatusCode::BAD_REQUEST, errcode, message);
    if name.as_str().len() > MAX_NAME {
        return Err(too_large("M_KEY_TOO_LARGE", "The name of the field is too long"));
    }
    if !is_name(name.as_str()) {
        return Err(invalid_param("The name of the field has no form"));
    }
    if plain_object(&json!({ "value": value }).to_string()).is_none() {
        return Err(bad_json("The value is nested too deep"));
    }
    let field = (name.as_str(), &*value);
    if !profiles::save_field(world, caller.user.localpart(), field).await? {
        return Err(too_large("M_PROFILE_TOO_LARGE", "The profile is too large"));
    }
    Ok(())
}

/// Whether this is a [common namespaced identifier](https://spec.matrix.org/v1.19/appendices/#common-namespaced-identifier-grammar).
fn is_name(name: &str) -> bool {
    let is_within =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(is_within)
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
