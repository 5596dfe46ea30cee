//! What is known of the keys with which a server signs?

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{decode, encode};

/// A key of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyKey {
    /// The public key.
    #[serde(serialize_with = "write_key", deserialize_with = "read_key")]
    pub key: [u8; 32],
    /// The last moment at which what it signs is believed.
    pub valid_until_ts: i64,
    /// Whether the server no longer signs with it. It then verifies events, but no requests.
    #[serde(default)]
    pub retired: bool,
}

/// What is known of a server's keys. Its serialised form is what caches hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerKeys {
    /// The keys by their IDs.
    pub keys: BTreeMap<String, VerifyKey>,
}

fn write_key<S: Serializer>(key: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&encode(key))
}

fn read_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(deserializer)?;
    decode(&text).ok_or_else(|| D::Error::custom("not a key of 32 bytes"))
}
