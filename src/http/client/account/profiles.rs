//! How do clients read and set display names, avatars and what else stands in profiles?
//! ([profiles](https://spec.matrix.org/v1.19/client-server-api/#profiles))

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use ruma::{
    OwnedRoomId, OwnedUserId, UserId,
    api::client::profile::{
        ProfileFieldValue, delete_profile_field::v3 as delete_profile_field,
        get_profile::v3 as get_profile, get_profile_field::v3 as get_profile_field,
        set_profile_field::v3 as set_profile_field,
    },
};
use serde_json::{Map, Value, json, value::to_raw_value};
use tombolo_platform::{AskError, World};
use tombolo_protocol::{json::plain_object, membership::Membership};

use crate::{
    config::Config,
    error::{Error, Result, bad_json, invalid_param, missing_param, not_found},
    flows,
    http::{
        auth::{self, user_object},
        client::{must_be, rooms::events::send},
        endpoint::{json_body, json_response, paths_of},
        rate_limit::Stranger,
        router::Router,
    },
    objects::{
        room::messages::{Draft, Send},
        user_sync::messages::{Cost, JoinedRooms, Refusal},
    },
    remote::{
        api,
        client::{self, Ask},
    },
    stores::{accounts, profiles},
};

/// The longest display name and the longest address of an avatar, in bytes.
const MAX_BYTES: usize = 1024;
/// The longest name of a field, in bytes.
const MAX_NAME: usize = 255;
/// In how many rooms a new profile is announced at once.
const AT_ONCE: usize = 8;

/// The fields that a user who has not set them has, too, but empty.
const UNSET: [&str; 2] = ["displayname", "avatar_url"];

pub fn routes(router: &mut Router) {
    router.endpoint::<get_profile::Request, _, _>(whole);
    for path in paths_of::<get_profile_field::Request>() {
        router.page(&Method::GET, path, field);
    }
    for path in paths_of::<set_profile_field::Request>() {
        router.page(&Method::PUT, path, set);
    }
    for path in paths_of::<delete_profile_field::Request>() {
        router.page(&Method::DELETE, path, remove);
    }
}

async fn whole(
    world: World,
    stranger: Stranger,
    request: get_profile::Request,
) -> Result<get_profile::Response> {
    stranger.count_errand(&world, request.user_id.server_name())?;
    Ok(profile(&world, &request.user_id, None).await?.into_iter().collect())
}

/// Not written by ruma's type: another server's value may be of any form.
async fn field(
    world: World,
    request: Request<Bytes>,
    (user, name): (OwnedUserId, String),
) -> Result<Response<Bytes>> {
    Stranger::of(&world, &request)?.count_errand(&world, user.server_name())?;
    match profile(&world, &user, Some(&name)).await?.remove(&name) {
        Some(value) => json_response(StatusCode::OK, &json!({ name: value })),
        // As Synapse has it: bridges that are told of no name do not set one.
        None if UNSET.contains(&name.as_str()) => json_response(StatusCode::OK, &json!({})),
        None => Err(not_found("There is no such field")),
    }
}

/// A user's profile, from this server or from theirs; of one field at least that. Other servers say null of what is not
/// set.
async fn profile(world: &World, user: &UserId, field: Option<&str>) -> Result<Map<String, Value>> {
    if user.server_name() == Config::of(world)?.server_name {
        if accounts::find(world, user.localpart()).await?.is_none() {
            return Err(not_found("There is no such user"));
        }
        let mut profile = profiles::fields(world, user.localpart(), field).await?;
        profile.append(&mut flows::membership::join::member_content(world, user).await?);
        return Ok(profile);
    }
    let path = api::profile(user, field);
    let mut profile: Map<String, Value> =
        client::ask(world, user.server_name(), Ask::get(&path)).await?;
    profile.retain(|_, value| !value.is_null());
    Ok(profile)
}

async fn set(
    world: World,
    request: Request<Bytes>,
    (user, name): (OwnedUserId, String),
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Event).await?;
    must_be(&caller, &user)?;
    let mut given: Map<String, Value> = json_body(&request)?;
    let value = given.remove(&name).ok_or_else(|| missing_param("The field is not given"))?;
    set_field(&world, &caller.user, (&name, Some(value))).await?;
    json_response(StatusCode::OK, &json!({}))
}

