//! Where do objects live?
//!
//! An object lives where it was first asked for, for ever, and the first to ask may be a stranger at the other end of the
//! world. So the deployment names a place (`LOCATION_HINT`) and, where the law asks for it, a `JURISDICTION`
//! ([data location](https://developers.cloudflare.com/durable-objects/reference/data-location/)); both go with every
//! question. An object of the same name in another jurisdiction is another object.

use js_sys::{Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use worker::Env;

use super::javascript::{Namespace, Stub, variable};
use crate::AnyAddress;

/// The object as others see it.
pub(super) fn object(env: &Env, to: &AnyAddress) -> Result<Stub, JsValue> {
    let given = |name: &str| variable(env, name).filter(|value| !value.is_empty());
    let namespace = Reflect::get(env, &to.class.to_ascii_uppercase().into())?;
    let mut namespace = namespace.unchecked_into::<Namespace>();
    if let Some(jurisdiction) = given("JURISDICTION") {
        namespace = namespace.jurisdiction(&jurisdiction)?;
    }
    let options = match given("LOCATION_HINT") {
        Some(hint) => {
            let options = Object::new();
            Reflect::set(&options, &"locationHint".into(), &hint.into())?;
            options.into()
        }
        None => JsValue::UNDEFINED,
    };
    namespace.get_by_name(&to.name, &options)
}
