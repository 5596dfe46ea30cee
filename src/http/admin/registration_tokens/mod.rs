//! How does an operator hand out accounts? ([registration tokens], as Synapse's admin API has them)
//!
//! No token is ever pending: a registration is one request, and its token is used by the account that it makes.
//!
//! [registration tokens]: https://element-hq.github.io/synapse/latest/usage/administration/admin_api/registration_tokens.html

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tombolo_platform::World;

use super::must_be_admin;
use crate::{
    error::{Result, invalid_param, not_found},
    http::{
        endpoint::{json_body, json_response},
        query,
        router::Router,
    },
    stores::registration_tokens::{self as tokens, Limits, RegistrationToken},
};

const ALL: &str = "/_synapse/admin/v1/registration_tokens";
const NEW: &str = "/_synapse/admin/v1/registration_tokens/new";
const ONE: &str = "/_synapse/admin/v1/registration_tokens/{token}";

/// The longest token, in characters, and the usual one that the server makes.
const MAX_LENGTH: usize = 64;
const USUAL_LENGTH: usize = 16;
/// Of which characters tokens are made
/// ([opaque identifiers](https://spec.matrix.org/v1.19/appendices/#opaque-identifiers)).
const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, ALL, list);
    router.page(&Method::POST, NEW, make);
    router.page(&Method::GET, ONE, show);
    router.page(&Method::PUT, ONE, update);
    router.page(&Method::DELETE, ONE, remove);
}

async fn list(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let valid = pairs.iter().find(|(name, _)| name == "valid").map(|(_, value)| match &**value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid_param("`valid` is true or false")),
    });
    let all = tokens::list(&world, valid.transpose()?).await?;
    let all: Vec<Value> = all.iter().map(shown).collect();
    json_response(StatusCode::OK, &json!({ "registration_tokens": all }))
}

async fn make(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    #[derive(Deserialize)]
    struct Body {
        token: Option<String>,
        length: Option<usize>,
    }
    must_be_admin(&world, &request).await?;
    let Body { token, length } = json_body(&request)?;
    let limits = change(&world, &request, Limits::default())?;
    let token = match token {
        Some(token) if is_token(&token) => token,
        Some(_) => return Err(invalid_param("A token has 1 to 64 characters of A-Za-z0-9._~-")),
        None => random(&world, length.unwrap_or(USUAL_LENGTH))?,
    };
    if !tokens::insert(&world, &token, limits).await? {
        return Err(invalid_param("There is a token of this name"));
    }
    json_response(StatusCode::OK, &shown(&RegistrationToken { token, limits, completed: 0 }))
}

async fn show(world: World, request: Request<Bytes>, token: String) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    json_response(StatusCode::OK, &shown(&found(&world, &token).await?))
}

async fn update(world: World, request: Request<Bytes>, token: String) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let limits = change(&world, &request, found(&world, &token).await?.limits)?;
    if !tokens::update(&world, &token, limits).await? {
        return Err(unknown());
    }
    json_response(StatusCode::OK, &shown(&found(&world, &token).await?))
}

async fn remove(world: World, request: Request<Bytes>, token: String) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    if !tokens::remove(&world, &token).await? {
        return Err(unknown());
    }
    json_response(StatusCode::OK, &json!({}))
}

/// The limits of before, as the body changes them: `null` lifts one, and what is left out stays.
fn change(world: &World, request: &Request<Bytes>, before: Limits) -> Result<Limits> {
    let body: Value = json_body(request)?;
    let count = |name: &str, before: Option<u64>| match body.get(name) {
        None => Ok(before),
        Some(Value::Null) => Ok(None),
        Some(count) => {
            let count = count.as_u64().filter(|count| i64::try_from(*count).is_ok());
            count.map(Some).ok_or_else(|| invalid_param(format!("`{name}` is no count")))
        }
    };
    let uses_allowed = count("uses_allowed", before.uses_allowed)?;
    let expires_ts = count("expiry_time", before.expires_ts)?;
    if expires_ts != before.expires_ts && expires_ts.is_some_and(|at| at < world.now()) {
        return Err(invalid_param("`expiry_time` is over"));
    }
    Ok(Limits { uses_allowed, expires_ts })
}

async fn found(world: &World, token: &str) -> Result<RegistrationToken> {
    tokens::find(world, token).await?.ok_or_else(unknown)
}

fn unknown() -> crate::error::Error {
    not_found("There is no such token")
}

fn shown(token: &RegistrationToken) -> Value {
    json!({
        "token": token.token,
        "uses_allowed": token.limits.uses_allowed,
        "pending": 0,
        "completed": token.completed,
        "expiry_time": token.limits.expires_ts,
    })
}

fn is_token(token: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    (1..=MAX_LENGTH).contains(&token.len()) && token.bytes().all(fits)
}

fn random(world: &World, length: usize) -> Result<String> {
    if !(1..=MAX_LENGTH).contains(&length) {
        return Err(invalid_param("`length` is 1 to 64"));
    }
    let dice = [world.random(), world.random()].concat();
    let characters = dice.iter().take(length).map(|byte| CHARACTERS[usize::from(byte % 64)]);
    Ok(characters.map(char::from).collect())
}
