//! How does a request from outside enter the program, and its response leave?

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use js_sys::Uint8Array;
use wasm_bindgen_futures::JsFuture;
use worker::{Context, Env, ScheduleContext};

use super::{
    World,
    fetch::{Unread, announced, headers_in, headers_out, read},
    isolate::meter,
    javascript::reason,
};
use crate::Application;

/// A larger request is refused: an isolate has 128 MB for everything.
pub const MAX_BODY: usize = 100_000_000;

/// A body of at most so many bytes is taken whole.
const SMALL: usize = 1 << 17;

/// Lets the application answer one request.
pub async fn http(
    application: Rc<dyn Application>,
    request: web_sys::Request,
    env: Env,
    context: Context,
) -> worker::Result<web_sys::Response> {
    meter().count(|units| units.requests += 1);
    let response = match incoming(&request).await {
        Ok(request) => application.http(World::of(env, context), request).await,
        Err(refused) => refused,
    };
    outgoing(response)
}

/// Lets the application do what each minute asks for.
pub async fn scheduled(application: Rc<dyn Application>, env: Env, context: ScheduleContext) {
    application.cron(World::scheduled(env, context)).await;
}

async fn incoming(
    request: &web_sys::Request,
) -> Result<http::Request<Bytes>, http::Response<Bytes>> {
    let body = body(request).await.map_err(|unread| match unread {
        Unread::TooLarge => {
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", "The body is too large")
        }
        Unread::Broken(error) => {
            worker::console_debug!("a request's body broke off: {}", reason(&error));
            refuse(StatusCode::BAD_REQUEST, "M_UNKNOWN", "The body broke off")
        }
    })?;
    let malformed = |what| refuse(StatusCode::BAD_REQUEST, "M_UNKNOWN", what);
    let mut incoming = http::Request::new(body);
    *incoming.uri_mut() = request.url().parse().map_err(|_| malformed("The URL is malformed"))?;
    *incoming.method_mut() =
        request.method().parse().map_err(|_| malformed("The method is malformed"))?;
    *incoming.headers_mut() =
        headers_in(&request.headers()).map_err(|_| malformed("A header is malformed"))?;
    Ok(incoming)
}

/// A body that says it is small is taken whole, which costs a third of reading a stream.
async fn body(request: &web_sys::Request) -> Result<Bytes, Unread> {
    let headers = request.headers();
    if announced(&headers).is_none_or(|length| length > SMALL) {
        return read(request.body(), &headers, MAX_BODY).await;
    }
    let buffer = request.array_buffer().map_err(Unread::Broken)?;
    let buffer = JsFuture::from(buffer).await.map_err(Unread::Broken)?;
    Ok(Uint8Array::new(&buffer).to_vec().into())
}

/// The [standard error](https://spec.matrix.org/v1.19/client-server-api/#standard-error-response)
/// for what never becomes a request.
fn refuse(status: StatusCode, code: &str, error: &str) -> http::Response<Bytes> {
    let mut response =
        http::Response::new(format!(r#"{{"errcode":"{code}","error":"{error}"}}"#).into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn outgoing(response: http::Response<Bytes>) -> worker::Result<web_sys::Response> {
    let (head, body) = response.into_parts();
    let init = web_sys::ResponseInit::new();
    init.set_status(head.status.as_u16());
    let headers = headers_out(&head.headers)?;
    init.set_headers(&headers);
    // A status such as 204 allows no body, not even an empty one.
    let body = (!body.is_empty()).then(|| Uint8Array::from(&*body));
    let response = web_sys::Response::new_with_opt_js_u8_array_and_init(body.as_ref(), &init)?;
    Ok(response)
}
