//! What does a request or a response carry: bytes that are here, or a stream of them?

use std::fmt;

use bytes::Bytes;
use futures_util::{
    FutureExt, Stream, StreamExt,
    future::{Either, select},
    stream::{self, LocalBoxStream},
};

use crate::Unreachable;

/// Why a body was not read to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It has more bytes than allowed.
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    /// The other side ended it too early, or its time is over.
    #[error("the body broke off: {0}")]
    Broken(String),
}

/// The bytes of a request or a response, which may be read only once.
pub struct Body {
    /// How many bytes there are, as far as the sender says.
    announced: Option<usize>,
    content: Content,
}

enum Content {
    Whole(Bytes),
    Stream(Chunks),
    /// A stream of the platform that nobody has read from. So it can be passed on without coming through our memory.
    #[cfg(target_arch = "wasm32")]
    Untouched(crate::workers::stream::JsStream, Open),
}

/// Reads a stream of the platform chunk by chunk.
#[cfg(target_arch = "wasm32")]
type Open = fn(crate::workers::stream::JsStream) -> Chunks;

pub(crate) type Chunks = LocalBoxStream<'static, Result<Bytes, Unread>>;

impl Body {
    /// A body whose bytes come one chunk after another. A connection that breaks off may look like the end of the body,
    /// so the content must show its own end, as JSON does.
    pub fn stream(chunks: impl Stream<Item = Result<Bytes, Unread>> + 'static) -> Self {
        Self { announced: None, content: Content::Stream(chunks.boxed_local()) }
    }

    /// The same, where the sender says how many bytes there are.
    #[must_use]
    pub fn announcing(self, bytes: Option<usize>) -> Self {
        Self { announced: bytes, ..self }
    }

    /// How many bytes there are, as far as the sender says.
    pub fn announced(&self) -> Option<usize> {
        self.announced
    }

    /// A stream of the platform, and how it is read where that has to be.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn untouched(stream: crate::workers::stream::JsStream, open: Open) -> Self {
        Self { announced: None, content: Content::Untouched(stream, open) }
    }

    /// The stream of the platform that this is, if nobody has read from it.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn as_untouched(&self) -> Option<&crate::workers::stream::JsStream> {
        match &self.content {
            Content::Untouched(stream, _) => Some(stream),
            Content::Whole(_) | Content::Stream(_) => None,
        }
    }

    /// The same, ready to be read by us.
    fn opened(self) -> Self {
        #[cfg(target_arch = "wasm32")]
        if let Content::Untouched(stream, open) = self.content {
            return Self { announced: self.announced, content: Content::Stream(open(stream)) };
        }
        self
    }

    /// The same with a limit: a body that says to be larger is not read, another until it is larger.
    #[must_use]
    pub fn limited(self, most: usize) -> Self {
        if self.announced.is_some_and(|bytes| bytes > most) {
            return Self::stream(stream::iter([Err(Unread::TooLarge(most))]));
        }
        let announced = self.announced;
        match self.bytes_or_chunks() {
            Either::Left(bytes) => bytes.into(),
            Either::Right(chunks) => {
                let mut left = most;
                let chunks = chunks.map(move |chunk| {
                    let chunk = chunk?;
                    left = left.checked_sub(chunk.len()).ok_or(Unread::TooLarge(most))?;
                    Ok(chunk)
                });
                Self::stream(chunks).announcing(announced)
            }
        }
    }

    /// The same, broken off at the `end` of its time.
    pub(crate) fn until(self, end: impl Future<Output = ()> + 'static) -> Self {
        let announced = self.announced;
        let chunks = match self.bytes_or_chunks() {
            Either::Left(bytes) => return bytes.into(),
            Either::Right(chunks) => chunks,
        };
        let chunks = stream::unfold(Some((chunks, end.boxed_local())), async |state| {
            let (mut chunks, end) = state?;
            match select(chunks.next(), end).await {
                Either::Left((chunk, end)) => Some((chunk?, Some((chunks, end)))),
                Either::Right(_) => {
                    Some((Err(Unread::Broken("the time is over".to_owned())), None))
                }
            }
        });
        Self::stream(chunks).announcing(announced)
    }

    /// The next chunk; after an error there is none.
    pub async fn next(&mut self) -> Option<Result<Bytes, Unread>> {
        *self = std::mem::take(self).opened();
        match &mut self.content {
            Content::Whole(bytes) if bytes.is_empty() => None,
            Content::Whole(bytes) => Some(Ok(std::mem::take(bytes))),
            #[cfg(target_arch = "wasm32")]
            Content::Untouched(..) => None,
            Content::Stream(chunks) => {
                let chunk = chunks.next().await;
                if matches!(chunk, Some(Err(_))) {
                    self.content = Content::Whole(Bytes::new());
                }
                chunk
            }
        }
    }

    /// All of it, if it has at most so many bytes.
    pub async fn whole(self, most: usize) -> Result<Bytes, Unread> {
        let mut body = self.limited(most);
        if let Content::Whole(bytes) = body.content {
            return Ok(bytes);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            let least = bytes.len().saturating_add(chunk.len());
            if least > bytes.capacity() {
                let capacity = capacity(least, body.announced);
                bytes.reserve_exact(capacity.saturating_sub(bytes.len()));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.into())
    }

    /// Its bytes, where they are here; else its chunks.
    pub(crate) fn bytes_or_chunks(self) -> Either<Bytes, Chunks> {
        match self.opened().content {
            Content::Whole(bytes) => Either::Left(bytes),
            Content::Stream(chunks) => Either::Right(chunks),
            #[cfg(target_arch = "wasm32")]
            Content::Untouched(..) => Either::Left(Bytes::new()),
        }
    }
}

