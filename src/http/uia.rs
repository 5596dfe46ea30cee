//! Has the client proved who its user is?
//! ([user-interactive authentication](https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api))
//!
//! Every flow has one stage, so nothing has to be remembered between two requests: the session is a time and a MAC over
//! what it is for. Nobody can forge a session or use it for another request.

use std::rc::Rc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Response, StatusCode};
use ruma::api::{IncomingRequest, Metadata};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tombolo_platform::{Body, World};

use super::{
    auth::{self, Session},
    credentials::{self, Credentials},
    endpoint::{MAX_BODY, decode, encode, json_body, json_response, paths_of, whole},
    router::{Handler, Router},
};
use crate::{
    config::Config,
    error::{Result, bad_json, forbidden, internal},
    objects::user_sync::messages::{AttemptLogin, Cost},
};

/// The stage that proves nothing.
pub const DUMMY: &str = "m.login.dummy";
/// The stage that proves that the client knows the password of the account.
pub const PASSWORD: &str = "m.login.password";
/// The stage that proves that the client has a registration token.
pub const REGISTRATION_TOKEN: &str = "m.login.registration_token";

/// How long a session may be used (ms).
const LIFETIME: u64 = 600_000;

/// What a session is for.
pub struct Purpose<'a> {
    /// The server's secret.
    pub secret: &'a [u8],
    /// What the session is bound to: no other request has the same text.
    pub of: String,
    /// The stages, each of which completes a flow.
    pub stages: &'static [&'static str],
}

impl Purpose<'_> {
    /// The stage that `auth` names, if its session is one of this purpose; else the body of the response that says what
    /// is left to do.
    pub fn stage(
        &self,
        auth: Option<&Value>,
        now: u64,
    ) -> std::result::Result<&'static str, Value> {
        // An `auth` without a type asks how far its session has come. Nothing was tried, so nothing failed.
        let Some(auth) = auth.filter(|auth| auth.get("type").is_some()) else {
            return Err(self.flows(now));
        };
        let ours = match auth.get("session") {
            // There is only one stage, so a client that knows it may begin with it.
            None | Some(Value::Null) => true,
            Some(session) => session.as_str().is_some_and(|session| self.is_session(session, now)),
        };
        let named = auth.get("type").and_then(Value::as_str);
        let stage = self.stages.iter().find(|stage| ours && named == Some(**stage));
        stage.copied().ok_or_else(|| {
            self.refused("This is no session of this request, or no stage of its flow", now)
        })
    }

    /// The body of the response to a stage that was not completed.
    pub fn refused(&self, message: &str, now: u64) -> Value {
        let mut body = self.flows(now);
        body["errcode"] = json!("M_FORBIDDEN");
        body["error"] = json!(message);
        body
    }

    fn flows(&self, now: u64) -> Value {
        let flows: Vec<Value> =
            self.stages.iter().map(|stage| json!({ "stages": [stage] })).collect();
        json!({ "flows": flows, "params": {}, "completed": [], "session": self.session(now) })
    }

    fn session(&self, now: u64) -> String {
        let until = now.saturating_add(LIFETIME);
        let proof = self.mac(until).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
        format!("{until}.{}", proof.unwrap_or_default())
    }

    fn is_session(&self, session: &str, now: u64) -> bool {
        let Some((until, proof)) = session.split_once('.') else { return false };
        let (Ok(until), Ok(proof)) = (until.parse(), URL_SAFE_NO_PAD.decode(proof)) else {
            return false;
        };
        now <= until && self.mac(until).is_some_and(|mac| mac.verify_slice(&proof).is_ok())
    }

    /// `None` is impossible: HMAC takes keys of any length.
    fn mac(&self, until: u64) -> Option<Hmac<Sha256>> {
        let mac = Hmac::<Sha256>::new_from_slice(self.secret).ok()?;
        Some(mac.chain_update(format!("uia\0{until}\0{}", self.of)))
    }
}

impl Router {
    /// Registers a handler for what only the owner of an account may do: it is called once the client has proved that
    /// it knows the password. The proof is bound to the user, the device, the method, the path and the body.
    pub fn proven<R, H, F>(&mut self, handler: H)
    where
        R: IncomingRequest + Metadata + 'static,
        H: Fn(World, Session, R) -> F + Copy + 'static,
        F: Future<Output = Result<R::OutgoingResponse>>,
    {
        let answer: Handler = Rc::new(move |world, request, arguments| {
            Box::pin(async move {
                let request = whole(request, MAX_BODY).await?;
                let caller = auth::session(&world, &request, Cost::Free).await?;
                let (request, auth) = without_auth(request)?;
                if let Some(unproved) = demand(&world, &caller, &request, auth.as_ref()).await? {
                    return Ok(unproved.map(Body::from));
                }
                let decoded = decode::<R>(&request, &arguments)?;
                Ok(encode(handler(world, caller, decoded).await?)?.map(Body::from))
            })
        });
        for path in paths_of::<R>() {
            self.add(&R::METHOD, path, Rc::clone(&answer));
        }
    }
}

/// A request, and the `auth` that its body held.
pub fn without_auth(request: Request<Bytes>) -> Result<(Request<Bytes>, Option<Value>)> {
    let mut body: Map<String, Value> = match request.body().is_empty() {
        true => Map::new(),
        false => json_body(&request)?,
    };
    let auth = body.remove("auth");
    let (head, _) = request.into_parts();
    Ok((Request::from_parts(head, Bytes::from(Value::Object(body).to_string())), auth))
}

/// Demands that the client proves that it knows the password of its user; `None` once it has, else the response that
/// says what is left to do.
pub async fn demand(
    world: &World,
    caller: &Session,
    request: &Request<Bytes>,
    auth: Option<&Value>,
) -> Result<Option<Response<Bytes>>> {
    // A service has proved by its token what it may do, and its users have no passwords.
    if caller.appservice.is_some() {
        return Ok(None);
    }
    let unproved = prove(world, caller, request, auth).await?.err();
    unproved.map(|unproved| json_response(StatusCode::UNAUTHORIZED, &unproved)).transpose()
}

/// Whether the client has proved that it knows the password of its user; else the body of the response that says what
/// is left to do.
async fn prove(
    world: &World,
    caller: &Session,
    request: &Request<Bytes>,
    auth: Option<&Value>,
) -> Result<std::result::Result<(), Value>> {
    let config = Config::of(world)?;
    let body = URL_SAFE_NO_PAD.encode(Sha256::digest(request.body()));
    let (method, path) = (request.method(), request.uri().path());
    let of = format!("{}\0{}\0{method}\0{path}\0{body}", caller.user, caller.device);
    let purpose = Purpose { secret: &config.token_secret, of, stages: &[PASSWORD] };
    let now = world.now();
    if let Err(unproved) = purpose.stage(auth, now) {
        return Ok(Err(unproved));
    }
    let auth = auth.ok_or_else(|| internal("a stage without auth"))?;
    let credentials =
        Credentials::deserialize(auth).map_err(|error| bad_json(error.to_string()))?;
    let given = credentials.given()?;
    // Nobody tries the passwords of others here, past the limits of a login.
    if credentials::local_user(given.0, &config.server_name).is_none_or(|user| user != caller.user)
    {
        return Err(forbidden("The proof must be of the account that it is for"));
    }
    let proved = credentials::prove(world, &config, AttemptLogin { proof: true }, given).await?;
    let proved = proved.is_some();
    Ok(if proved { Ok(()) } else { Err(purpose.refused("Invalid username or password", now)) })
}
