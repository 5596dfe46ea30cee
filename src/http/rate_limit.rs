//! May a caller without an access token make this request now?
//!
//! The caller is known by the address in the header that the operator's network sets (`ADDRESS_HEADER`). Without that
//! header, all callers share one bucket.

use std::{cell::RefCell, collections::BTreeMap};

use bytes::Bytes;
use http::Request;
use ruma::ServerName;
use tombolo_platform::World;

use crate::{
    bucket::{Bucket, Limit},
    config::Config,
    error::{Result, limited},
};

/// The kinds of requests that are counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Making an account.
    Registration,
    /// Logging in, under whatever name: each attempt costs a password hash.
    Login,
    /// A request that makes us write, or ask another server.
    Errand,
    /// An upload, or media that another server is asked for: a client that scrolls asks for many at once.
    Media,
}

impl Kind {
    fn limit(self) -> Limit {
        match self {
            Self::Registration => Limit { burst: 5.0, per_second: 0.17 },
            Self::Login => Limit { burst: 20.0, per_second: 0.5 },
            Self::Errand => Limit { burst: 50.0, per_second: 10.0 },
            Self::Media => Limit { burst: 200.0, per_second: 10.0 },
        }
    }
}

/// The most addresses whose buckets are remembered; beyond that, all are forgotten.
const MAX_ADDRESSES: usize = 10_000;

#[derive(Default)]
struct Addresses(RefCell<BTreeMap<(Kind, String), Bucket>>);

/// A caller without an access token, known by an address.
pub struct Stranger(String);

impl Stranger {
    /// The caller of a request.
    pub fn of(world: &World, request: &Request<Bytes>) -> Result<Self> {
        let config = Config::of(world)?;
        let header = config.address_header.as_deref();
        let address = header.and_then(|name| request.headers().get(name)?.to_str().ok());
        Ok(Self(address.unwrap_or_default().to_owned()))
    }

    /// Counts a request of this kind.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED` with the time to wait.
    pub fn count(self, world: &World, kind: Kind) -> Result<()> {
        if !Config::of(world)?.rate_limits {
            return Ok(());
        }
        let addresses = world.isolate(|_| Addresses::default());
        let mut buckets = addresses.0.borrow_mut();
        if buckets.len() > MAX_ADDRESSES {
            buckets.clear();
        }
        let bucket = buckets.entry((kind, self.0)).or_default();
        bucket.take(&kind.limit(), world.now()).map_or(Ok(()), |wait| Err(limited(wait)))
    }

    /// Counts an errand if a server other than this one has to be asked.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED` with the time to wait.
    pub fn count_errand(self, world: &World, server: &ServerName) -> Result<()> {
        if server == Config::of(world)?.server_name {
            return Ok(());
        }
        self.count(world, Kind::Errand)
    }
}

/// Counts a request of its caller.
///
/// # Errors
/// `M_LIMIT_EXCEEDED` with the time to wait.
pub fn count(world: &World, request: &Request<Bytes>, kind: Kind) -> Result<()> {
    Stranger::of(world, request)?.count(world, kind)
}
