//! How does an operator make an account? ([shared-secret registration])
//!
//! An operator signs the request with the shared secret and a nonce. Each attempt uses its nonce up.
//!
//! [shared-secret registration]: https://element-hq.github.io/synapse/latest/admin_api/register_api.html

#[cfg(test)]
mod tests;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use sha1::Sha1;
use tombolo_platform::World;

use crate::{
    config::Config,
    error::{Error, Result, forbidden, invalid_param},
    http::{
        client::account::{
            login::{NewSession, logged_in},
            register::create_account,
            usernames,
        },
        endpoint::{json_body, json_response},
        rate_limit::{self, Kind},
        router::Router,
    },
    stores::{nonces, profiles},
};

const PATH: &str = "/_synapse/admin/v1/register";

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, PATH, nonce);
    router.page(&Method::POST, PATH, register);
}

/// The body of a registration.
#[derive(Deserialize)]
struct Body {
    nonce: String,
    username: String,
    password: String,
    #[serde(default)]
    admin: bool,
    user_type: Option<String>,
    displayname: Option<String>,
    /// In hexadecimal.
    mac: String,
}

async fn nonce(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    secret(&world)?;
    rate_limit::count(&world, &request, Kind::Errand)?;
    let nonce = URL_SAFE_NO_PAD.encode(world.random());
    nonces::insert(&world, &nonce).await?;
    json_response(StatusCode::OK, &json!({ "nonce": nonce }))
}

async fn register(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let secret = secret(&world)?;
    let config = Config::of(&world)?;
    let body: Body = json_body(&request)?;
    if body.username.contains('\0') || body.password.contains('\0') {
        return Err(invalid_param("Neither name nor password may have a null character"));
    }
    if !nonces::consume(&world, &body.nonce).await? {
        return Err(Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", "Unrecognised nonce"));
    }
    if !is_signed(&secret, &body) {
        return Err(forbidden("The MAC is wrong"));
    }
    let user = usernames::parse(&body.username, &config.server_name)?;
    create_account(&world, &user, (Some(&body.password), body.admin), None).await?;
    if let Some(displayname) = &body.displayname {
        profiles::set_displayname(&world, user.localpart(), Some(displayname)).await?;
    }
    logged_in(&world, &config, (&user, None), NewSession::default()).await
}

fn secret(world: &World) -> Result<String> {
    let disabled = || {
        Error::new(
            StatusCode::BAD_REQUEST,
            "M_UNKNOWN",
            "Shared-secret registration is not enabled",
        )
    };
    Config::of(world)?.registration_shared_secret.clone().ok_or_else(disabled)
}

/// Whether the MAC covers what the body asks for.
fn is_signed(secret: &str, body: &Body) -> bool {
    let Some(proof) = from_hex(&body.mac) else { return false };
    let Ok(mac) = Hmac::<Sha1>::new_from_slice(secret.as_bytes()) else { return false };
    let admin = if body.admin { "admin" } else { "notadmin" };
    let mut parts = vec![body.nonce.as_str(), &body.username, &body.password, admin];
    parts.extend(body.user_type.as_deref());
    mac.chain_update(parts.join("\0")).verify_slice(&proof).is_ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    let pairs = digits?;
    let (pairs, rest) = pairs.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
