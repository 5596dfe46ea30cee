//! How does a request from outside enter the program, and its response leave?

use std::rc::Rc;

use futures_util::{StreamExt, future::Either};
use http::{HeaderValue, StatusCode, header};
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::ReadableStream;
use worker::{Context, Env, worker_sys::FixedLengthStream};

use super::{
    World,
    fetch::{announced, headers_in, headers_out, incoming_body},
    isolate::meter,
    javascript::reason,
    logs,
};
use crate::{Application, Body};

/// A body of at most so many bytes is taken whole.
const SMALL: usize = 1 << 17;

/// Lets the application answer one request.
pub async fn http(
    application: Rc<dyn Application<World>>,
    request: web_sys::Request,
    env: Env,
    context: Context,
) -> worker::Result<web_sys::Response> {
    logs::hear();
    meter().count(|units| units.requests += 1);
    let response = match incoming(&request).await {
        Ok(request) => application.http(World::of(env, context), request).await,
        Err(refused) => refused,
    };
    outgoing(response)
}

async fn incoming(request: &web_sys::Request) -> Result<http::Request<Body>, http::Response<Body>> {
    let url: http::Uri = request.url().parse().map_err(|_| malformed("The URL is malformed"))?;
    let body = body(request).await.map_err(|error| {
        worker::console_debug!("a request's body broke off: {}", reason(&error));
        malformed("The body broke off")
    })?;
    let mut incoming = http::Request::new(body);
    *incoming.uri_mut() = url;
    *incoming.method_mut() =
        request.method().parse().map_err(|_| malformed("The method is malformed"))?;
    *incoming.headers_mut() =
        headers_in(&request.headers()).map_err(|_| malformed("A header is malformed"))?;
    Ok(incoming)
}

/// What is answered to a request that never becomes one of the program's, for pages of other origins too
/// ([standard error response](https://spec.matrix.org/v1.19/client-server-api/#standard-error-response)).
fn malformed(error: &str) -> http::Response<Body> {
    let body = format!(r#"{{"errcode":"M_UNKNOWN","error":"{error}"}}"#);
    let mut response = http::Response::new(body.into());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// A body that says it is small is taken whole, which costs a third of reading a stream.
async fn body(request: &web_sys::Request) -> Result<Body, JsValue> {
    let headers = request.headers();
    if announced(&headers).is_none_or(|length| length > SMALL) {
        return Ok(incoming_body(request.body(), &headers));
    }
    let buffer = JsFuture::from(request.array_buffer()?).await?;
    Ok(Uint8Array::new(&buffer).to_vec().into())
}

fn outgoing(response: http::Response<Body>) -> worker::Result<web_sys::Response> {
    let (head, body) = response.into_parts();
    let init = web_sys::ResponseInit::new();
    init.set_status(head.status.as_u16());
    let headers = headers_out(&head.headers)?;
    init.set_headers(&headers);
    if let Some(stream) = body.as_untouched() {
        return Ok(web_sys::Response::new_with_opt_readable_stream_and_init(Some(stream), &init)?);
    }
    let announced = body.announced();
    match body.bytes_or_chunks() {
        Either::Left(bytes) => {
            // A status such as 204 allows no body, not even an empty one.
            let body = (!bytes.is_empty()).then(|| Uint8Array::from(&*bytes));
            Ok(web_sys::Response::new_with_opt_js_u8_array_and_init(body.as_ref(), &init)?)
        }
        Either::Right(chunks) => {
            let chunks = chunks.map(|chunk| match chunk {
                Ok(bytes) => Ok(Uint8Array::from(&*bytes).into()),
                Err(unread) => Err(js_sys::Error::new(&unread.to_string()).into()),
            });
            let body = wasm_streams::ReadableStream::from_stream(chunks).into_raw();
            let body = match announced.and_then(|bytes| u32::try_from(bytes).ok()) {
                Some(bytes) => of_length(&body, bytes)?,
                None => body,
            };
            Ok(web_sys::Response::new_with_opt_readable_stream_and_init(Some(&body), &init)?)
        }
    }
}

/// The same stream, of which the runtime tells the other side how long it is.
fn of_length(stream: &ReadableStream, bytes: u32) -> Result<ReadableStream, JsValue> {
    let fixed = FixedLengthStream::new(bytes)?;
    let piped = JsFuture::from(stream.pipe_to(&fixed.writable()));
    // Where it breaks off, the response does.
    spawn_local(async { drop(piped.await) });
    Ok(fixed.readable())
}
