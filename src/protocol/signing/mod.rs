//! Who signed this, and how do we sign?
//! ([signing JSON](https://spec.matrix.org/v1.19/appendices/#signing-json),
//! [signing events](https://spec.matrix.org/v1.19/server-server-api/#signing-events))
//!
//! Verification is strict where servers may read a signature in two ways: no small-order keys, no malleable signatures.
//! Base64 is only how bytes are written, and every server reads it in any form: so does [`decode`], and what is
//! compared is bytes. Where one server alone did not take a signature, the event would exist for the others only.

#[cfg(test)]
mod tests;
mod verify_keys;

pub use self::verify_keys::{ServerKeys, VerifyKey};

use std::fmt;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{
        GeneralPurpose, GeneralPurposeConfig,
        general_purpose::{NO_PAD, STANDARD_NO_PAD},
    },
};
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::{
    canonical_json::{
        CanonicalJsonObject, CanonicalJsonValue, redacted_to_string, to_string_without,
    },
    room_version::RoomVersion,
};

/// The key ID under which policy servers sign; their signatures are judged apart.
pub const POLICY_SERVER_KEY_ID: &str = "ed25519:policy_server";

/// Reads base64 whatever the bits of its last character say that belong to no byte.
const LENIENT: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENTLY);
const LENIENTLY: GeneralPurposeConfig = NO_PAD.with_decode_allow_trailing_bits(true);

/// Why a signature, or a key, does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// There is no signature of this server.
    #[error("{0} has not signed")]
    NotSigned(String),
    /// The server signed, but with none of the keys known to be its own.
    #[error("{0} signed with no key that is known")]
    UnknownKey(String),
    /// The key was not valid at the time.
    #[error("the key {0} was not valid then")]
    KeyExpired(String),
    /// The signature does not belong to this text and key.
    #[error("the signature by {0} is wrong")]
    Wrong(String),
}

/// A key ID that is not `ed25519:` followed by letters, digits and `_`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not the ID of an Ed25519 key")]
pub struct KeyIdFault(pub String);

/// The key with which this server signs.
pub struct SigningKey {
    key_id: String,
    key: ed25519_dalek::SigningKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// The key that this seed makes, under an ID such as `ed25519:abc`.
    pub fn from_seed(key_id: &str, seed: [u8; 32]) -> Result<Self, KeyIdFault> {
        if !is_key_id(key_id) {
            return Err(KeyIdFault(key_id.to_owned()));
        }
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        Ok(Self { key_id: key_id.to_owned(), key })
    }

    /// The key's ID, with its algorithm.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The public half as unpadded base64.
    #[must_use]
    pub fn public_key_base64(&self) -> String {
        encode(self.public_key())
    }

    /// The signature over these bytes, as unpadded base64.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        encode(self.key.sign(message).to_bytes())
    }

    /// Adds our signature to an object that is no event.
    pub fn sign_json(&self, object: &mut CanonicalJsonObject, server_name: &str) {
        let signature =
            self.sign(to_string_without(object, &["signatures", "unsigned"]).as_bytes());
        add_signature(object, server_name, &self.key_id, signature);
    }

    /// Adds our signature to an event, our own or one that we vouch for.
    pub fn sign_event(
        &self,
        version: &RoomVersion,
        object: &mut CanonicalJsonObject,
        server_name: &str,
    ) {
        let signature = self.sign(redacted_to_string(object, version).as_bytes());
        add_signature(object, server_name, &self.key_id, signature);
    }
}

/// Checks that `server_name` signed an object that is no event. With a time, its key must have
/// been valid then.
pub fn verify_json(
    object: &CanonicalJsonObject,
    server_name: &str,
    keys: &ServerKeys,
    at: Option<i64>,
) -> Result<(), SignatureFault> {
    let message = to_string_without(object, &["signatures", "unsigned"]);
    verify_signatures(object, server_name, keys, Signed { message: message.as_bytes(), at })
}

