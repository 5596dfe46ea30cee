//! What do other servers ask about our users and aliases?
//! ([querying](https://spec.matrix.org/v1.19/server-server-api/#querying-for-information))

use ruma::{
    api::federation::query::{
        get_profile_information::v1 as get_profile, get_room_information::v1 as get_room,
    },
    profile::ProfileFieldName,
};
use serde_json::Value;
use tombolo_platform::World;

use super::signed::Signed;
use crate::{
    config::Config,
    error::{Result, invalid_param, not_found},
    flows::appservices::queries,
    http::router::Router,
    objects::{room::messages::Participants, room_object},
    stores::{accounts, aliases, profiles},
};

pub fn routes(router: &mut Router) {
    router.endpoint::<get_profile::Request, _, _>(profile);
    router.endpoint::<get_room::Request, _, _>(directory);
}

async fn profile(
    world: World,
    _: Signed,
    request: get_profile::Request,
) -> Result<get_profile::Response> {
    let user = request.user_id;
    if user.server_name() != Config::of(&world)?.server_name {
        return Err(invalid_param("The user is not of this server"));
    }
    if accounts::find(&world, user.localpart()).await?.is_none() {
        return Err(not_found("There is no such user"));
    }
    let profile = profiles::find(&world, user.localpart()).await?.unwrap_or_default();
    let field = request.field;
    let name = field.as_ref().map(|field| field.as_str());
    let further = profiles::fields(&world, user.localpart(), name).await?;
    let known = [
        (ProfileFieldName::DisplayName, profile.displayname.map(Value::from)),
        (ProfileFieldName::AvatarUrl, profile.avatar_url.map(Value::from)),
    ];
    let further = further.into_iter().map(|(name, value)| (name.into(), Some(value)));
    let wanted = known
        .into_iter()
        .chain(further)
        .filter(|(name, _)| field.as_ref().is_none_or(|field| field == name));
    let answer: get_profile::Response =
        wanted.filter_map(|(name, value)| Some((name, value?))).collect();
    if field.is_some() && answer.iter().next().is_none() {
        return Err(not_found("The profile has no such field"));
    }
    Ok(answer)
}

async fn directory(
    world: World,
    _: Signed,
    request: get_room::Request,
) -> Result<get_room::Response> {
    let alias = &request.room_alias;
    if alias.server_name() != Config::of(&world)?.server_name {
        return Err(invalid_param("The alias is not of this server"));
    }
    let mut found = aliases::find(&world, alias).await?;
    if found.is_none() && queries::ask_for_alias(&world, alias).await? {
        found = aliases::find(&world, alias).await?;
    }
    let found = found.ok_or_else(|| not_found("There is no such alias"))?;
    let participants = world.ask(&room_object(&found.room_id), &Participants {}).await?;
    Ok(get_room::Response::new(found.room_id, participants.servers))
}
