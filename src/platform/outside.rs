//! Which plain values go with what lies outside: other servers, D1, KV, R2?

use std::time::Duration;

use crate::{Unread, Value};

/// How much one `fetch` may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the whole response has arrived, waiting for a free connection included.
    pub time: Duration,
    /// Of the response's body; one byte more and the fetch fails.
    pub bytes: usize,
}

/// One statement of a D1 batch.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// The text, with `?` for each value.
    pub sql: &'a str,
    /// The values.
    pub values: &'a [Value<'a>],
}

/// KV refuses to expire a value sooner than after this many seconds.
pub const MIN_TTL: u64 = 60;

/// So many keys KV reads at once, as one operation.
pub const MOST_KEYS: usize = 100;

/// KV could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// A time to live under [`MIN_TTL`].
    #[error("a value cannot expire after {0} s: KV keeps it for {MIN_TTL} s at least")]
    TtlTooShort(u64),
    /// More keys than [`MOST_KEYS`].
    #[error("{0} keys at once are too many: KV reads {MOST_KEYS}")]
    TooManyKeys(usize),
    /// No answer; a write may or may not have taken effect.
    #[error("KV is unreachable: {0}")]
    Unreachable(String),
}

/// R2 takes a large object in parts of this many bytes, the last one excepted.
/// ([limits](https://developers.cloudflare.com/r2/objects/upload-objects/#multipart-uploads))
pub const PART: usize = 5 << 20;

/// R2 could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum R2Error {
    /// What was to be kept could not be read to its end: nothing was kept.
    #[error(transparent)]
    Unread(#[from] Unread),
    /// No answer; a write may or may not have taken effect.
    #[error("R2 is unreachable: {0}")]
    Unreachable(String),
}