/// What was signed, and when, if the keys' validity counts.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The bytes that were signed.
    pub message: &'a [u8],
    /// The time at which the key must have been valid.
    pub at: Option<i64>,
}

/// Checks the signatures of `server_name` in `object` over a message already at hand.
///
/// Unknown algorithms and unknown keys are skipped. All that remain must be right, and there must be at least one.
pub fn verify_signatures(
    object: &CanonicalJsonObject,
    server_name: &str,
    keys: &ServerKeys,
    signed: Signed<'_>,
) -> Result<(), SignatureFault> {
    let mut fault = SignatureFault::NotSigned(server_name.to_owned());
    let mut verified = false;
    for (key_id, signature) in signatures_of(object, server_name) {
        let Some(key) = keys.keys.get(key_id) else {
            fault = SignatureFault::UnknownKey(server_name.to_owned());
            continue;
        };
        if signed.at.is_some_and(|at| at > key.valid_until_ts) {
            fault = SignatureFault::KeyExpired(key_id.to_owned());
            continue;
        }
        if !is_signature(&key.key, signed.message, signature) {
            return Err(SignatureFault::Wrong(server_name.to_owned()));
        }
        verified = true;
    }
    if verified { Ok(()) } else { Err(fault) }
}

/// The Ed25519 signatures of a server in an object, as (key ID, base64), without the policy
/// server's.
pub fn signatures_of<'a>(
    object: &'a CanonicalJsonObject,
    server_name: &str,
) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    let signatures = object.get("signatures").and_then(CanonicalJsonValue::as_object);
    let of_server = signatures.and_then(|all| all.get(server_name)?.as_object());
    of_server
        .into_iter()
        .flatten()
        .filter(|(key_id, _)| is_key_id(key_id) && *key_id != POLICY_SERVER_KEY_ID)
        .filter_map(|(key_id, signature)| Some((key_id.as_str(), signature.as_str()?)))
}

/// Whether this is the signature of this key over this message, strictly.
#[must_use]
pub fn is_signature(key: &[u8; 32], message: &[u8], signature: &str) -> bool {
    let Some(bytes) = decode::<64>(signature) else { return false };
    let Ok(key) = VerifyingKey::from_bytes(key) else { return false };
    key.verify_strict(message, &Signature::from_bytes(&bytes)).is_ok()
}

/// Whether this is `ed25519:` and a non-empty name of letters, digits and `_`.
#[must_use]
pub fn is_key_id(key_id: &str) -> bool {
    let name = key_id.strip_prefix("ed25519:").unwrap_or_default();
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Unpadded base64.
#[must_use]
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

/// Exactly `N` bytes from base64 of either alphabet, padded or not
/// ([unpadded base64](https://spec.matrix.org/v1.19/appendices/#unpadded-base64)).
#[must_use]
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let standard = |byte: u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    let text: Vec<u8> = text.trim_end_matches('=').bytes().map(standard).collect();
    LENIENT.decode(text).ok()?.try_into().ok()
}

/// The SHA-256 hash of a text.
#[must_use]
pub fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Adds a signature; other signatures stay.
pub fn add_signature(
    object: &mut CanonicalJsonObject,
    server_name: &str,
    key_id: &str,
    signature: String,
) {
    let mut signatures = take_object(object, "signatures");
    let mut of_server = take_object(&mut signatures, server_name);
    of_server.insert(key_id.to_owned(), signature.into());
    signatures.insert(server_name.to_owned(), of_server.into());
    object.insert("signatures".to_owned(), signatures.into());
}

/// The object under a key, taken out of its parent; an empty one where there is none.
fn take_object(parent: &mut CanonicalJsonObject, key: &str) -> CanonicalJsonObject {
    match parent.remove(key) {
        Some(CanonicalJsonValue::Object(object)) => object,
        _ => CanonicalJsonObject::new(),
    }
}
