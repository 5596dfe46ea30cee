//! How does a request reach another server, and its response come back within limits?
//!
//! [fetch](https://developers.cloudflare.com/workers/runtime-apis/fetch/). The time covers
//! everything from the call to the last byte.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt,
    future::{Either, select},
    stream,
};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, Headers, ReadableStream, ReadableStreamDefaultReader, RequestInit,
    RequestRedirect, Response, WorkerGlobalScope,
};
use worker::Delay;

use super::javascript::{Stub, reason};
use crate::{Body, Limits, Unreachable, Unread, body::Chunks};

/// A JavaScript timer cannot be set for longer.
const LONGEST_TIMER: Duration = Duration::from_millis(i32::MAX as u64);

/// Sends the request, over a service of the deployment if one is given; the connection is dropped when the time is over,
/// and when the response's body is read no further.
pub(super) async fn open(
    request: http::Request<Bytes>,
    limits: Limits,
    service: Option<Stub>,
) -> Result<http::Response<Body>, Unreachable> {
    let controller = AbortController::new().map_err(|error| Unreachable(reason(&error)))?;
    let connection = Connection(controller);
    let end = Delay::from(limits.time.min(LONGEST_TIMER));
    match select(pin!(exchange(request, connection, service)), end).await {
        Either::Left((response, end)) => {
            Ok(response?.map(|body| body.limited(limits.bytes).until(end)))
        }
        Either::Right(_) => Err(Unreachable("the time is over".to_owned())),
    }
}

/// One of the few connections of an invocation. It is given back also where nobody waits for the response any more.
struct Connection(AbortController);

impl Drop for Connection {
    // What has ended already is not touched by this.
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn exchange(
    request: http::Request<Bytes>,
    connection: Connection,
    service: Option<Stub>,
) -> Result<http::Response<Body>, Unreachable> {
    let thrown = |error: JsValue| Unreachable(reason(&error));
    let request = outgoing(request, &connection.0).map_err(thrown)?;
    let response = match service {
        Some(service) => service.fetch(&request).map_err(thrown)?,
        None => {
            let global: WorkerGlobalScope = js_sys::global().unchecked_into();
            global.fetch_with_request(&request)
        }
    };
    let response = JsFuture::from(response).await.map_err(thrown)?;
    let response: Response = response.unchecked_into();
    let body = response.body().map_or_else(Body::default, |body| {
        Body::stream(chunks_of(body, connection)).announcing(announced(&response.headers()))
    });
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

/// The body of a request.
pub(super) fn incoming_body(body: Option<ReadableStream>, headers: &Headers) -> Body {
    body.map_or_else(Body::default, |body| {
        Body::untouched(body, chunks).announcing(announced(headers))
    })
}

/// A stream of the platform, chunk by chunk.
pub(super) fn chunks(stream: ReadableStream) -> Chunks {
    chunks_of(stream, ()).boxed_local()
}

/// A body, chunk by chunk; `held` is dropped when it is read no further.
fn chunks_of<H>(body: ReadableStream, held: H) -> impl Stream<Item = Result<Bytes, Unread>> {
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    stream::unfold((reader, held), async |(reader, held)| {
        let chunk = read(&reader).await.transpose()?;
        let chunk = chunk.map_err(|error| Unread::Broken(reason(&error)));
        Some((chunk, (reader, held)))
    })
}

/// The next chunk, if there is one.
async fn read(reader: &ReadableStreamDefaultReader) -> Result<Option<Bytes>, JsValue> {
    let chunk = JsFuture::from(reader.read()).await?;
    if js_sys::Reflect::get(&chunk, &"done".into())?.is_truthy() {
        return Ok(None);
    }
    let chunk: Uint8Array = js_sys::Reflect::get(&chunk, &"value".into())?.unchecked_into();
    Ok(Some(chunk.to_vec().into()))
}

/// How many bytes the headers say there are. What is encoded is counted so, and comes decoded.
pub(super) fn announced(headers: &Headers) -> Option<usize> {
    if headers.has("content-encoding").unwrap_or(true) {
        return None;
    }
    headers.get("content-length").ok().flatten()?.parse().ok()
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
