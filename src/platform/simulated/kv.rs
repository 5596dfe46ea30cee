//! How is the server's key-value store asked, natively?

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use bytes::Bytes;

use super::{executor::hop, server::ServerState, simulation::Core};
use crate::{KvError, MIN_TTL, MOST_KEYS};

/// A write may stay unseen this long, in milliseconds.
const SEEN_AFTER: u64 = 60_000;

/// What a store holds.
pub(super) type Pairs = RefCell<BTreeMap<String, Entry>>;

#[derive(Clone)]
struct Written {
    value: Option<Bytes>,
    expires: Option<u64>,
}

/// A key's value, and the one before it.
pub(super) struct Entry {
    now: Written,
    before: Option<Written>,
    at: u64,
}

/// The server's KV namespace: eventually consistent.
#[derive(Clone)]
pub struct Kv {
    pub(super) core: Rc<Core>,
    pub(super) server: Rc<ServerState>,
}

impl Kv {
    /// The key's value, unless it has expired.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, KvError> {
        hop().await;
        Ok(self.read(key))
    }

    /// The values of several keys, read as text in one operation; what is not there or has expired is left out.
    pub async fn texts(&self, keys: &[String]) -> Result<BTreeMap<String, String>, KvError> {
        if keys.len() > MOST_KEYS {
            return Err(KvError::TooManyKeys(keys.len()));
        }
        hop().await;
        let text = |value: Bytes| String::from_utf8_lossy(&value).into_owned();
        Ok(keys.iter().filter_map(|key| Some((key.clone(), text(self.read(key)?)))).collect())
    }

    /// Keeps the value for so many seconds, or for ever.
    pub async fn put(&self, key: &str, value: &[u8], ttl: Option<u64>) -> Result<(), KvError> {
        if let Some(ttl) = ttl.filter(|ttl| *ttl < MIN_TTL) {
            return Err(KvError::TtlTooShort(ttl));
        }
        hop().await;
        let expires =
            ttl.map(|ttl| self.core.executor.now().saturating_add(ttl.saturating_mul(1000)));
        self.write(key, Written { value: Some(Bytes::copy_from_slice(value)), expires });
        Ok(())
    }

    /// Forgets the key.
    pub async fn delete(&self, key: &str) -> Result<(), KvError> {
        hop().await;
        self.write(key, Written { value: None, expires: None });
        Ok(())
    }

    fn read(&self, key: &str) -> Option<Bytes> {
        self.server.meter.count(|units| units.kv_reads += 1);
        let now = self.core.executor.now();
        let stale = self.core.dice.per_mille(self.core.faults.get().stale_kv);
        let pairs = self.server.kv.borrow();
        let entry = pairs.get(key)?;
        let unseen = stale && now < entry.at + SEEN_AFTER;
        let written = if unseen { entry.before.as_ref() } else { Some(&entry.now) };
        let live = written.filter(|written| written.expires.is_none_or(|expires| now < expires));
        live.and_then(|written| written.value.clone())
    }

    fn write(&self, key: &str, written: Written) {
        self.server.meter.count(|units| units.kv_writes += 1);
        let mut pairs = self.server.kv.borrow_mut();
        let before = pairs.remove(key).map(|entry| entry.now);
        pairs.insert(key.to_owned(), Entry { now: written, before, at: self.core.executor.now() });
    }
}
