//! What will this be billed for? ([prices](https://developers.cloudflare.com/workers/platform/pricing/))

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

/// The reserved message by which an object's host tells the units of its isolate.
pub(crate) const UNITS_MESSAGE: &str = "platform.units";

/// Billed units, counted since the isolate started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Units {
    /// Requests from outside.
    pub requests: u64,
    /// Calls and waits that reached an object.
    pub object_requests: u64,
    /// Alarms that fired.
    pub alarms: u64,
    /// Rows read by objects. Natively: rows returned.
    pub rows_read: u64,
    /// Rows written by objects, each index counted. Natively: rows changed, without indexes.
    pub rows_written: u64,
    /// Statements and batches sent to D1.
    pub d1_calls: u64,
    /// Rows read in D1. Natively: rows returned.
    pub d1_rows_read: u64,
    /// Rows written in D1. Natively: rows changed, without indexes.
    pub d1_rows_written: u64,
    /// Keys read from KV.
    pub kv_reads: u64,
    /// Keys written or deleted in KV.
    pub kv_writes: u64,
    /// Objects read from R2, or looked at.
    pub r2_reads: u64,
    /// Objects and parts of objects written to R2.
    pub r2_writes: u64,
    /// Requests to other servers.
    pub fetches: u64,
    /// How large the isolate's memory has grown (bytes). Natively: 0.
    pub memory: u64,
}

/// Where units are counted.
#[derive(Debug, Default)]
pub(crate) struct Meter(RefCell<Units>);

impl Meter {
    pub(crate) fn count(&self, add: impl FnOnce(&mut Units)) {
        add(&mut self.0.borrow_mut());
    }

    pub(crate) fn read(&self) -> Units {
        Units { memory: memory(), ..*self.0.borrow() }
    }
}

/// It never shrinks.
#[cfg(target_arch = "wasm32")]
fn memory() -> u64 {
    const PAGE: u64 = 1 << 16;
    core::arch::wasm32::memory_size::<0>() as u64 * PAGE
}

#[cfg(not(target_arch = "wasm32"))]
const fn memory() -> u64 {
    0
}
