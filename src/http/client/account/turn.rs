//! Which relay may a user's calls go through?
//! ([TURN](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3voipturnserver))
//!
//! The credentials are those that TURN servers make of a shared secret themselves
//! ([coturn](https://github.com/coturn/coturn/blob/master/docs/TURNServer_REST_API.md)): the server and the relay need
//! not speak.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, Request, Response, StatusCode};
use ruma::{UserId, api::client::voip::get_turn_server_info::v3 as turn_server};
use serde_json::json;
use sha1::Sha1;
use tombolo_platform::World;

use crate::{
    config::{Config, Turn},
    error::{Result, internal},
    http::{
        auth,
        endpoint::{encode, json_response, paths_of},
        router::Router,
    },
    objects::user_sync::messages::Cost,
};

/// How long credentials are good (s).
const VALID: u64 = 3600;

pub fn routes(router: &mut Router) {
    for path in paths_of::<turn_server::Request>() {
        router.page(&Method::GET, path, turn);
    }
}

/// Credentials for the relay; where there is none, an empty object, as Synapse answers.
async fn turn(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Event).await?;
    let config = Config::of(&world)?;
    let Some(turn) = &config.turn else { return json_response(StatusCode::OK, &json!({})) };
    let (username, password) = credentials(turn, &caller.user, world.now() / 1000 + VALID)?;
    let (uris, ttl) = (turn.uris.clone(), Duration::from_secs(VALID));
    encode(turn_server::Response::new(username, password, uris, ttl))
}

/// A user name that is good until then (s since 1970), and its password.
fn credentials(turn: &Turn, user: &UserId, until: u64) -> Result<(String, String)> {
    let username = format!("{until}:{user}");
    let mac = Hmac::<Sha1>::new_from_slice(turn.shared_secret.as_bytes()).map_err(internal)?;
    let mac = mac.chain_update(username.as_bytes()).finalize().into_bytes();
    Ok((username, STANDARD.encode(mac)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_makes_the_same_password() {
        // printf '1700000000:@alice:example.org' | openssl dgst -sha1 -hmac secret -binary | base64
        let turn = Turn { uris: Vec::new(), shared_secret: "secret".to_owned() };
        let user = ruma::user_id!("@alice:example.org");
        let (username, password) = credentials(&turn, user, 1_700_000_000).unwrap();
        assert_eq!(username, "1700000000:@alice:example.org");
        assert_eq!(password, "g/l/t/tR2Emj7Ax0fkxwtp3GUrQ=");
    }
}
