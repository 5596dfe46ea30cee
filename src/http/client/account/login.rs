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
            self as get_login_types, ApplicationServiceLoginType, LoginType, PasswordLoginType,
            TokenLoginType,
        },
        login::v3::Response as LoggedIn,
        logout::v3 as logout,
        logout_all::v3 as logout_all,
    },
};
use serde::Deserialize;
use serde_json::json;
use tombolo_platform::{AskError, World};

use super::{
    devices::{check_id, check_name},
    refresh,
};
use crate::{
    config::Config,
    error::{Error, Result, exclusive, forbidden, missing_param},
    flows::{appservices::Appservice, keys::removed, sync::Claim},
    http::{
        auth::{self, Session, user_object},
        credentials::{self, Credentials, Proved},
        endpoint::{encode, json_body, json_response, paths_of},
        rate_limit::{self, Kind, Stranger},
        router::Router,
        uia::PASSWORD,
    },
    objects::user_sync::messages::{
        AttemptLogin, Login, Logout, NewLoginToken, Refusal, SpendLoginToken,
    },
    stores::accounts,
};

const PATHS: [&str; 2] = ["/_matrix/client/v3/login", "/_matrix/client/r0/login"];
const TOKEN: &str = "m.login.token";
/// How an application service logs its users in.
pub const APPSERVICE: &str = "m.login.application_service";
/// How long a login token can be used.
const TOKEN_LIFETIME: Duration = Duration::from_secs(120);

pub fn routes(router: &mut Router) {
    router.endpoint::<get_login_types::Request, _, _>(flows);
    for path in PATHS {
        router.page(&Method::POST, path, login);
    }
    router.proven::<get_login_token::Request, _, _>(get_token);
    for path in paths_of::<logout::Request>() {
        router.page(&Method::POST, path, end);
    }
    for path in paths_of::<logout_all::Request>() {
        router.page(&Method::POST, path, end_all);
    }
}

/// The body of a login. Not ruma's type, which panics over a body without `type`.
#[derive(Deserialize)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    credentials: Credentials,
    token: Option<String>,
    #[serde(flatten)]
    session: NewSession,
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
        if let Some(id) = &self.device_id {
            check_id(id)?;
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
    let service = LoginType::ApplicationService(ApplicationServiceLoginType::new());
    Ok(get_login_types::Response::new(vec![password, LoginType::Token(token), service]))
}

async fn login(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let body: Body = json_body(&request)?;
    if !matches!(body.kind.as_str(), PASSWORD | TOKEN | APPSERVICE) {
        return Err(Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", "Unknown login type"));
    }
    body.session.check()?;
    if body.kind == APPSERVICE {
        let (config, user) = (Config::of(&world)?, by_service(&world, &request, &body).await?);
        return logged_in(&world, &config, (&user, None), body.session).await;
    }
    rate_limit::count(&world, &request, Kind::Login)?;
    let config = Config::of(&world)?;
    if body.kind == TOKEN {
        let user = by_token(&world, &config, &body).await?;
        return logged_in(&world, &config, (&user, None), body.session).await;
    }
    let (attempt, given) = (AttemptLogin { proof: false }, body.credentials.given()?);
    let proved = credentials::prove(&world, &config, attempt, given).await?;
    let Proved { user, hash } = proved.ok_or_else(wrong_password)?;
    logged_in(&world, &config, (&user, Some(hash)), body.session).await
}

/// The user whom an application service logs in
/// ([client-server API extensions](https://spec.matrix.org/v1.19/application-service-api/#server-admin-style-permissions)).
async fn by_service(world: &World, request: &Request<Bytes>, body: &Body) -> Result<OwnedUserId> {
    let service = auth::appservice(world, request).await?;
    must_log_in(&service)?;
    let user = body.credentials.named_exactly(&Config::of(world)?.server_name)?;
    if !service.has_user(&user) {
        return Err(exclusive("This user is not of the application service's namespace"));
    }
    match accounts::find(world, user.localpart()).await? {
        // Who has the service's token would have the server.
        Some(account) if account.admin => Err(forbidden("An application service is no operator")),
        Some(_) => Ok(user),
        None => Err(forbidden("There is no such user")),
    }
}

/// Refuses a login of a service that makes its devices itself.
pub fn must_log_in(service: &Appservice) -> Result<()> {
    if !service.registration.device_management {
        return Ok(());
    }
    let message = "This application service makes devices, and does not log in";
    Err(Error::new(StatusCode::BAD_REQUEST, "M_APPSERVICE_LOGIN_UNSUPPORTED", message))
}

fn wrong_password() -> Error {
    forbidden("Invalid username or password")
}

/// The user to whom another of their devices gave this token.
async fn by_token(world: &World, config: &Config, body: &Body) -> Result<OwnedUserId> {
    let token = body.token.as_deref().ok_or_else(|| missing_param("There is no token"))?;
    let refused = || forbidden("Invalid login token");
    let (user, token) = auth::login_claim(config, token).ok_or_else(refused)?;
    match world.ask(&user_object(&user), &SpendLoginToken { token }).await {
        Ok(()) => Ok(user),
        Err(AskError::Refused(locked @ Refusal::Locked)) => Err(locked.into()),
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
    let note = NewLoginToken {
        session: Some(caller.name()?),
        token,
        expires_at: refresh::end_of(&world, TOKEN_LIFETIME),
    };
    world.ask(&user_object(&caller.user), &note).await?;
    Ok(get_login_token::Response::new(TOKEN_LIFETIME, login_token))
}

/// Opens a session for a user who has proved their identity or is new, and answers with it. A session that was opened
/// by a password ends at once if the password, of which the hash is given, was changed meanwhile.
pub async fn logged_in(
    world: &World,
    config: &Config,
    (user, by): (&UserId, Option<String>),
    new: NewSession,
) -> Result<Response<Bytes>> {
    let NewSession { device_id, initial_device_display_name: display_name, refresh_token } = new;
    let session = refresh::new_name(world);
    let refresh = refresh_token.then(|| refresh::refreshable(world));
    let (user_id, name) = (user.to_owned(), session.clone());
    let login = Login { user: user_id, device_id, display_name, session, refresh: refresh.clone() };
    let device_id = world.ask(&user_object(user), &login).await?.device_id.into();
    if by.is_some() {
        let account = accounts::find(world, user.localpart()).await?;
        if account.is_none_or(|account| account.password_hash != by) {
            let logout = Logout { session: name, all: false };
            world.ask(&user_object(user), &logout).await?;
            return Err(wrong_password());
        }
    }
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

async fn end(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    log_out(&world, &request, false).await
}

async fn end_all(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    log_out(&world, &request, true).await
}

/// A session that has expired can be ended too: else its device would stay.
async fn log_out(world: &World, request: &Request<Bytes>, all: bool) -> Result<Response<Bytes>> {
    let Claim { user, session } = auth::claim(world, request).await?;
    world.ask(&user_object(&user), &Logout { session, all }).await?;
    removed::drop_now(world, &user).await;
    json_response(StatusCode::OK, &json!({}))
}
