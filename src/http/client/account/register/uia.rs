//! Has the client done what registration asks of it?
//! ([user-interactive authentication](https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api))
//!
//! There is one flow of one stage, `m.login.dummy`, so nothing has to be remembered between two requests: the session
//! is a time and a MAC over what it is for. Nobody can forge a session or use it for another account.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

const STAGE: &str = "m.login.dummy";
/// How long a session may be used (ms).
const LIFETIME: u64 = 600_000;

/// What a session is for.
pub struct Purpose<'a> {
    /// The server's secret.
    pub secret: &'a [u8],
    /// The local part of the account; empty where the server is to choose it.
    pub username: &'a str,
}

/// Whether `auth` completes the flow; if not, the body of the response that says what is left to do.
pub fn check(purpose: &Purpose<'_>, auth: Option<&Value>, now: u64) -> Result<(), Value> {
    let Some(auth) = auth else { return Err(purpose.flows(now)) };
    let ours = match auth.get("session") {
        // The only stage proves nothing, so a client that knows it may begin with it.
        None | Some(Value::Null) => true,
        Some(session) => session.as_str().is_some_and(|session| purpose.is_session(session, now)),
    };
    match auth.get("type").and_then(Value::as_str) {
        Some(STAGE) if ours => Ok(()),
        _ => Err(purpose.refused(now)),
    }
}

impl Purpose<'_> {
    fn flows(&self, now: u64) -> Value {
        json!({ "flows": [{ "stages": [STAGE] }], "params": {}, "completed": [], "session": self.session(now) })
    }

    fn refused(&self, now: u64) -> Value {
        let mut body = self.flows(now);
        body["errcode"] = json!("M_FORBIDDEN");
        body["error"] = json!("This is no session of this registration, or no stage of its flow");
        body
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
        Some(mac.chain_update(format!("uia\0register\0{until}\0{}", self.username)))
    }
}
