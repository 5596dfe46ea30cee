//! How is a file answered: which headers, and which of its bytes?
//! ([content repository](https://spec.matrix.org/v1.19/client-server-api/#content-repository), [range requests](https://www.rfc-editor.org/rfc/rfc9110#name-range-requests))

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tombolo_platform::{Body, World};

use crate::{
    error::{Result, internal},
    flows::media::{self, disposition},
};

/// What the specification recommends: nothing in a file may run or load anything.
const POLICY: &str = "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; object-src 'self';";
/// A content never changes, but it may be removed.
const CACHE: &str = "private, max-age=86400";

/// A file that is answered.
pub struct File {
    pub content_type: String,
    pub filename: Option<String>,
}

/// Which bytes are asked for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    /// From the first number on and before the second.
    Some(u64, u64),
    Unsatisfiable,
}

impl File {
    /// The answer to a request: a content by its key in R2, and its size (bytes).
    pub async fn answer(
        &self,
        world: &World,
        request: &Request<Bytes>,
        (content, size): (&str, u64),
    ) -> Result<Response<Body>> {
        let tag = tag(content);
        let asked = request.headers();
        if is_known(asked, &tag) {
            return self.respond(StatusCode::NOT_MODIFIED, &tag, Body::default());
        }
        match wanted(asked, &tag, size) {
            Wanted::All => {
                let body = media::served(world, content, None).await?;
                let mut response = self.respond(StatusCode::OK, &tag, body)?;
                response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
                Ok(response)
            }
            Wanted::Some(from, to) => {
                let body = media::served(world, content, Some((from, to))).await?;
                let mut response = self.respond(StatusCode::PARTIAL_CONTENT, &tag, body)?;
                let range = format!("bytes {from}-{}/{}", to.saturating_sub(1), size);
                response.headers_mut().insert(header::CONTENT_LENGTH, (to - from).into());
                response.headers_mut().insert(header::CONTENT_RANGE, value(&range)?);
                Ok(response)
            }
            Wanted::Unsatisfiable => {
                let status = StatusCode::RANGE_NOT_SATISFIABLE;
                let mut response = self.respond(status, &tag, Body::default())?;
                let range = format!("bytes */{size}");
                response.headers_mut().insert(header::CONTENT_RANGE, value(&range)?);
                Ok(response)
            }
        }
    }

    /// The answer where the file is here; `key` says which it is.
    pub fn given(
        &self,
        request: &Request<Bytes>,
        key: &str,
        bytes: Bytes,
    ) -> Result<Response<Body>> {
        let tag = tag(key);
        if is_known(request.headers(), &tag) {
            return self.respond(StatusCode::NOT_MODIFIED, &tag, Body::default());
        }
        let mut response = self.respond(StatusCode::OK, &tag, bytes.into())?;
        response.headers_mut().remove(header::ACCEPT_RANGES);
        Ok(response)
    }

    fn respond(&self, status: StatusCode, tag: &str, body: Body) -> Result<Response<Body>> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let named = disposition::disposition(&self.content_type, self.filename.as_deref());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, value(&self.content_type)?);
        headers.insert(header::CONTENT_DISPOSITION, value(&named)?);
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::ETAG, value(tag)?);
        Ok(response)
    }
}

/// Contents never change under their keys.
fn tag(key: &str) -> String {
    format!("\"{}\"", key.replace('/', "-"))
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(internal)
}

/// Whether the client has the content already.
fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let known = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    known.is_some_and(|known| {
        let mut tags = known.split(',').map(|known| known.trim().trim_start_matches("W/"));
        tags.any(|known| known == tag || known == "*")
    })
}

/// Which bytes are asked for. Several ranges at once are answered with all bytes, as is allowed.
fn wanted(asked: &HeaderMap, tag: &str, size: u64) -> Wanted {
    let text = |name: header::HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|known| known != tag) {
        return Wanted::All;
    }
    let range = text(header::RANGE).and_then(|range| range.trim().strip_prefix("bytes="));
    let Some((from, to)) = range.and_then(|range| range.split_once('-')) else {
        return Wanted::All;
    };
    let number = |text: &str| match text.trim() {
        "" => Ok(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Some(digits.parse::<u64>().unwrap_or(u64::MAX)))
        }
        _ => Err(()),
    };
    let (from, to) = match (number(from), number(to)) {
        (Ok(Some(from)), Ok(None)) => (from, size),
        (Ok(Some(from)), Ok(Some(last))) if from <= last => {
            (from, last.saturating_add(1).min(size))
        }
        (Ok(None), Ok(Some(last))) => (size.saturating_sub(last), size),
        _ => return Wanted::All,
    };
    if from < to { Wanted::Some(from, to) } else { Wanted::Unsatisfiable }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(range: &str) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(range).unwrap());
        wanted(&headers, "\"tag\"", 10)
    }

    #[test]
    fn a_range_is_read() {
        assert_eq!(asked("bytes=0-0"), Wanted::Some(0, 1));
        assert_eq!(asked("bytes=2-5"), Wanted::Some(2, 6));
        assert_eq!(asked("bytes=2-"), Wanted::Some(2, 10));
        assert_eq!(asked("bytes=2-99999999999999999999"), Wanted::Some(2, 10));
        assert_eq!(asked("bytes=-3"), Wanted::Some(7, 10));
        assert_eq!(asked("bytes=-99"), Wanted::Some(0, 10));
        for unsatisfiable in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(asked(unsatisfiable), Wanted::Unsatisfiable, "{unsatisfiable}");
        }
        for ignored in
            ["bytes=5-2", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "bytes=-", "bytes=+1-2"]
        {
            assert_eq!(asked(ignored), Wanted::All, "{ignored}");
        }
    }

    #[test]
    fn a_range_of_another_content_is_ignored() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-0"));
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"other\""));
        assert_eq!(wanted(&headers, "\"tag\"", 10), Wanted::All);
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"tag\""));
        assert_eq!(wanted(&headers, "\"tag\"", 10), Wanted::Some(0, 1));
    }
}
