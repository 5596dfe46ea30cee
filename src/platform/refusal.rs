//! What is answered to a request that never becomes one of the program's?
//! ([standard error response](https://spec.matrix.org/v1.19/client-server-api/#standard-error-response))

use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE},
};

/// The answer to a body that is larger than the program allows.
pub(crate) fn too_large() -> http::Response<Bytes> {
    refuse(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", "The body is too large")
}

/// The error, which pages of other origins may read.
pub(crate) fn refuse(status: StatusCode, code: &str, error: &str) -> http::Response<Bytes> {
    let mut response =
        http::Response::new(format!(r#"{{"errcode":"{code}","error":"{error}"}}"#).into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
