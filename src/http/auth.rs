//! Which user sends a request, and in which session?
//!
//! An access token names its user and proves it before any object is asked: `tmb.<localpart>.<session>.<mac>`, where
//! the MAC is keyed by a secret made at set-up. So an invalid token wakes no object. The user's object then says
//! whether the session is alive.

use std::{collections::BTreeSet, rc::Rc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, header};
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use sha2::Sha256;
use tombolo_platform::World;

pub use crate::objects::user_object;
use crate::{
    config::Config,
    error::{Error, Result, forbidden, internal, missing_token, unknown_token},
    flows::{
        appservices::{Appservice, registrations},
        sync::Claim,
    },
    http::{
        masquerade::{self, Masquerade, NO_DEVICE},
        suspension,
    },
    objects::user_sync::messages::{Authorise, AuthoriseAs, Authorised, Cost},
};

/// How the tokens of each kind begin.
const ACCESS: &str = "tmb";
const REFRESH: &str = "tmr";
const LOGIN: &str = "tml";
const OPENID: &str = "tmo";
const DELAY: &str = "tmd";
const TICKET: &str = "tma.";
/// How the names of sessions begin in which an operator acts as a user; random names have no such character.
const BY_OPERATOR: char = '~';

/// An authenticated client, or an application service that acts as a user.
#[derive(Clone, Debug)]
pub struct Session {
    pub user: OwnedUserId,
    /// The device. Where a service acts as none, what its transactions go by ([`Session::device_id`]).
    pub device: String,
    /// Which device of its name it is: names are used again.
    pub born: i64,
    /// The session's name inside the user's object; a service has none.
    pub session: Option<String>,
    /// The service that acts as the user.
    pub appservice: Option<Rc<Appservice>>,
}

impl Session {
    /// The device, for what only a device does.
    pub fn device_id(&self) -> Option<&str> {
        Some(&*self.device).filter(|device| !device.starts_with(NO_DEVICE))
    }

    /// The session's name, for what only who is logged in does.
    pub fn name(&self) -> Result<String> {
        self.session.clone().ok_or_else(not_logged_in)
    }

    /// Whether the user is who asks: neither an application service acts as them, nor an operator.
    pub fn is_the_users_own(&self) -> bool {
        self.session.as_ref().is_some_and(|name| !name.starts_with(BY_OPERATOR))
    }
}

/// Names a session in which an operator acts as a user.
pub fn by_operator(name: &str) -> String {
    format!("{BY_OPERATOR}{name}")
}

/// An authenticated client that reads a room.
#[derive(Clone, Debug)]
pub struct Reader {
    pub session: Session,
    /// Whom the user ignores.
    pub ignored: BTreeSet<OwnedUserId>,
}

/// The live session of a request.
pub async fn session(world: &World, request: &Request<Bytes>, cost: Cost) -> Result<Session> {
    let (session, _) = authorised(world, request, (cost, None)).await?;
    Ok(session)
}

/// The live session of a request that reads a room; `None` if the user has forgotten that room. Every endpoint that
/// reads a room makes this check.
pub async fn reader(
    world: &World,
    request: &Request<Bytes>,
    room_id: Option<OwnedRoomId>,
) -> Result<Option<Reader>> {
    let (session, authorised) = authorised(world, request, (Cost::Free, room_id)).await?;
    let reader = Reader { session, ignored: authorised.ignored };
    Ok(Some(reader).filter(|_| !authorised.forgotten))
}

async fn authorised(
    world: &World,
    request: &Request<Bytes>,
    (cost, reads): (Cost, Option<OwnedRoomId>),
) -> Result<(Session, Authorised)> {
    let token = token(request).ok_or_else(missing_token)?;
    let (session, authorised) = match read(&*Config::of(world)?, ACCESS, &token) {
        Some(claim) => of_claim(world, claim, (cost, reads)).await?,
        None => {
            let acting = masquerade::masquerade(world, request, &token).await?;
            acting_as(world, acting.ok_or_else(unknown_token)?, (cost, reads)).await?
        }
    };
    if authorised.suspended {
        suspension::check(world, &session.user, request).await?;
    }
    Ok((session, authorised))
}

async fn of_claim(
    world: &World,
    Claim { user, session }: Claim,
    (cost, reads): (Cost, Option<OwnedRoomId>),
) -> Result<(Session, Authorised)> {
    let authorise = Authorise { session: session.clone(), cost, reads };
    let authorised = world.ask(&user_object(&user), &authorise).await?;
    let (device, born) = (authorised.device_id.clone(), authorised.born);
    let session = Session { user, device, born, session: Some(session), appservice: None };
    Ok((session, authorised))
}

async fn acting_as(
    world: &World,
    acting: Masquerade,
    (cost, reads): (Cost, Option<OwnedRoomId>),
) -> Result<(Session, Authorised)> {
    let (cost, device_id) = (acting.cost(cost), acting.device_id.clone());
    let authorise = AuthoriseAs { device_id, cost, reads };
    let authorised = world.ask(&user_object(&acting.user), &authorise).await?;
    let (device, born) = (acting.scope(), authorised.born);
    let Masquerade { appservice, user, .. } = acting;
    let session = Session { user, device, born, session: None, appservice: Some(appservice) };
    Ok((session, authorised))
}

