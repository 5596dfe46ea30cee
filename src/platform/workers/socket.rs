//! How does a request wait for an object's news without keeping the object in memory?
//!
//! On a [hibernatable WebSocket](https://developers.cloudflare.com/durable-objects/best-practices/websockets/):
//! the platform keeps the socket while the object sleeps. Only the side that waits holds a timer.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::{Delay, Headers, Request, RequestInit, Response, State, WebSocket, WebSocketPair};

use super::javascript::{Stub, failed, now, reason};
use crate::{AnyAddress, Fault, Unreachable, message::Failed};

/// What is sent when there is news.
const NEWS: &str = "news";

/// A JavaScript timer cannot be set for longer, in milliseconds.
const LONGEST_TIMER: u64 = i32::MAX as u64;

/// A wait as it travels: the request of an upgrade has no body, so its URL carries both.
pub(super) struct Wait {
    pub(super) message: String,
    pub(super) body: String,
}

/// How the object took it.
pub(super) enum Taken {
    Answered(String),
    Held(WebSocket),
}

impl Wait {
    pub(super) fn of(request: &Request) -> worker::Result<Self> {
        let mut wait = Self { message: String::new(), body: String::new() };
        for (name, value) in request.url()?.query_pairs() {
            match &*name {
                "message" => wait.message = value.into_owned(),
                "body" => wait.body = value.into_owned(),
                _ => {}
            }
        }
        Ok(wait)
    }

    fn request(&self) -> worker::Result<Request> {
        let encode = |text: &str| String::from(js_sys::encode_uri_component(text));
        let url = format!(
            "https://object/?message={}&body={}",
            encode(&self.message),
            encode(&self.body)
        );
        let headers = Headers::new();
        headers.set("Upgrade", "websocket")?;
        Request::new_with_init(&url, RequestInit::new().with_headers(headers))
    }

    /// Sends it to the object.
    pub(super) async fn send(&self, to: &AnyAddress, stub: &Stub) -> Result<Taken, Failed> {
        let thrown = |error| failed(to, &error);
        let broken = |error: worker::Error| failed(to, &error.into());
        let request = self.request().map_err(broken)?;
        let response = stub.fetch(request.inner()).map_err(thrown)?;
        let response = JsFuture::from(response).await.map_err(thrown)?;
        let mut response: Response = response.unchecked_into::<web_sys::Response>().into();
        match response.status_code() {
            101 => response
                .websocket()
                .map(Taken::Held)
                .ok_or_else(|| Failed::of(to, "the socket is missing")),
            200 => response.text().await.map(Taken::Answered).map_err(broken),
            _ => Err(Failed::of(to, &response.text().await.map_err(broken)?)),
        }
    }
}

/// Waits for news until the time `until`; whether there may be any. A socket that was closed or reset says so too: its
/// object has new code, or is elsewhere, and what it knew is asked for anew.
pub(super) async fn news(socket: &WebSocket, until: u64) -> Result<bool, Unreachable> {
    // The promise's own function is the listener, so nothing of ours is called after we have left.
    let mut listening = Ok(());
    let event = Promise::new(&mut |resolve, _| {
        let raw: &web_sys::WebSocket = socket.as_ref();
        for kind in ["message", "close", "error"] {
            listening = listening
                .clone()
                .and_then(|()| raw.add_event_listener_with_callback(kind, &resolve));
        }
    });
    listening.map_err(|error: JsValue| Unreachable(reason(&error)))?;
    socket.accept().map_err(unreachable)?;
    let time = Duration::from_millis(until.saturating_sub(now()).min(LONGEST_TIMER));
    let outcome = match select(JsFuture::from(event), pin!(Delay::from(time))).await {
        Either::Left((event, _)) => {
            event.map(|_| true).map_err(|error| Unreachable(reason(&error)))
        }
        Either::Right(_) => Ok(false),
    };
    // It may be closed already.
    socket.close(Some(1000), Some("done")).ok();
    outcome
}

/// The object's side: keeps one end of a socket until there is news; the other end is for the waiter.
pub(super) fn hold(state: &State) -> Result<WebSocket, Fault> {
    let pair = WebSocketPair::new().map_err(|error| Fault(error.to_string()))?;
    let accepted = state.as_raw().accept_websocket(pair.server.as_ref());
    accepted.map_err(|error| Fault(format!("a wait cannot be held: {}", reason(&error))))?;
    Ok(pair.client)
}

/// The object's side: lets every wait return.
pub(super) fn wake(state: &State) {
    match state.as_raw().get_websockets() {
        Ok(sockets) => sockets.into_iter().for_each(|socket| tell(&socket.into())),
        Err(error) => worker::console_error!("held sockets cannot be listed: {}", reason(&error)),
    }
}

fn tell(socket: &WebSocket) {
    // A waiter that has just left cannot be told, and need not be.
    if socket.send_with_str(NEWS).is_ok() {
        socket.close(Some(1000), Some(NEWS)).ok();
    }
}

fn unreachable(error: worker::Error) -> Unreachable {
    Unreachable(error.to_string())
}
