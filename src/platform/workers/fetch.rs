//! How does a request reach another server, and its response come back within limits?
//!
//! [fetch](https://developers.cloudflare.com/workers/runtime-apis/fetch/). The time covers
//! everything from the call to the last byte.

use std::{cell::Cell, pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::future::{Either, select};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, Headers, ReadableStream, ReadableStreamDefaultReader, RequestInit,
    RequestRedirect, Response, WorkerGlobalScope,
};
use worker::Delay;

use super::javascript::reason;
use crate::{Limits, Unreachable};

/// A JavaScript timer cannot be set for longer.
const LONGEST_TIMER: Duration = Duration::from_millis(i32::MAX as u64);

/// Why a body was not read.
pub(super) enum Unread {
    /// It has more bytes than allowed.
    TooLarge,
    /// The stream broke.
    Broken(JsValue),
}

/// Sends the request; the connection is dropped when the time is over or the body too large.
pub(super) async fn fetch(
    request: http::Request<Bytes>,
    limits: Limits,
) -> Result<http::Response<Bytes>, Unreachable> {
    let controller = AbortController::new().map_err(|error| Unreachable(reason(&error)))?;
    let connection = Connection { controller, ended: Cell::new(false) };
    let exchange = pin!(exchange(request, &connection.controller, limits.bytes));
    let outcome = match select(exchange, pin!(Delay::from(limits.time.min(LONGEST_TIMER)))).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Err(Unreachable("the time is over".to_owned())),
    };
    connection.ended.set(outcome.is_ok());
    outcome
}

/// One of the few connections of an invocation. It is given back also where nobody waits for the response any more.
struct Connection {
    controller: AbortController,
    ended: Cell<bool>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.ended.get() {
            self.controller.abort();
        }
    }
}

async fn exchange(
    request: http::Request<Bytes>,
    controller: &AbortController,
    most: usize,
) -> Result<http::Response<Bytes>, Unreachable> {
    let thrown = |error: JsValue| Unreachable(reason(&error));
    let request = outgoing(request, controller).map_err(thrown)?;
    let global: WorkerGlobalScope = js_sys::global().unchecked_into();
    let response = JsFuture::from(global.fetch_with_request(&request)).await.map_err(thrown)?;
    let response: Response = response.unchecked_into();
    let body =
        read(response.body(), &response.headers(), most).await.map_err(|unread| match unread {
            Unread::TooLarge => Unreachable(format!("the response has more than {most} bytes")),
            Unread::Broken(error) => thrown(error),
        })?;
    let mut incoming = http::Response::new(body);
    *incoming.status_mut() = http::StatusCode::from_u16(response.status())
        .map_err(|error| Unreachable(error.to_string()))?;
    *incoming.headers_mut() = headers_in(&response.headers()).map_err(Unreachable)?;
    Ok(incoming)
}

fn outgoing(
    request: http::Request<Bytes>,
    controller: &AbortController,
) -> Result<web_sys::Request, JsValue> {
    let (head, body) = request.into_parts();
    let init = RequestInit::new();
    init.set_method(head.method.as_str());
    let headers = headers_out(&head.headers)?;
    init.set_headers(&headers);
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&controller.signal()));
    if !body.is_empty() {
        init.set_body(&Uint8Array::from(&*body));
    }
    web_sys::Request::new_with_str_and_init(&head.uri.to_string(), &init)
}

/// The whole body, if it has at most so many bytes.
pub(super) async fn read(
    body: Option<ReadableStream>,
    headers: &Headers,
    most: usize,
) -> Result<Bytes, Unread> {
    let Some(body) = body else { return Ok(Bytes::new()) };
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    let mut bytes = Vec::new();
    if announced(headers).is_some_and(|length| length > most) {
        return Err(stop(&reader).await);
    }
    loop {
        let chunk = JsFuture::from(reader.read()).await.map_err(Unread::Broken)?;
        let field = |name: &str| js_sys::Reflect::get(&chunk, &name.into()).map_err(Unread::Broken);
        if field("done")?.is_truthy() {
            return Ok(bytes.into());
        }
        let chunk: Uint8Array = field("value")?.unchecked_into();
        if chunk.length() as usize > most - bytes.len() {
            return Err(stop(&reader).await);
        }
        append(&mut bytes, &chunk);
    }
}

/// How many bytes the headers say there are.
pub(super) fn announced(headers: &Headers) -> Option<usize> {
    headers.get("content-length").ok().flatten()?.parse().ok()
}

fn append(bytes: &mut Vec<u8>, chunk: &Uint8Array) {
    let start = bytes.len();
    bytes.resize(start + chunk.length() as usize, 0);
    chunk.copy_to(&mut bytes[start..]);
}

async fn stop(reader: &ReadableStreamDefaultReader) -> Unread {
    match JsFuture::from(reader.cancel()).await {
        Ok(_) => Unread::TooLarge,
        Err(error) => Unread::Broken(error),
    }
}

/// JavaScript's headers as ours.
pub(super) fn headers_in(headers: &Headers) -> Result<http::HeaderMap, String> {
    let mut map = http::HeaderMap::new();
    for entry in headers.entries() {
        let entry: js_sys::Array = entry.map_err(|error| reason(&error))?.unchecked_into();
        let (name, value) = (
            entry.get(0).as_string().unwrap_or_default(),
            entry.get(1).as_string().unwrap_or_default(),
        );
        let name =
            http::HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        let value =
            http::HeaderValue::from_bytes(value.as_bytes()).map_err(|error| error.to_string())?;
        map.append(name, value);
    }
    Ok(map)
}

/// Our headers as JavaScript's.
pub(super) fn headers_out(map: &http::HeaderMap) -> Result<Headers, JsValue> {
    let headers = Headers::new()?;
    for (name, value) in map {
        let value = std::str::from_utf8(value.as_bytes())
            .map_err(|error| js_sys::Error::new(&error.to_string()))?;
        headers.append(name.as_str(), value)?;
    }
    Ok(headers)
}