/// The claim of a request's access token, if this server issued the token: for what only who is logged in does.
pub async fn claim(world: &World, request: &Request<Bytes>) -> Result<Claim> {
    let token = token(request).ok_or_else(missing_token)?;
    match read(&*Config::of(world)?, ACCESS, &token) {
        Some(claim) => Ok(claim),
        None if registrations::by_token(world, &token).await?.is_some() => Err(not_logged_in()),
        None => Err(unknown_token()),
    }
}

/// The application service that sends a request.
pub async fn appservice(world: &World, request: &Request<Bytes>) -> Result<Rc<Appservice>> {
    let token = token(request).ok_or_else(missing_token)?;
    registrations::by_token(world, &token).await?.ok_or_else(unknown_token)
}

/// 403: an application service acts as users without being logged in.
fn not_logged_in() -> Error {
    forbidden("An application service is not logged in")
}

/// The access token of a request: from the header, or from the query, as old clients send it.
pub fn token(request: &Request<Bytes>) -> Option<String> {
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned());
    }
    let query = request.uri().query()?;
    let pair = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == "access_token")?;
    Some(percent_encoding::percent_decode_str(pair.1).decode_utf8().ok()?.into_owned())
}

/// The user and the name in a refresh token, if this server issued it.
pub fn refresh_claim(config: &Config, token: &str) -> Option<(OwnedUserId, String)> {
    read(config, REFRESH, token).map(|claim| (claim.user, claim.session))
}

/// Makes the access token of a session.
pub fn issue(config: &Config, user: &UserId, session: &str) -> Result<String> {
    sealed(config, ACCESS, (user, session))
}

/// Makes a refresh token of this name.
pub fn issue_refresh(config: &Config, user: &UserId, refresh: &str) -> Result<String> {
    sealed(config, REFRESH, (user, refresh))
}

/// The user and the name in a login token, if this server issued it.
pub fn login_claim(config: &Config, token: &str) -> Option<(OwnedUserId, String)> {
    read(config, LOGIN, token).map(|claim| (claim.user, claim.session))
}

/// Makes a login token of this name.
pub fn issue_login(config: &Config, user: &UserId, name: &str) -> Result<String> {
    sealed(config, LOGIN, (user, name))
}

/// Makes the ID of a delayed event: it leads to its user, and who has it may act on the event.
pub fn issue_delay(config: &Config, user: &UserId, name: &str) -> Result<String> {
    sealed(config, DELAY, (user, name))
}

/// Whose delayed event this is the ID of, if this server issued it.
pub fn delay_claim(config: &Config, delay_id: &str) -> Option<OwnedUserId> {
    read(config, DELAY, delay_id).map(|claim| claim.user)
}

/// Makes a token that proves to other services who the user is, until then (ms).
pub fn issue_openid(config: &Config, user: &UserId, until: u64) -> Result<String> {
    sealed(config, OPENID, (user, &until.to_string()))
}

/// Whom an OpenID token proves, if this server issued it and it has not expired.
pub fn openid_claim(config: &Config, token: &str, now: u64) -> Option<OwnedUserId> {
    let claim = read(config, OPENID, token)?;
    let until: u64 = claim.session.parse().ok()?;
    (now < until).then_some(claim.user)
}

/// Whether a token is a ticket, which whoever has the server's secret makes, and has not expired: `tma.<until, ms>.<mac>`.
pub fn is_ticket(config: &Config, token: &str, now: u64) -> bool {
    let Some((claim, proof)) = token.rsplit_once('.') else { return false };
    let until = claim.strip_prefix(TICKET).and_then(|until| until.parse::<u64>().ok());
    let (Ok(proof), Ok(mac)) = (URL_SAFE_NO_PAD.decode(proof), mac(config, claim)) else {
        return false;
    };
    until.is_some_and(|until| now < until) && mac.verify_slice(&proof).is_ok()
}

fn sealed(config: &Config, prefix: &str, (user, name): (&UserId, &str)) -> Result<String> {
    let claim = format!("{prefix}.{}.{name}", URL_SAFE_NO_PAD.encode(user.localpart()));
    let mac = mac(config, &claim).map_err(internal)?.finalize().into_bytes();
    Ok(format!("{claim}.{}", URL_SAFE_NO_PAD.encode(mac)))
}

fn read(config: &Config, prefix: &str, token: &str) -> Option<Claim> {
    let (claim, proof) = token.rsplit_once('.')?;
    mac(config, claim).ok()?.verify_slice(&URL_SAFE_NO_PAD.decode(proof).ok()?).ok()?;
    let (localpart, session) = claim.strip_prefix(prefix)?.strip_prefix('.')?.split_once('.')?;
    let localpart = String::from_utf8(URL_SAFE_NO_PAD.decode(localpart).ok()?).ok()?;
    let user = UserId::parse(format!("@{localpart}:{}", config.server_name)).ok()?;
    Some(Claim { user, session: session.to_owned() })
}

fn mac(
    config: &Config,
    claim: &str,
) -> std::result::Result<Hmac<Sha256>, sha2::digest::InvalidLength> {
    Ok(Hmac::<Sha256>::new_from_slice(&config.token_secret)?.chain_update(claim.as_bytes()))
}
