//! Does workerd keep the contract? Its program as a Worker: ask it for `/contract`.
#![cfg(target_arch = "wasm32")]

mod suite;

use std::rc::Rc;

use suite::Contract;
use tombolo_platform::{
    Application, World,
    workers::{self, Host},
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{
    Context, DurableObject, Env, Request, Response, Result, State, WebSocket,
    WebSocketIncomingMessage, durable_object, event,
};

fn application() -> Rc<dyn Application<World>> {
    Rc::new(Contract)
}

#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> Result<web_sys::Response> {
    workers::http(application(), request, env, context).await
}

/// An object of class `shelf`.
#[durable_object]
pub struct ShelfObject(Host);

impl DurableObject for ShelfObject {
    fn new(state: State, env: Env) -> Self {
        Self(Host::new(state, env, "shelf", application()))
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
impl ShelfObject {
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
