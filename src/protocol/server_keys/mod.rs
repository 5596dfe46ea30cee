//! Which keys does a server sign with, and for how long do we believe it?
//! ([retrieving server keys](https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys))

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ruma::{Int, OwnedServerName, ServerName};
use serde::{Deserialize, Serialize};

pub use crate::signing::{ServerKeys, VerifyKey};
use crate::{
    canonical_json::{CanonicalJsonObject, CanonicalJsonValue},
    signing::{SignatureFault, SigningKey, decode, encode, is_key_id, verify_json},
};

/// The longest a key is believed without asking again: 7 days, in milliseconds.
pub const MAX_VALIDITY: i64 = 7 * 24 * 60 * 60 * 1000;

/// Keys whose private half is public knowledge (CVE-2026-24044), as unpadded base64.
const BLOCKED: [&str; 1] = ["l/O9hxMVKB6Lg+3Hqf0FQQZhVESQcMzbPN1Cz2nM3og"];

/// The keys of several servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRing {
    servers: BTreeMap<OwnedServerName, ServerKeys>,
}

/// Why an answer about keys is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysFault {
    /// A field is missing or malformed.
    #[error("`{0}` is missing or malformed")]
    Field(&'static str),
    /// The answer is about another server.
    #[error("the keys are those of {0}")]
    OtherServer(String),
    /// There is no key that can be used.
    #[error("there is no usable key")]
    NoKey,
    /// The server, or the notary, did not sign the answer.
    #[error(transparent)]
    Signature(#[from] SignatureFault),
}

impl ServerKeys {
    /// The keys a server itself published. They may be expired: events of that time are still to be verified.
    pub fn from_origin(
        answer: &CanonicalJsonObject,
        server_name: &ServerName,
        now: i64,
    ) -> Result<Self, KeysFault> {
        let named = str_at(answer, "server_name")?;
        if named != server_name.as_str() {
            return Err(KeysFault::OtherServer(named.to_owned()));
        }
        let valid_until_ts = int_at(answer, "valid_until_ts")?;
        let valid_until_ts = valid_until_ts.min(now.saturating_add(MAX_VALIDITY));
        let published = object_at(answer, "verify_keys")?;
        let live: BTreeMap<_, _> = published
            .iter()
            .filter_map(|(key_id, entry)| {
                let key = key_of(key_id, entry)?;
                Some((key_id.clone(), VerifyKey { key, valid_until_ts, retired: false }))
            })
            .collect();
        if live.is_empty() {
            return Err(KeysFault::NoKey);
        }
        let mut keys = Self { keys: live };
        verify_json(answer, named, &keys, None)?;
        let Some(old) = answer.get("old_verify_keys") else { return Ok(keys) };
        let old = old.as_object().ok_or(KeysFault::Field("old_verify_keys"))?;
        for (key_id, entry) in old {
            let Some(key) = key_of(key_id, entry) else { continue };
            let Some(expired_ts) = entry.as_object().and_then(|entry| entry.get("expired_ts"))
            else {
                continue;
            };
            let Some(valid_until_ts) = expired_ts.as_integer().map(i64::from) else { continue };
            // Listed as both: in use.
            keys.keys.entry(key_id.clone()).or_insert(VerifyKey {
                key,
                valid_until_ts,
                retired: true,
            });
        }
        Ok(keys)
    }

    /// The keys of some server that a notary vouches for. They may be expired, too.
    pub fn from_notary(
        answer: &CanonicalJsonObject,
        notary: &ServerName,
        notary_keys: &Self,
        now: i64,
    ) -> Result<(OwnedServerName, Self), KeysFault> {
        verify_json(answer, notary.as_str(), notary_keys, Some(now))?;
        let server_name = str_at(answer, "server_name")?;
        let server_name =
            ServerName::parse(server_name).map_err(|_| KeysFault::Field("server_name"))?;
        let keys = Self::from_origin(answer, &server_name, now)?;
        Ok((server_name, keys))
    }

    /// Whether a key of this ID verifies events of that time.
    #[must_use]
    pub fn covers(&self, key_id: &str, at: i64) -> bool {
        self.keys.get(key_id).is_some_and(|key| at <= key.valid_until_ts)
    }

    /// Takes over what was learned later.
    ///
    /// A key that is valid keeps its bytes whatever the answer says, and no key is forgotten: old
    /// events still name it. Returns the IDs of keys for which other bytes were offered.
    pub fn merge(&mut self, newer: Self, now: i64) -> Vec<String> {
        let mut refused = Vec::new();
        for (key_id, key) in newer.keys {
            let known = self.keys.get(&key_id).copied();
            match known {
                Some(known) if known.key != key.key && known.valid_until_ts >= now => {
                    refused.push(key_id);
                }
                Some(known) if known.key == key.key && known.retired == key.retired => {
                    let valid_until_ts = known.valid_until_ts.max(key.valid_until_ts);
                    self.keys.insert(key_id, VerifyKey { valid_until_ts, ..key });
                }
                _ => {
                    self.keys.insert(key_id, key);
                }
            }
        }
        refused
    }

    /// Takes over what an older answer says beside: keys that are not known, and for how long a known one was in use.
    /// What the newer answer says of a key stays.
    pub fn complete(&mut self, older: Self) {
        for (key_id, key) in older.keys {
            let known = self.keys.entry(key_id).or_insert(key);
            if known.key == key.key && !known.retired && !key.retired {
                known.valid_until_ts = known.valid_until_ts.max(key.valid_until_ts);
            }
        }
    }
}

impl KeyRing {
    /// A ring without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys of a server, if any are known.
    #[must_use]
    pub fn of(&self, server_name: &ServerName) -> Option<&ServerKeys> {
        self.servers.get(server_name)
    }

    /// Adds keys of a server; what is known stays, as [`ServerKeys::merge`] says.
    pub fn add(&mut self, server_name: OwnedServerName, keys: ServerKeys, now: i64) -> Vec<String> {
        self.servers.entry(server_name).or_default().merge(keys, now)
    }
}

/// Our own keys as published: signed, with keys we no longer use.
#[must_use]
pub fn publish(
    server_name: &ServerName,
    key: &SigningKey,
    retired: &ServerKeys,
    valid_until_ts: i64,
) -> CanonicalJsonObject {
    let entry = |key: [u8; 32]| CanonicalJsonObject::from([("key".to_owned(), encode(key).into())]);
    let old = retired.keys.iter().map(|(key_id, old)| {
        let mut entry = entry(old.key);
        entry.insert("expired_ts".to_owned(), Int::new_saturating(old.valid_until_ts).into());
        (key_id.clone(), entry.into())
    });
    let live = (key.key_id().to_owned(), entry(key.public_key()).into());
    let mut answer = CanonicalJsonObject::from([
        ("server_name".to_owned(), server_name.as_str().into()),
        ("valid_until_ts".to_owned(), Int::new_saturating(valid_until_ts).into()),
        ("verify_keys".to_owned(), CanonicalJsonObject::from([live]).into()),
        ("old_verify_keys".to_owned(), old.collect::<CanonicalJsonObject>().into()),
    ]);
    key.sign_json(&mut answer, server_name.as_str());
    answer
}

/// Until when an answer about keys holds by its own account; of two, the one that holds longer is the newer.
#[must_use]
pub fn valid_until_ts(answer: &CanonicalJsonObject) -> i64 {
    int_at(answer, "valid_until_ts").unwrap_or_default()
}

/// The key of an entry that can be used: Ed25519, 32 bytes, not blocked.
fn key_of(key_id: &str, entry: &CanonicalJsonValue) -> Option<[u8; 32]> {
    let key = decode(entry.as_object()?.get("key")?.as_str()?)?;
    // Written in our way, since the answer may have written it in another.
    let is_blocked = BLOCKED.contains(&encode(key).as_str());
    (is_key_id(key_id) && !is_blocked).then_some(key)
}

fn str_at<'a>(object: &'a CanonicalJsonObject, field: &'static str) -> Result<&'a str, KeysFault> {
    object.get(field).and_then(CanonicalJsonValue::as_str).ok_or(KeysFault::Field(field))
}

fn int_at(object: &CanonicalJsonObject, field: &'static str) -> Result<i64, KeysFault> {
    let integer = object.get(field).and_then(CanonicalJsonValue::as_integer);
    integer.map(i64::from).ok_or(KeysFault::Field(field))
}

fn object_at<'a>(
    object: &'a CanonicalJsonObject,
    field: &'static str,
) -> Result<&'a CanonicalJsonObject, KeysFault> {
    object.get(field).and_then(CanonicalJsonValue::as_object).ok_or(KeysFault::Field(field))
}
