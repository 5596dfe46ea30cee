//! What do other servers ask about our users and aliases?
//! ([querying](https://spec.matrix.org/v1.19/server-server-api/#querying-for-information))

use http::Method;
use ruma::{OwnedRoomAliasId, OwnedUserId};
use serde_json::{Map, Value, json};
use tombolo_platform::World;

use super::signed::Signed;
use crate::{
    config::Config,
    error::{Result, invalid_param, not_found},
    flows::room,
    http::router::Router,
    objects::room::messages::Participants,
    stores::{accounts, aliases, profiles},
};

pub fn routes(router: &mut Router) {
    router.federation(&Method::GET, "/_matrix/federation/v1/query/profile", profile);
    router.federation(&Method::GET, "/_matrix/federation/v1/query/directory", directory);
}

async fn profile(world: World, signed: Signed, _: ()) -> Result<Value> {
    let user: OwnedUserId = signed.parameter("user_id")?;
    if user.server_name() != Config::of(&world)?.server_name {
        return Err(invalid_param("The user is not of this server"));
    }
    if accounts::find(&world, user.localpart()).await?.is_none() {
        return Err(not_found("There is no such user"));
    }
    let profile = profiles::find(&world, user.localpart()).await?.unwrap_or_default();
    let field = signed.all("field").first().copied();
    let fields = [("displayname", profile.displayname), ("avatar_url", profile.avatar_url)];
    let wanted = fields.into_iter().filter(|(name, _)| field.is_none_or(|field| field == *name));
    let answer: Map<String, Value> =
        wanted.filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect();
    if field.is_some() && answer.is_empty() {
        return Err(not_found("The profile has no such field"));
    }
    Ok(Value::Object(answer))
}

async fn directory(world: World, signed: Signed, _: ()) -> Result<Value> {
    let alias: OwnedRoomAliasId = signed.parameter("room_alias")?;
    let found =
        aliases::find(&world, &alias).await?.ok_or_else(|| not_found("There is no such alias"))?;
    let participants = world.ask(&room(&found.room_id), &Participants {}).await?;
    Ok(json!({ "room_id": found.room_id, "servers": participants.servers }))
}
