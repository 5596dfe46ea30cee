//! How do the platform's types map to Cloudflare Workers?
//!
//! The entry file declares the event and one class for each kind of object; each class holds a
//! [`Host`] and passes everything on to it:
//!
//! ```ignore
//! #[event(fetch)]
//! async fn fetch(request: web_sys::Request, env: Env, context: Context) -> worker::Result<web_sys::Response> {
//!     workers::http(application(), request, env, context).await
//! }
//!
//! #[durable_object]
//! pub struct RoomObject(Host);
//!
//! impl DurableObject for RoomObject {
//!     fn new(state: State, env: Env) -> Self {
//!         Self(Host::new(state, env, "room", application()))
//!     }
//!     async fn fetch(&self, request: Request) -> Result<Response> { self.0.fetch(request).await }
//!     async fn alarm(&self) -> Result<Response> { self.0.alarm().await }
//!     // and the three handlers of hibernatable sockets
//! }
//!
//! #[wasm_bindgen]
//! impl RoomObject {
//!     pub async fn ask(&self, name: String, message: String, body: String) -> Result<String, JsValue> {
//!         self.0.ask(&name, &message, &body).await
//!     }
//! }
//! ```
//!
//! Bindings: objects under their class in upper case, D1 as `DB`, KV as `CACHE`, R2 as `MEDIA`.

mod alarm;
mod d1;
mod fetch;
mod host;
mod http;
mod isolate;
mod javascript;
mod kv;
mod logs;
mod place;
mod r2;
mod socket;
mod sql;
pub(crate) mod stream;
mod world;

pub use d1::D1;
pub use host::Host;
pub use http::http;
pub use kv::Kv;
pub use r2::R2;
pub use sql::{Row, Sql};
pub use world::World;
