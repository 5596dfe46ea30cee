//! How is the server's bucket of large objects asked, natively?

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use futures_util::stream;

use super::{executor::hop, server::ServerState, simulation::Core};
use crate::{Body, PART, R2Error};

/// What a bucket holds.
pub(super) type Objects = RefCell<BTreeMap<String, Bytes>>;

/// Objects are read in chunks of this many bytes.
const CHUNK: usize = 1 << 16;

/// The server's R2 bucket: large objects under keys, each whole or not there.
#[derive(Clone)]
pub struct R2 {
    pub(super) core: Rc<Core>,
    pub(super) server: Rc<ServerState>,
}

impl R2 {
    /// Keeps an object; how many bytes it has. Where the body breaks off, nothing is kept.
    pub async fn put(&self, key: &str, mut body: Body) -> Result<u64, R2Error> {
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk?);
        }
        let parts = if bytes.len() < PART { 1 } else { 2 + bytes.len().div_ceil(PART) as u64 };
        self.server.meter.count(|units| units.r2_writes += parts);
        let size = bytes.len() as u64;
        self.call(|objects| objects.borrow_mut().insert(key.to_owned(), bytes.into())).await?;
        Ok(size)
    }

    /// An object, or those bytes of it from the first number on and before the second.
    pub async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Body>, R2Error> {
        self.server.meter.count(|units| units.r2_reads += 1);
        let Some(object) = self.call(|objects| objects.borrow().get(key).cloned()).await? else {
            return Ok(None);
        };
        let size = object.len();
        let bound = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX).min(size);
        let (from, to) = range.map_or((0, size), |(from, to)| (bound(from), bound(to)));
        let object = object.slice(from.min(to)..to);
        let chunks: Vec<_> =
            object.chunks(CHUNK).map(|chunk| Ok(object.slice_ref(chunk))).collect();
        Ok(Some(Body::stream(stream::iter(chunks)).announcing(Some(object.len()))))
    }

    /// How many bytes an object has, if it is there.
    pub async fn head(&self, key: &str) -> Result<Option<u64>, R2Error> {
        self.server.meter.count(|units| units.r2_reads += 1);
        self.call(|objects| objects.borrow().get(key).map(|object| object.len() as u64)).await
    }

    /// Removes objects, a thousand at most, whether or not they are there.
    pub async fn delete(&self, keys: &[String]) -> Result<(), R2Error> {
        self.call(|objects| objects.borrow_mut().retain(|key, _| !keys.contains(key))).await
    }

    async fn call<T>(&self, work: impl FnOnce(&Objects) -> T) -> Result<T, R2Error> {
        hop().await;
        let lost = || self.core.dice.per_mille(self.core.faults.get().lost_r2);
        let unreachable = || R2Error::Unreachable("the call was lost".to_owned());
        if lost() {
            return Err(unreachable());
        }
        let done = work(&self.server.r2);
        hop().await;
        if lost() { Err(unreachable()) } else { Ok(done) }
    }
}
