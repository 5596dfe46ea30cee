//! How does a user prove to another service who they are?
//! ([OpenID](https://spec.matrix.org/v1.19/client-server-api/#openid))

use std::time::Duration;

use ruma::{
    api::client::account::request_openid_token::v3 as request_token, authentication::TokenType,
};
use tombolo_platform::World;

use crate::{
    config::Config,
    error::Result,
    http::{
        auth::{self, Session},
        client::must_be,
        router::Router,
    },
    objects::user_sync::messages::Cost,
};

/// How long a token proves it (s).
const VALID: u64 = 3600;

pub fn routes(router: &mut Router) {
    router.costly::<request_token::Request, _, _>(Cost::Event, token);
}

async fn token(
    world: World,
    caller: Session,
    request: request_token::Request,
) -> Result<request_token::Response> {
    must_be(&caller, &request.user_id)?;
    let config = Config::of(&world)?;
    let token = auth::issue_openid(&config, &caller.user, world.now() + VALID * 1000)?;
    let (server_name, valid) = (config.server_name.clone(), Duration::from_secs(VALID));
    Ok(request_token::Response::new(token, TokenType::Bearer, server_name, valid))
}
