//! What does Cloudflare's runtime call? The entry on wasm32, as thin as can be.

use std::rc::Rc;

use tombolo_platform::{
    Application, Class, World,
    workers::{self, Host},
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{
    Context, DurableObject, Env, Request, Response, Result, State, WebSocket,
    WebSocketIncomingMessage, durable_object, event,
};

use crate::{app::Tombolo, objects::classes};

fn application() -> Rc<dyn Application<World>> {
    Rc::new(Tombolo)
}

#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> Result<web_sys::Response> {
    workers::http(application(), request, env, context).await
}

/// Declares a Durable Object for each class of objects.
macro_rules! durable_objects {
    ($($module:ident::$class:ident, $name:ident;)*) => {
        $(declare!($name, crate::objects::$module::$class);)*
    };
}

macro_rules! declare {
    ($name:ident, $class:path) => {
        #[doc = concat!("An object of `", stringify!($class), "`.")]
        #[durable_object]
        pub struct $name(Host);

        impl DurableObject for $name {
            fn new(state: State, env: Env) -> Self {
                Self(Host::new(state, env, <$class as Class>::NAME, application()))
            }

            async fn fetch(&self, request: Request) -> Result<Response> {
                self.0.fetch(request).await
            }

            async fn alarm(&self) -> Result<Response> {
                self.0.alarm().await
            }

            async fn websocket_message(
                &self,
                socket: WebSocket,
                message: WebSocketIncomingMessage,
            ) -> Result<()> {
                self.0.websocket_message(socket, message).await
            }

            async fn websocket_close(
                &self,
                socket: WebSocket,
                code: usize,
                reason: String,
                clean: bool,
            ) -> Result<()> {
                self.0.websocket_close(socket, code, reason, clean).await
            }

            async fn websocket_error(&self, socket: WebSocket, error: worker::Error) -> Result<()> {
                self.0.websocket_error(socket, error).await
            }
        }

        #[wasm_bindgen]
        impl $name {
            /// Answers one message.
            pub async fn ask(
                &self,
                name: String,
                message: String,
                body: String,
            ) -> std::result::Result<String, JsValue> {
                self.0.ask(&name, &message, &body).await
            }
        }
    };
}

classes!(durable_objects);
