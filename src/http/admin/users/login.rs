//! How does an operator act as a user?
//!
//! They are logged in on a device of its own, which the user sees among theirs, and may log out.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::json;
use tombolo_platform::World;

use crate::{
    config::Config,
    error::{Error, Result, forbidden, invalid_param},
    http::{
        admin::{admin, local_account},
        auth::{self, user_object},
        client::account::refresh,
        endpoint::{json_body_if_any, json_response},
        router::Router,
    },
    objects::user_sync::messages::{Login, Refreshable},
};

const LOGIN: &str = "/_synapse/admin/v1/users/{user_id}/login";

/// How the device is called.
const NAME: &str = "Operator";

pub fn routes(router: &mut Router) {
    router.page(&Method::POST, LOGIN, login);
}

#[derive(Default, Deserialize)]
struct Wanted {
    /// Until when the token holds (ms); without it, until the device is logged out.
    valid_until_ms: Option<u64>,
}

async fn login(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    let operator = admin(&world, &request).await?.user;
    let Wanted { valid_until_ms } = json_body_if_any(&request)?;
    let account = local_account(&world, &user).await?;
    if operator == user {
        let message = "Cannot use admin API to login as self";
        return Err(Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", message));
    }
    if account.admin {
        return Err(forbidden("This user is a server admin"));
    }
    // SQL's integers end below that.
    if valid_until_ms.is_some_and(|until| until <= world.now() || until > 1 << 53) {
        return Err(invalid_param("`valid_until_ms` is no time to come"));
    }
    // Nobody is told what it would be refreshed by.
    let expires = |expires_at| Refreshable { refresh: refresh::new_name(&world), expires_at };
    let session = auth::by_operator(&refresh::new_name(&world));
    let login = Login {
        user: user.clone(),
        device_id: None,
        display_name: Some(NAME.to_owned()),
        session: session.clone(),
        refresh: valid_until_ms.map(expires),
    };
    world.ask(&user_object(&user), &login).await?;
    let token = auth::issue(&*Config::of(&world)?, &user, &session)?;
    json_response(StatusCode::OK, &json!({ "access_token": token }))
}
