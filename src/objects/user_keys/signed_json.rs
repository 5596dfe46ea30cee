//! Who signed a key, and which key is it?
//! ([signing JSON](https://spec.matrix.org/v1.19/appendices/#signing-json),
//! [cross-signing](https://spec.matrix.org/v1.19/client-server-api/#cross-signing))

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tombolo_protocol::{
    canonical_json::{CanonicalJsonObject, CanonicalJsonValue, to_string, to_string_without},
    json,
    signing::{add_signature, decode, is_signature},
};

use super::{Refusal, Result};
use crate::shell::Stop;

/// The longest text of one key, in bytes.
pub const MAX_KEY: usize = 16 << 10;

/// A JSON object that may be signed.
pub struct SignedJson(CanonicalJsonObject);

impl SignedJson {
    /// Reads what a client or another server gave as a key.
    pub fn read(raw: &RawValue) -> Result<Self> {
        if raw.get().len() > MAX_KEY {
            return Err(malformed("a key is too long"));
        }
        if json::plain_object(raw.get()).is_none() {
            return Err(malformed("a key is an object that every server reads"));
        }
        let object = json::parse_object(raw.get().as_bytes());
        object.map(Self).map_err(|fault| malformed(&format!("a key has no form: {fault}")))
    }

    /// A text field.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// An object of texts, such as `keys`.
    pub fn texts(&self, name: &str) -> Option<Vec<(&str, &str)>> {
        let object = self.0.get(name)?.as_object()?;
        object.iter().map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
    }

    /// Whether a list of texts has this one.
    pub fn lists(&self, name: &str, text: &str) -> bool {
        let list = self.0.get(name).and_then(CanonicalJsonValue::as_array);
        list.is_some_and(|list| list.iter().any(|item| item.as_str() == Some(text)))
    }

    /// Whether this is an object.
    pub fn is_object(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| value.as_object().is_some())
    }

    /// Whether this is a list of texts.
    pub fn is_list(&self, name: &str) -> bool {
        let list = self.0.get(name).and_then(CanonicalJsonValue::as_array);
        list.is_some_and(|list| list.iter().all(|item| item.as_str().is_some()))
    }

    /// What is signed of it.
    pub fn body(&self) -> String {
        to_string_without(&self.0, &["signatures", "unsigned"])
    }

    /// All of it but what servers add, with the signatures of this user alone: nobody else's are checked.
    pub fn signed_by(&self, user: &str) -> String {
        let mut object = self.0.clone();
        object.remove("unsigned");
        if let Some(CanonicalJsonValue::Object(signatures)) = object.get_mut("signatures") {
            signatures.retain(|signer, _| signer == user);
        }
        to_string(&object)
    }

    /// The signatures of a user: key ID, signature.
    pub fn signatures_of(&self, user: &str) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.get("signatures").and_then(CanonicalJsonValue::as_object);
        let of_user = all.and_then(|all| all.get(user)?.as_object());
        let signatures = of_user.into_iter().flatten();
        signatures.filter_map(|(key_id, signature)| Some((key_id.as_str(), signature.as_str()?)))
    }

    /// Whether the user signed it with this Ed25519 key.
    pub fn is_signed(&self, user: &str, (key_id, public): (&str, &str)) -> bool {
        let Some(public) = decode::<32>(public) else { return false };
        let body = self.body();
        let mut signatures = self.signatures_of(user).filter(|(id, _)| *id == key_id);
        signatures.any(|(_, signature)| is_signature(&public, body.as_bytes(), signature))
    }

    /// The public key of a cross-signing key, which has exactly one; it names itself.
    pub fn public_key(&self) -> Option<&str> {
        let keys = self.texts("keys")?;
        let [(key_id, public)] = keys[..] else { return None };
        (key_id.strip_prefix("ed25519:") == Some(public) && decode::<32>(public).is_some())
            .then_some(public)
    }
}

/// The ID of the key that signed, and the signature.
pub type Signature = (String, String);

/// What a user has signed of their own devices and keys, but for the signatures that these came with.
pub struct OwnSignatures {
    user: String,
    on: BTreeMap<String, Vec<Signature>>,
}

impl OwnSignatures {
    /// The signatures of a user, each with what was signed.
    pub fn of(user: &str, made: Vec<(String, Signature)>) -> Self {
        let mut on: BTreeMap<String, Vec<Signature>> = BTreeMap::new();
        for (target, signature) in made {
            on.entry(target).or_default().push(signature);
        }
        Self { user: user.to_owned(), on }
    }

    /// A device or key with the signatures that the user made on it.
    pub fn put_on(&self, target: &str, key: &str) -> Result<Box<RawValue>> {
        let raw = RawValue::from_string(key.to_owned())?;
        let Some(signatures) = self.on.get(target) else { return Ok(raw) };
        let mut key = SignedJson::read(&raw)?.0;
        for (key_id, signature) in signatures {
            add_signature(&mut key, &self.user, key_id, signature.clone());
        }
        Ok(RawValue::from_string(to_string(&key))?)
    }
}

/// A refusal of what is not as it must be.
pub fn invalid(why: &str) -> Stop<Refusal> {
    Stop::Refused(Refusal::Invalid(why.to_owned()))
}

/// A refusal of what has not the form of a key.
pub fn malformed(why: &str) -> Stop<Refusal> {
    Stop::Refused(Refusal::Malformed(why.to_owned()))
}
