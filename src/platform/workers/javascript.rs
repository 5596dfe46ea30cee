//! Which JavaScript is called that no crate declares?

use std::cell::RefCell;

use js_sys::{Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::Env;

use crate::{AnyAddress, message::Failed};

#[wasm_bindgen]
extern "C" {
    /// An object's storage, for what `worker` leaves out.
    pub(super) type Storage;

    /// Runs `work` in one transaction; a throw rolls it back and comes out again.
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    pub(super) fn transaction_sync(
        this: &Storage,
        work: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;

    /// The objects of one class.
    pub(super) type Namespace;

    /// The object of a name.
    #[wasm_bindgen(method, catch, js_name = getByName)]
    pub(super) fn get_by_name(
        this: &Namespace,
        name: &str,
        options: &JsValue,
    ) -> Result<Stub, JsValue>;

    /// Its objects that live and stay in one jurisdiction.
    #[wasm_bindgen(method, catch)]
    pub(super) fn jurisdiction(this: &Namespace, name: &str) -> Result<Namespace, JsValue>;

    /// An object, or another service, as others see it.
    pub(super) type Stub;

    /// One message by remote procedure call: 26 µs, where a fetch takes 139.
    #[wasm_bindgen(method, catch)]
    pub(super) fn ask(
        this: &Stub,
        name: &str,
        message: &str,
        body: &str,
    ) -> Result<Promise, JsValue>;

    /// A request to it.
    #[wasm_bindgen(method, catch)]
    pub(super) fn fetch(this: &Stub, request: &web_sys::Request) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn fill_with_random(array: &Uint8Array);
}

/// Random bytes not yet given out: every message to an object takes some, and asking for them is slow.
const POOL: usize = 4096;

thread_local! {
    static UNUSED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The service to which the deployment binds this name, if there is one.
pub(super) fn service(env: &Env, name: &str) -> Option<Stub> {
    let bound = Reflect::get(env, &name.into()).ok()?;
    bound.is_object().then(|| bound.unchecked_into())
}

/// 32 random bytes.
pub(super) fn random() -> [u8; 32] {
    UNUSED.with_borrow_mut(|unused| {
        if unused.len() < 32 {
            let array = Uint8Array::new_with_length(POOL as u32);
            fill_with_random(&array);
            *unused = array.to_vec();
        }
        let (rest, mut bytes) = (unused.len() - 32, [0; 32]);
        bytes.copy_from_slice(&unused[rest..]);
        unused.truncate(rest);
        bytes
    })
}

/// Milliseconds since the Unix epoch.
pub(super) fn now() -> u64 {
    js_sys::Date::now() as u64
}

/// What went wrong, as far as JavaScript tells.
pub(super) fn reason(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => error.as_string().unwrap_or_else(|| format!("{error:?}")),
    }
}

/// Another object threw. The platform says whether asking again may help: so it is where an object was reset.
/// ([error handling](https://developers.cloudflare.com/durable-objects/best-practices/error-handling/))
pub(super) fn failed(to: &AnyAddress, error: &JsValue) -> Failed {
    let is = |name: &str| Reflect::get(error, &name.into()).is_ok_and(|value| value.is_truthy());
    let failed = Failed::of(to, &reason(error));
    Failed { again: failed.again || is("retryable") && !is("overloaded"), ..failed }
}

/// Variables and secrets are bindings alike.
pub(super) fn variable(env: &Env, name: &str) -> Option<String> {
    Reflect::get(env, &name.into()).ok().and_then(|value| value.as_string())
}