async fn remove(
    world: World,
    request: Request<Bytes>,
    (user, name): (OwnedUserId, String),
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Event).await?;
    must_be(&caller, &user)?;
    set_field(&world, &caller.user, (&name, None)).await?;
    json_response(StatusCode::OK, &json!({}))
}

/// Sets a field, or removes it. A new display name or avatar is announced; of other fields nobody is told: whoever wants
/// to know asks.
pub async fn set_field(
    world: &World,
    user: &UserId,
    (name, value): (&str, Option<Value>),
) -> Result<()> {
    check_name(name)?;
    let localpart = user.localpart();
    let value = value.map(|value| ProfileFieldValue::new(name, value)).transpose();
    let value = value.map_err(|error| bad_json(error.to_string()))?;
    let is_news = match (name, value) {
        ("displayname", value) => {
            let displayname = checked(value.as_ref())?;
            profiles::set_displayname(world, localpart, displayname.as_deref()).await?
        }
        ("avatar_url", value) => {
            let avatar_url = checked(value.as_ref())?;
            profiles::set_avatar_url(world, localpart, avatar_url.as_deref()).await?
        }
        (_, Some(value)) => {
            save_further(world, localpart, (name, &value.value())).await?;
            false
        }
        (_, None) => {
            profiles::remove_field(world, localpart, name).await?;
            false
        }
    };
    if is_news {
        announce(world, user).await?;
    }
    Ok(())
}

/// A text of bounded length; an empty one unsets the field.
fn checked(value: Option<&ProfileFieldValue>) -> Result<Option<String>> {
    let text = value.and_then(|value| value.value().as_str().map(str::to_owned));
    must_fit(text.as_deref().unwrap_or_default())?;
    Ok(text.filter(|text| !text.is_empty()))
}

/// Refuses a display name, or an address of an avatar, that is too long.
pub fn must_fit(text: &str) -> Result<()> {
    if text.len() > MAX_BYTES {
        return Err(Error::new(StatusCode::BAD_REQUEST, "M_TOO_LARGE", "The value is too long"));
    }
    Ok(())
}

/// Sets a field that is neither the display name nor the avatar.
async fn save_further(world: &World, localpart: &str, (name, value): (&str, &Value)) -> Result<()> {
    if value.is_null() || plain_object(&json!({ "value": value }).to_string()).is_none() {
        return Err(bad_json("The value is null, or nested too deep"));
    }
    if !profiles::save_field(world, localpart, (name, value)).await? {
        let message = "The profile is too large";
        return Err(Error::new(StatusCode::BAD_REQUEST, "M_PROFILE_TOO_LARGE", message));
    }
    Ok(())
}

/// Refuses what is no name of a field.
fn check_name(name: &str) -> Result<()> {
    if name.len() > MAX_NAME {
        let message = "The name of the field is too long";
        return Err(Error::new(StatusCode::BAD_REQUEST, "M_KEY_TOO_LARGE", message));
    }
    if is_name(name) { Ok(()) } else { Err(invalid_param("The name of the field has no form")) }
}

/// Whether this is a [common namespaced identifier](https://spec.matrix.org/v1.19/appendices/#common-namespaced-identifier-grammar).
fn is_name(name: &str) -> bool {
    let is_within =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(is_within)
}

/// Sends the new profile as a member event to every room the user is in.
async fn announce(world: &World, user: &UserId) -> Result<()> {
    let rooms = match world.ask(&user_object(user), &JoinedRooms {}).await {
        // Nobody ever logged in.
        Err(AskError::Refused(Refusal::NoSession)) => return Ok(()),
        rooms => rooms?,
    };
    let mut content = flows::membership::join::member_content(world, user).await?;
    content.insert("membership".to_owned(), json!(Membership::Join));
    let content = &to_raw_value(&content)?;
    let announced =
        stream::iter(rooms).for_each_concurrent(AT_ONCE, |room_id: OwnedRoomId| async move {
            let message = Send::of(user.to_owned(), Draft::membership(user, content.clone()));
            // The profile is set; a room that refuses the event shows the old one.
            if let Err(error) = send(world, &room_id, message).await {
                tracing::info!(%room_id, error = error.message, "a profile was not announced");
            }
        });
    announced.await;
    Ok(())
}
