//! How does a client refresh a session that expires?
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#refreshing-access-tokens))

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::api::client::session::refresh_token::v3 as refresh_token;
use tombolo_platform::World;

use crate::{
    config::Config,
    error::{Result, unknown_token},
    http::{
        auth::{self, user_object},
        rate_limit::Stranger,
        router::Router,
    },
    objects::user_sync::messages::{Refresh, Refreshable},
};

/// How long a session lasts that can be refreshed.
pub const LIFETIME: Duration = Duration::from_secs(300);

pub fn routes(router: &mut Router) {
    router.endpoint::<refresh_token::Request, _, _>(refresh);
}

async fn refresh(
    world: World,
    _: Stranger,
    request: refresh_token::Request,
) -> Result<refresh_token::Response> {
    let config = Config::of(&world)?;
    let claim = auth::refresh_claim(&config, &request.refresh_token);
    let (user, refresh) = claim.ok_or_else(unknown_token)?;
    let (session, next) = (new_name(&world), refreshable(&world));
    let mut answer = refresh_token::Response::new(auth::issue(&config, &user, &session)?);
    answer.refresh_token = Some(auth::issue_refresh(&config, &user, &next.refresh)?);
    answer.expires_in_ms = Some(LIFETIME);
    world.ask(&user_object(&user), &Refresh { refresh, session, next }).await?;
    Ok(answer)
}

/// A session that begins now.
pub fn refreshable(world: &World) -> Refreshable {
    Refreshable { refresh: new_name(world), expires_at: end_of(world, LIFETIME) }
}

/// When a lifetime that begins now is over (ms).
pub fn end_of(world: &World, lifetime: Duration) -> u64 {
    let lasts = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
    world.now().saturating_add(lasts)
}

/// A random name of a session, or of a refresh token.
pub fn new_name(world: &World) -> String {
    URL_SAFE_NO_PAD.encode(world.random())
}
