//! How does a client get a session, and end it?
//! ([login](https://spec.matrix.org/v1.19/client-server-api/#login))

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    OwnedUserId, UserId,
    api::client::session::{
        get_login_token::v1 as get_login_token,
        get_login_types::v3::{
            self as get_login_types, LoginType, PasswordLoginType, TokenLoginType,
        },
        login::v3::Response as LoggedIn,
        logout::v3 as logout,
        logout_all::v3 as logout_all,
    },
};
use serde::Deserialize;
use tombolo_platform::{AskError, World};

use super::{devices::check_name, refresh};
use crate::{
    config::Config,
    error::{Error, Result, forbidden, invalid_param, missing_param},
    http::{
        auth::{self, Session, user_object},
        credentials,
        endpoint::{encode, json_body},
        rate_limit::{self, Kind, Stranger},
        router::Router,
        uia::PASSWORD,
    },
    objects::user_sync::messages::{AttemptLogin, Login, Logout, NewLoginToken, SpendLoginToken},
};

const PATHS: [&str; 2] = ["/_matrix/client/v3/login", "/_matrix/client/r0/login"];
const TOKEN: &str = "m.login.token";
/// How long a login token can be used.
const TOKEN_LIFETIME: Duration = Duration::from_secs(120);
/// The longest device ID a client may choose, in bytes.
const MAX_DEVICE_ID: usize = 255;
/// What identifies a user by an address that another service vouches for. This server knows of none.
const THIRD_PARTY: [&str; 2] = ["m.id.thirdparty", "m.id.phone"];

pub fn routes(router: &mut Router) {
    router.endpoint::<get_login_types::Request, _, _>(flows);
    for path in PATHS {
        router.page(&Method::POST, path, login);
    }
    router.proven::<get_login_token::Request, _, _>(get_token);
    router.endpoint::<logout::Request, _, _>(end);
    router.endpoint::<logout_all::Request, _, _>(end_all);
}

/// The body of a login. Not ruma's type, which panics over a body without `type`.
#[derive(Deserialize)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    identifier: Option<Identifier>,
    /// What old clients send in place of `identifier`.
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
    #[serde(flatten)]
    session: NewSession,
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: String,
    user: Option<String>,
}

/// What the body of a login or a registration says of the session that it opens.
#[derive(Default, Deserialize)]
pub struct NewSession {
    /// `None`: a new device.
    device_id: Option<String>,
    initial_device_display_name: Option<String>,
    /// Whether the client can refresh the session, which then expires.
    #[serde(default)]
    refresh_token: bool,
}

impl NewSession {
    /// Refuses what no device may be called, before an account is made or a login token is spent for it.
    pub fn check(&self) -> Result<()> {
        if self.device_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MAX_DEVICE_ID) {
            return Err(invalid_param("The device ID is empty or too long"));
        }
        check_name(self.initial_device_display_name.as_deref())
    }
}

async fn flows(
    _: World,
    _: Stranger,
    _: get_login_types::Request,
) -> Result<get_login_types::Response> {
    let mut token = TokenLoginType::new();
    token.get_login_token = true;
    let password = LoginType::Password(PasswordLoginType::new());
    Ok(get_login_types::Response::new(vec![password, LoginType::Token(token)]))
}

