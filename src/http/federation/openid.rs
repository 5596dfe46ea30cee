//! Who has proved to another service who they are?
//! ([OpenID](https://spec.matrix.org/v1.19/server-server-api/#openid))
//!
//! Any service asks this, not only homeservers, so no request is signed.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::api::federation::openid::get_openid_userinfo::v1 as userinfo;
use serde_json::json;
use tombolo_platform::World;

use crate::{
    config::Config,
    error::{Result, missing_token, unknown_token},
    http::{
        auth,
        endpoint::{json_response, paths_of},
        query,
        router::Router,
    },
    stores::accounts,
};

pub fn routes(router: &mut Router) {
    for path in paths_of::<userinfo::Request>() {
        router.page(&Method::GET, path, user);
    }
}

async fn user(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let parameters = query::pairs(request.uri().query().unwrap_or_default());
    let token = parameters.into_iter().find(|(name, _)| name == "access_token");
    let (_, token) = token.ok_or_else(missing_token)?;
    let config = Config::of(&world)?;
    let user = auth::openid_claim(&config, &token, world.now()).ok_or_else(unknown_token)?;
    let account = accounts::find(&world, user.localpart()).await?;
    if account.is_none_or(|account| account.deactivated) {
        return Err(unknown_token());
    }
    json_response(StatusCode::OK, &json!({ "sub": user }))
}
