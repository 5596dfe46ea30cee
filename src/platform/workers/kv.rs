//! How is the server's key-value store asked, on Workers?
//!
//! [The KV API](https://developers.cloudflare.com/kv/api/).

use std::collections::BTreeMap;

use bytes::Bytes;
use worker::{Env, KvStore};

use super::isolate::meter;
use crate::{KvError, MIN_TTL, MOST_KEYS};

/// The binding.
const BINDING: &str = "CACHE";

/// The server's KV namespace: eventually consistent.
#[derive(Clone)]
pub struct Kv {
    env: Env,
}

impl Kv {
    pub(super) fn of(env: &Env) -> Self {
        Self { env: env.clone() }
    }

    /// The key's value, unless it has expired.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, KvError> {
        meter().count(|units| units.kv_reads += 1);
        let value = self.store()?.get(key).bytes().await.map_err(unreachable)?;
        Ok(value.map(Bytes::from))
    }

    /// The values of several keys, read as text in one operation; what is not there or has expired is left out.
    pub async fn texts(&self, keys: &[String]) -> Result<BTreeMap<String, String>, KvError> {
        if keys.len() > MOST_KEYS {
            return Err(KvError::TooManyKeys(keys.len()));
        }
        // KV refuses an empty list.
        if keys.is_empty() {
            return Ok(BTreeMap::new());
        }
        meter().count(|units| units.kv_reads += keys.len() as u64);
        let found = self.store()?.get_bulk(keys).text().await.map_err(unreachable)?;
        Ok(found.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
    }

    /// Keeps the value for so many seconds, or for ever.
    pub async fn put(&self, key: &str, value: &[u8], ttl: Option<u64>) -> Result<(), KvError> {
        if let Some(ttl) = ttl.filter(|ttl| *ttl < MIN_TTL) {
            return Err(KvError::TtlTooShort(ttl));
        }
        meter().count(|units| units.kv_writes += 1);
        let put = self.store()?.put_bytes(key, value).map_err(unreachable)?;
        let put = if let Some(ttl) = ttl { put.expiration_ttl(ttl) } else { put };
        put.execute().await.map_err(unreachable)
    }

    /// Forgets the key.
    pub async fn delete(&self, key: &str) -> Result<(), KvError> {
        meter().count(|units| units.kv_writes += 1);
        self.store()?.delete(key).await.map_err(unreachable)
    }

    fn store(&self) -> Result<KvStore, KvError> {
        self.env.kv(BINDING).map_err(|error| KvError::Unreachable(error.to_string()))
    }
}

fn unreachable(error: worker::KvError) -> KvError {
    KvError::Unreachable(error.to_string())
}