async fn login(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let body: Body = json_body(&request)?;
    if !matches!(body.kind.as_str(), PASSWORD | TOKEN) {
        return Err(Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", "Unknown login type"));
    }
    body.session.check()?;
    rate_limit::count(&world, &request, Kind::Login)?;
    let config = Config::of(&world)?;
    let user = if body.kind == TOKEN {
        by_token(&world, &config, &body).await?
    } else {
        by_password(&world, &config, &body).await?
    };
    logged_in(&world, &config, &user, body.session).await
}

async fn by_password(world: &World, config: &Config, body: &Body) -> Result<OwnedUserId> {
    let named = named_user(body)?;
    let password = body.password.as_deref().ok_or_else(|| missing_param("There is no password"))?;
    let user =
        credentials::prove(world, config, AttemptLogin { proof: false }, (named, password)).await?;
    user.ok_or_else(|| forbidden("Invalid username or password"))
}

/// The user to whom another of their devices gave this token.
async fn by_token(world: &World, config: &Config, body: &Body) -> Result<OwnedUserId> {
    let token = body.token.as_deref().ok_or_else(|| missing_param("There is no token"))?;
    let refused = || forbidden("Invalid login token");
    let (user, token) = auth::login_claim(config, token).ok_or_else(refused)?;
    match world.ask(&user_object(&user), &SpendLoginToken { token }).await {
        Ok(()) => Ok(user),
        Err(AskError::Refused(_)) => Err(refused()),
        Err(error) => Err(error.into()),
    }
}

/// A token with which another device of the user may log in.
async fn get_token(
    world: World,
    caller: Session,
    _: get_login_token::Request,
) -> Result<get_login_token::Response> {
    let (config, token) = (Config::of(&world)?, refresh::new_name(&world));
    let login_token = auth::issue_login(&config, &caller.user, &token)?;
    let lasts = u64::try_from(TOKEN_LIFETIME.as_millis()).unwrap_or(u64::MAX);
    let note = NewLoginToken {
        session: Some(caller.session),
        token,
        expires_at: world.now().saturating_add(lasts),
    };
    world.ask(&user_object(&caller.user), &note).await?;
    Ok(get_login_token::Response::new(TOKEN_LIFETIME, login_token))
}

/// Opens a session for a user who has proved their identity or is new, and answers with it.
pub async fn logged_in(
    world: &World,
    config: &Config,
    user: &UserId,
    new: NewSession,
) -> Result<Response<Bytes>> {
    let NewSession { device_id, initial_device_display_name: display_name, refresh_token } = new;
    let session = refresh::new_name(world);
    let refresh = refresh_token.then(|| refresh::refreshable(world));
    let (user_id, name) = (user.to_owned(), session.clone());
    let login = Login { user: user_id, device_id, display_name, session, refresh: refresh.clone() };
    let device_id = world.ask(&user_object(user), &login).await?.device_id.into();
    let access_token = auth::issue(config, user, &name)?;
    let mut answer = LoggedIn::new(user.to_owned(), access_token, device_id);
    if let Some(refresh) = refresh {
        answer.refresh_token = Some(auth::issue_refresh(config, user, &refresh.refresh)?);
        answer.expires_in = Some(refresh::LIFETIME);
    }
    #[expect(deprecated, reason = "old clients read it")]
    {
        answer.home_server = Some(config.server_name.clone());
    }
    encode(answer)
}

fn named_user(body: &Body) -> Result<&str> {
    let named = match &body.identifier {
        Some(identifier) if identifier.kind == "m.id.user" => identifier.user.as_deref(),
        Some(identifier) if THIRD_PARTY.contains(&identifier.kind.as_str()) => {
            return Err(forbidden("Invalid username or password"));
        }
        Some(_) => {
            return Err(Error::new(
                StatusCode::BAD_REQUEST,
                "M_UNKNOWN",
                "Unknown kind of identifier",
            ));
        }
        None => body.user.as_deref(),
    };
    named.ok_or_else(|| missing_param("There is no user"))
}

async fn end(world: World, caller: Session, _: logout::Request) -> Result<logout::Response> {
    world.ask(&user_object(&caller.user), &Logout { session: caller.session, all: false }).await?;
    Ok(logout::Response::new())
}

async fn end_all(
    world: World,
    caller: Session,
    _: logout_all::Request,
) -> Result<logout_all::Response> {
    world.ask(&user_object(&caller.user), &Logout { session: caller.session, all: true }).await?;
    Ok(logout_all::Response::new())
}
