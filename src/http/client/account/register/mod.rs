//! How does somebody get an account?
//! ([registration](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register))

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{UserId, api::client::account::get_username_availability::v3 as availability};
use serde::Deserialize;
use serde_json::{Value, json};
use tombolo_platform::World;

use super::{
    login::{NewSession, logged_in},
    usernames,
};
use crate::{
    config::Config,
    error::{Error, Result, forbidden, missing_param, unknown_token},
    http::{
        credentials,
        endpoint::{json_body, json_response},
        query,
        rate_limit::{self, Kind, Stranger},
        router::Router,
        uia::{DUMMY, Purpose},
    },
    stores::accounts::{self, Account},
};

const PATHS: [&str; 2] = ["/_matrix/client/v3/register", "/_matrix/client/r0/register"];
/// How many characters the server chooses for an account without a name.
const CHOSEN_NAME: usize = 16;

pub fn routes(router: &mut Router) {
    for path in PATHS {
        router.page(&Method::POST, path, register);
    }
    router.endpoint::<availability::Request, _, _>(available);
}

/// The body of a registration. Other fields that clients send, above all `admin`, have no effect. Not ruma's type, which
/// refuses an `auth` that it does not know; here such an `auth` is answered like none.
#[derive(Deserialize)]
struct Body {
    username: Option<String>,
    password: Option<String>,
    #[serde(default)]
    inhibit_login: bool,
    #[serde(flatten)]
    session: NewSession,
    #[serde(rename = "type")]
    kind: Option<String>,
    auth: Option<Value>,
}

async fn register(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let config = Config::of(&world)?;
    let body: Body = json_body(&request)?;
    if is_guest(&request) {
        return Err(forbidden("This server has no guests"));
    }
    if body.kind.as_deref() == Some("m.login.application_service") {
        return Err(unknown_token());
    }
    if !config.open_registration {
        return Err(forbidden("Registration is closed"));
    }
    body.session.check()?;
    rate_limit::count(&world, &request, Kind::Registration)?;
    let wanted = body
        .username
        .as_deref()
        .map(|username| usernames::parse(username, &config.server_name))
        .transpose()?;
    if let Some(user) = &wanted {
        must_be_free(&world, user).await?;
    }
    let username = wanted.as_deref().map(UserId::localpart).unwrap_or_default();
    if let Err(unproved) =
        purpose(&config.token_secret, username).stage(body.auth.as_ref(), world.now())
    {
        return json_response(StatusCode::UNAUTHORIZED, &unproved);
    }
    let password = body.password.as_deref().ok_or_else(|| missing_param("There is no password"))?;
    let user = match wanted {
        Some(user) => user,
        None => usernames::parse(&chosen_name(&world.random()), &config.server_name)?,
    };
    create_account(&world, &user, password, false).await?;
    if body.inhibit_login {
        return json_response(StatusCode::OK, &json!({ "user_id": user }));
    }
    logged_in(&world, &config, (&user, None), body.session).await
}

/// What a session of a registration is for: an account of this name, or of one that the server is to choose.
fn purpose<'a>(secret: &'a [u8], username: &str) -> Purpose<'a> {
    Purpose { secret, of: format!("register\0{username}"), stages: &[DUMMY] }
}

/// Makes an account, if its name is free.
pub async fn create_account(
    world: &World,
    user: &UserId,
    password: &str,
    admin: bool,
) -> Result<()> {
    let hash = credentials::hash(world, password)?;
    let account = Account { password_hash: Some(hash), admin, deactivated: false };
    if accounts::insert(world, user.localpart(), &account).await? { Ok(()) } else { Err(in_use()) }
}

async fn available(
    world: World,
    _: Stranger,
    request: availability::Request,
) -> Result<availability::Response> {
    let config = Config::of(&world)?;
    must_be_free(&world, &usernames::parse(&request.username, &config.server_name)?).await?;
    Ok(availability::Response::new(true))
}

async fn must_be_free(world: &World, user: &UserId) -> Result<()> {
    if accounts::find(world, user.localpart()).await?.is_none() { Ok(()) } else { Err(in_use()) }
}

fn in_use() -> Error {
    Error::new(StatusCode::BAD_REQUEST, "M_USER_IN_USE", "The username is taken")
}

fn is_guest(request: &Request<Bytes>) -> bool {
    let query = query::pairs(request.uri().query().unwrap_or_default());
    query.iter().any(|(name, value)| name == "kind" && value == "guest")
}

/// A random name of small letters.
fn chosen_name(dice: &[u8; 32]) -> String {
    dice.iter().take(CHOSEN_NAME).map(|byte| char::from(b'a' + byte % 26)).collect()
}
