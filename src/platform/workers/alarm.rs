//! When is the object to be woken next?
//!
//! [Alarms](https://developers.cloudflare.com/durable-objects/api/alarms/): one for each object.
//! What is armed is remembered, because setting an alarm writes a row.

use std::cell::Cell;

use js_sys::{Date, Object, Promise};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::worker_sys::DurableObjectStorage;

use super::{isolate::meter, javascript::reason};
use crate::Fault;

/// An alarm that failed is tried again after this, doubled with each failure.
const FIRST_RETRY: u64 = 2000;

/// The pause between tries of a failing alarm grows no further than this.
const LONGEST_RETRY: u64 = 300_000;

/// An object's alarm, as far as its host remembers.
pub(super) struct Alarm {
    armed: Cell<Armed>,
    failures: Cell<u32>,
}

#[derive(Clone, Copy)]
enum Armed {
    Unknown,
    At(Option<u64>),
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self { armed: Cell::new(Armed::Unknown), failures: Cell::new(0) }
    }

    /// Learns once what is armed; before a transaction, which cannot wait.
    pub(super) async fn learn(&self, storage: &DurableObjectStorage) -> Result<(), Fault> {
        if let Armed::At(_) = self.armed.get() {
            return Ok(());
        }
        let asked =
            storage.get_alarm(JsValue::UNDEFINED.unchecked_into::<Object>()).map_err(fault)?;
        let at = JsFuture::from(asked).await.map_err(fault)?.as_f64().map(|at| at as u64);
        // Another message may have armed it meanwhile, and knows better.
        if let Armed::Unknown = self.armed.get() {
            self.armed.set(Armed::At(at));
        }
        Ok(())
    }

    /// Sees to it that the object is woken at this time at the latest. Called in the transaction
    /// whose writes it belongs to; the promise is fulfilled when it is stored.
    pub(super) fn arm(
        &self,
        storage: &DurableObjectStorage,
        at: u64,
    ) -> Result<Option<Promise>, Fault> {
        if let Armed::At(Some(armed)) = self.armed.get()
            && armed <= at
        {
            return Ok(None);
        }
        let date = Date::new(&JsValue::from_f64(at as f64));
        let stored = storage
            .set_alarm(date, JsValue::UNDEFINED.unchecked_into::<Object>())
            .map_err(fault)?;
        meter().count(|units| units.rows_written += 1);
        self.armed.set(Armed::At(Some(at)));
        Ok(Some(stored))
    }

    /// What is armed is no longer certain.
    pub(super) fn forget(&self) {
        self.armed.set(Armed::Unknown);
    }

    /// It fired, so none is armed until somebody arms one.
    pub(super) fn fired(&self) {
        meter().count(|units| units.alarms += 1);
        self.armed.set(Armed::At(None));
    }

    /// It was served.
    pub(super) fn served(&self) {
        self.failures.set(0);
    }

    /// It could not be served: when to try again.
    pub(super) fn failed(&self, now: u64) -> u64 {
        let failures = self.failures.get();
        self.failures.set(failures.saturating_add(1));
        now + FIRST_RETRY.saturating_mul(2_u64.saturating_pow(failures)).min(LONGEST_RETRY)
    }
}

/// Waits until the alarm is stored.
pub(super) async fn stored(promise: Option<Promise>) -> Result<(), Fault> {
    match promise {
        Some(promise) => JsFuture::from(promise).await.map(drop).map_err(fault),
        None => Ok(()),
    }
}

fn fault(error: JsValue) -> Fault {
    Fault(format!("alarm: {}", reason(&error)))
}
