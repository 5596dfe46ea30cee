//! How does a request from outside enter the program, and its response leave?

use std::rc::Rc;

use bytes::Bytes;
use http::StatusCode;
use js_sys::Uint8Array;
use wasm_bindgen_futures::JsFuture;
use worker::{Context, Env};

use super::{
    World,
    fetch::{Unread, announced, headers_in, headers_out, read},
    isolate::meter,
    javascript::reason,
    logs,
};
use crate::{
    Application,
    refusal::{refuse, too_large},
};

/// A body of at most so many bytes is taken whole.
const SMALL: usize = 1 << 17;

/// Lets the application answer one request.
pub async fn http(
    application: Rc<dyn Application>,
    request: web_sys::Request,
    env: Env,
    context: Context,
) -> worker::Result<web_sys::Response> {
    logs::hear();
    meter().count(|units| units.requests += 1);
    let response = match incoming(&*application, &request).await {
        Ok(request) => application.http(World::of(env, context), request).await,
        Err(refused) => refused,
    };
    outgoing(response)
}

async fn incoming(
    application: &dyn Application,
    request: &web_sys::Request,
) -> Result<http::Request<Bytes>, http::Response<Bytes>> {
    let malformed = |what| refuse(StatusCode::BAD_REQUEST, "M_UNKNOWN", what);
    let url: http::Uri = request.url().parse().map_err(|_| malformed("The URL is malformed"))?;
    let most = application.body_limit(url.path());
    let body = body(request, most).await.map_err(|unread| match unread {
        Unread::TooLarge => too_large(),
        Unread::Broken(error) => {
            worker::console_debug!("a request's body broke off: {}", reason(&error));
            malformed("The body broke off")
        }
    })?;
    let mut incoming = http::Request::new(body);
    *incoming.uri_mut() = url;
    *incoming.method_mut() =
        request.method().parse().map_err(|_| malformed("The method is malformed"))?;
    *incoming.headers_mut() =
        headers_in(&request.headers()).map_err(|_| malformed("A header is malformed"))?;
    Ok(incoming)
}

/// A body that says it is small is taken whole, which costs a third of reading a stream.
async fn body(request: &web_sys::Request, most: usize) -> Result<Bytes, Unread> {
    let headers = request.headers();
    if announced(&headers).is_none_or(|length| length > SMALL.min(most)) {
        return read(request.body(), &headers, most).await;
    }
    let buffer = request.array_buffer().map_err(Unread::Broken)?;
    let buffer = JsFuture::from(buffer).await.map_err(Unread::Broken)?;
    Ok(Uint8Array::new(&buffer).to_vec().into())
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
