//! What may go wrong in a simulation, and how often?

/// Chances are in a thousand unless said otherwise. The default is a world without faults, in which
/// only the order of what is ready is chosen by the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Each way of a fetch takes from 1 to this many milliseconds, so fetches overtake each other.
    pub latency: u64,
    /// One way of a fetch is lost: the caller waits until its time is over.
    pub lost_fetch: u32,
    /// A fetch is delivered twice; the second response is discarded.
    pub repeated_fetch: u32,
    /// An ask fails, before or after it took effect.
    pub lost_ask: u32,
    /// An ask is delivered twice; the second reply is discarded.
    pub repeated_ask: u32,
    /// An alarm that was served fires once more.
    pub repeated_alarm: u32,
    /// An object forgets its hot state before a message.
    pub evicted_object: u32,
    /// A request meets a fresh isolate.
    pub fresh_isolate: u32,
    /// A D1 call fails before it takes effect.
    pub lost_d1: u32,
    /// An R2 call fails, before or after it took effect.
    pub lost_r2: u32,
    /// A KV value less than a minute old is not seen yet.
    pub stale_kv: u32,
    /// In a million polls: the server goes down and starts again, databases kept.
    pub crashes_per_million: u32,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        latency: 20,
        lost_fetch: 0,
        repeated_fetch: 0,
        lost_ask: 0,
        repeated_ask: 0,
        repeated_alarm: 0,
        evicted_object: 0,
        fresh_isolate: 0,
        lost_d1: 0,
        lost_r2: 0,
        stale_kv: 0,
        crashes_per_million: 0,
    };

    /// Everything goes wrong now and then.
    pub const HARSH: Self = Self {
        latency: 2000,
        lost_fetch: 50,
        repeated_fetch: 50,
        lost_ask: 10,
        repeated_ask: 50,
        repeated_alarm: 200,
        evicted_object: 200,
        fresh_isolate: 200,
        lost_d1: 5,
        lost_r2: 10,
        stale_kv: 200,
        crashes_per_million: 500,
    };
}

impl Default for Faults {
    fn default() -> Self {
        Self::NONE
    }
}
