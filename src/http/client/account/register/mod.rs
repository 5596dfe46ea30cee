//! How does somebody get an account?
//! ([registration](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register))

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    UserId,
    api::client::account::{
        check_registration_token_validity::v1 as validity,
        get_username_availability::v3 as availability,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use tombolo_platform::World;

use super::{
    login::{self, APPSERVICE, NewSession, logged_in},
    usernames,
};
use crate::{
    config::{Config, Registration},
    error::{Error, Result, exclusive, forbidden, missing_param},
    flows::appservices::{Appservice, registrations},
    http::{
        auth, credentials,
        endpoint::{json_body, json_response},
        query,
        rate_limit::{self, Kind, Stranger},
        router::Router,
        uia::{DUMMY, Purpose, REGISTRATION_TOKEN},
    },
    stores::{
        accounts::{self, Account},
        registration_tokens,
    },
};

const PATHS: [&str; 2] = ["/_matrix/client/v3/register", "/_matrix/client/r0/register"];
/// How many characters the server chooses for an account without a name.
const CHOSEN_NAME: usize = 16;

pub fn routes(router: &mut Router) {
    for path in PATHS {
        router.page(&Method::POST, path, register);
    }
    router.endpoint::<availability::Request, _, _>(available);
    router.endpoint::<validity::Request, _, _>(check_token);
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
    if body.kind.as_deref() == Some(APPSERVICE) {
        return register_by_service(&world, &config, &request, body).await;
    }
    must_be_open(&config)?;
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
    let purpose = purpose(&config.token_secret, config.registration, username);
    if let Err(unproved) = purpose.stage(body.auth.as_ref(), world.now()) {
        return json_response(StatusCode::UNAUTHORIZED, &unproved);
    }
    let token = match config.registration {
        Registration::ByToken => Some(given_token(body.auth.as_ref())),
        Registration::Open | Registration::Closed => None,
    };
    let invalid = || purpose.refused("The registration token is not valid", world.now());
    if let Some(token) = token
        && !registration_tokens::is_valid(&world, token).await?
    {
        return json_response(StatusCode::UNAUTHORIZED, &invalid());
    }
    let password = body.password.as_deref().ok_or_else(|| missing_param("There is no password"))?;
    let user = match wanted {
        Some(user) => user,
        None => usernames::parse(&chosen_name(&world.random()), &config.server_name)?,
    };
    if !make_account(&world, &user, password, token).await? {
        return json_response(StatusCode::UNAUTHORIZED, &invalid());
    }
    if body.inhibit_login {
        return json_response(StatusCode::OK, &json!({ "user_id": user }));
    }
    logged_in(&world, &config, (&user, None), body.session).await
}

/// An application service makes a user of its own, whoever else may make accounts
/// ([server admin style permissions](https://spec.matrix.org/v1.19/application-service-api/#server-admin-style-permissions)).
async fn register_by_service(
    world: &World,
    config: &Config,
    request: &Request<Bytes>,
    body: Body,
) -> Result<Response<Bytes>> {
    let service = auth::appservice(world, request).await?;
    body.session.check()?;
    let name = body.username.as_deref().ok_or_else(|| missing_param("There is no username"))?;
    let user = usernames::of_service(name, &config.server_name)?;
    if !service.has_user(&user) {
        return Err(exclusive("This user is not of the application service's namespace"));
    }
    if !body.inhibit_login {
        login::must_log_in(&service)?;
    }
    create_account(world, &user, (None, false), Some(&service)).await?;
    if body.inhibit_login {
        return json_response(StatusCode::OK, &json!({ "user_id": user }));
    }
    logged_in(world, config, (&user, None), body.session).await
}

fn must_be_open(config: &Config) -> Result<()> {
    match config.registration {
        Registration::Closed => Err(forbidden("Registration is closed")),
        Registration::Open | Registration::ByToken => Ok(()),
    }
}

/// What a session of a registration is for: an account of this name, or of one that the server is to choose.
fn purpose<'a>(secret: &'a [u8], registration: Registration, username: &str) -> Purpose<'a> {
    let stages: &[&str] = match registration {
        Registration::ByToken => &[REGISTRATION_TOKEN],
        Registration::Open | Registration::Closed => &[DUMMY],
    };
    Purpose { secret, of: format!("register\0{username}"), stages }
}

/// The registration token that `auth` gives.
fn given_token(auth: Option<&Value>) -> &str {
    auth.and_then(|auth| auth.get("token")?.as_str()).unwrap_or_default()
}

/// Makes an account, by a token where one is needed; `false` if somebody has used the token up meanwhile.
async fn make_account(
    world: &World,
    user: &UserId,
    password: &str,
    token: Option<&str>,
) -> Result<bool> {
    let Some(token) = token else {
        let made = create_account(world, user, (Some(password), false), None).await;
        return made.map(|()| true);
    };
    let account = account(world, Some(password), false)?;
    must_be_free_to(world, user, None).await?;
    let made = accounts::insert_by_token(world, user.localpart(), &account, token).await?;
    if !made {
        must_be_free(world, user).await?;
    }
    Ok(made)
}

/// Makes an account, if its name is free to who makes it. Without a password nobody logs in to it by one.
pub async fn create_account(
    world: &World,
    user: &UserId,
    (password, admin): (Option<&str>, bool),
    by: Option<&Appservice>,
) -> Result<()> {
    let account = account(world, password, admin)?;
    must_be_free_to(world, user, by).await?;
    if accounts::insert(world, user.localpart(), &account).await? { Ok(()) } else { Err(in_use()) }
}

fn account(world: &World, password: Option<&str>, admin: bool) -> Result<Account> {
    let password_hash = password.map(|password| credentials::hash(world, password)).transpose()?;
    Ok(Account { password_hash, admin, deactivated: false })
}

/// Tokens are guessed no faster than accounts are made.
async fn check_token(
    world: World,
    stranger: Stranger,
    request: validity::Request,
) -> Result<validity::Response> {
    must_be_open(&*Config::of(&world)?)?;
    stranger.count(&world, Kind::Registration)?;
    Ok(validity::Response::new(registration_tokens::is_valid(&world, &request.token).await?))
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

/// Refuses a name that nobody may have any more.
pub async fn must_be_free(world: &World, user: &UserId) -> Result<()> {
    must_be_free_to(world, user, None).await?;
    if accounts::find(world, user.localpart()).await?.is_none() { Ok(()) } else { Err(in_use()) }
}

/// Refuses the name in which the server itself writes, and names that only another application service makes.
async fn must_be_free_to(world: &World, user: &UserId, by: Option<&Appservice>) -> Result<()> {
    if Config::of(world)?.server_notices.as_deref() == Some(user) {
        return Err(in_use());
    }
    match registrations::recent(world).await?.owned_by_others(user, by) {
        true => Err(exclusive("This username is for an application service")),
        false => Ok(()),
    }
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
