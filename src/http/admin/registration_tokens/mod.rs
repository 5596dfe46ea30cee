//! How does an operator hand out accounts? ([registration tokens], as Synapse's admin API has them)
//!
//! No token is ever pending: a registration is one request, and its token is used by the account that it makes.
//!
//! [registration tokens]: https://element-hq.github.io/synapse/latest/usage/administration/admin_api/registration_tokens.html

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::UInt;
use serde_json::{Map, Value, json};
use tombolo_platform::World;

use super::must_be_admin;
use crate::{
    error::{Error, Result, invalid_param, not_found},
    http::{
        endpoint::{json_body, json_response},
        query,
        router::Router,
    },
    stores::registration_tokens::{self as tokens, Change, RegistrationToken},
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
    let valid = query::first(&pairs, "valid").map(|value| match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid_param("`valid` is true or false")),
    });
    let all = tokens::list(&world, valid.transpose()?).await?;
    let all: Vec<Value> = all.iter().map(shown).collect();
    json_response(StatusCode::OK, &json!({ "registration_tokens": all }))
}

async fn make(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let body: Map<String, Value> = json_body(&request)?;
    let limits = change(&world, &body)?.of_new();
    let token = match body.get("token").filter(|token| !token.is_null()) {
        Some(Value::String(token)) if is_token(token) => token.clone(),
        Some(_) => return Err(invalid_param("A token has 1 to 64 characters of A-Za-z0-9._~-")),
        None => random(&world, body.get("length"))?,
    };
    if !tokens::insert(&world, &token, limits).await? {
        return Err(invalid_param("There is a token of this name"));
    }
    json_response(StatusCode::OK, &shown(&RegistrationToken { token, limits, completed: 0 }))
}

async fn show(world: World, request: Request<Bytes>, token: String) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let found = tokens::find(&world, &token).await?.ok_or_else(unknown)?;
    json_response(StatusCode::OK, &shown(&found))
}

async fn update(world: World, request: Request<Bytes>, token: String) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let change = change(&world, &json_body(&request)?)?;
    let updated = tokens::update(&world, &token, change).await?.ok_or_else(unknown)?;
    json_response(StatusCode::OK, &shown(&updated))
}

async fn remove(world: World, request: Request<Bytes>, token: String) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    if !tokens::remove(&world, &token).await? {
        return Err(unknown());
    }
    json_response(StatusCode::OK, &json!({}))
}

/// The limits that a body sets: `null` lifts one, and what is left out stays.
fn change(world: &World, body: &Map<String, Value>) -> Result<Change> {
    let count = |name: &str| match body.get(name) {
        None => Result::Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(count) => {
            let count = count.as_u64().filter(|count| UInt::try_from(*count).is_ok());
            let count = count.ok_or_else(|| invalid_param(format!("`{name}` is no count")))?;
            Ok(Some(Some(count)))
        }
    };
    let change = Change { uses_allowed: count("uses_allowed")?, expires_ts: count("expiry_time")? };
    if change.expires_ts.flatten().is_some_and(|at| at < world.now()) {
        return Err(invalid_param("`expiry_time` is over"));
    }
    Ok(change)
}

fn unknown() -> Error {
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

/// A random token, of the usual length unless another one is given.
fn random(world: &World, length: Option<&Value>) -> Result<String> {
    let length = length.filter(|length| !length.is_null()).map_or(Some(USUAL_LENGTH), |length| {
        length.as_u64().and_then(|length| usize::try_from(length).ok())
    });
    let length = length.filter(|length| (1..=MAX_LENGTH).contains(length));
    let length = length.ok_or_else(|| invalid_param("`length` is 1 to 64"))?;
    let dice = [world.random(), world.random()].concat();
    let characters = dice.iter().take(length).map(|byte| CHARACTERS[usize::from(byte % 64)]);
    Ok(characters.map(char::from).collect())
}