/// How much room is made for a body of which at least so much has come: all of it, once enough of it is here that who
/// announces much and sends little takes little.
pub(crate) fn capacity(least: usize, announced: Option<usize>) -> usize {
    let all = announced.filter(|all| (least..=least.saturating_mul(8)).contains(all));
    all.unwrap_or(least.saturating_mul(2))
}

/// Reads a response whole, if its body has at most so many bytes.
pub(crate) async fn whole(
    response: http::Response<Body>,
    most: usize,
) -> Result<http::Response<Bytes>, Unreachable> {
    let (head, body) = response.into_parts();
    let body = body.whole(most).await.map_err(|unread| Unreachable(unread.to_string()))?;
    Ok(http::Response::from_parts(head, body))
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        Self { announced: Some(bytes.len()), content: Content::Whole(bytes) }
    }
}

impl Default for Body {
    fn default() -> Self {
        Bytes::new().into()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Whole(bytes) => bytes.fmt(f),
            _ => f.write_str("a stream"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_chunks(chunks: &[&'static str]) -> Body {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from(*chunk))).collect();
        Body::stream(stream::iter(chunks))
    }

    fn whole(body: Body, most: usize) -> Result<Bytes, Unread> {
        body.whole(most).now_or_never().unwrap()
    }

    #[test]
    fn a_stream_is_read_up_to_its_limit() {
        assert_eq!(whole(in_chunks(&["ab", "", "cd"]), 4), Ok("abcd".into()));
        assert_eq!(whole(in_chunks(&["ab", "cd"]), 3), Err(Unread::TooLarge(3)));
        assert_eq!(whole("abcd".into(), 3), Err(Unread::TooLarge(3)));
        assert_eq!(whole("abcd".into(), 4), Ok("abcd".into()));
    }

    #[test]
    fn a_body_that_says_to_be_too_large_is_not_read() {
        let never = Body::stream(stream::pending()).announcing(Some(5));
        assert_eq!(whole(never, 4), Err(Unread::TooLarge(4)));
    }

    #[test]
    fn room_is_made_for_what_has_come_and_no_more_than_is_announced() {
        let mut made = Vec::new();
        let mut room = 0;
        for least in (1..=160).map(|chunks| chunks * 100_000) {
            if least > room {
                made.push(room);
                room = capacity(least, Some(16_000_000));
            }
        }
        // Beside the last there is at most a quarter of it.
        assert!(room == 16_000_000 && made.iter().all(|old| *old <= 4_000_000), "{made:?}");
        assert_eq!(capacity(1000, Some(50 << 20)), 2000);
        assert_eq!(capacity(1000, Some(10)), 2000);
        assert_eq!(capacity(1000, None), 2000);
    }

    #[test]
    fn nothing_comes_after_an_error() {
        let broken = Unread::Broken("gone".to_owned());
        let chunks = [Ok(Bytes::from("a")), Err(broken.clone()), Ok(Bytes::from("b"))];
        let mut body = Body::stream(stream::iter(chunks));
        let mut next = || body.next().now_or_never().unwrap();
        assert_eq!([next(), next(), next()], [Some(Ok("a".into())), Some(Err(broken)), None]);
    }
}
