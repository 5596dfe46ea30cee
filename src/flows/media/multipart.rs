//! How is an answer with several parts read while it comes?
//! ([RFC 2046](https://www.rfc-editor.org/rfc/rfc2046#section-5.1), [downloads](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1mediadownloadmediaid))

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tombolo_platform::{Body, Unread};

use super::disposition;

/// The longest head of a part that is read, and the longest preamble, in bytes.
const MAX_HEAD: usize = 8 << 10;
/// The longest boundary ([RFC 2046](https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1)).
const MAX_BOUNDARY: usize = 70;

/// What the head of a part says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub content_type: Option<Vec<u8>>,
    pub disposition: Option<Vec<u8>>,
    pub location: Option<Vec<u8>>,
}

/// The parts of an answer, one after another.
pub struct Parts {
    body: Body,
    /// What stands before each part and after the last.
    delimiter: Vec<u8>,
    /// What was read and is not given out yet.
    held: BytesMut,
}

impl Parts {
    /// The parts of a body whose type is this; `None` if it has no parts.
    pub fn of(body: Body, content_type: &[u8]) -> Option<Self> {
        let boundary = disposition::parameter(content_type, "multipart/mixed", "boundary")?;
        if !(1..=MAX_BOUNDARY).contains(&boundary.len()) {
            return None;
        }
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        // The first delimiter may stand at the very beginning.
        Some(Self { body, delimiter, held: BytesMut::from(&b"\r\n"[..]) })
    }

    /// The head of the next part. What is left of the part before is skipped if it is short.
    pub async fn next(&mut self) -> Result<Head, Unread> {
        let mut skipped = 0;
        while let Some(chunk) = self.chunk().await? {
            skipped += chunk.len();
            if skipped > MAX_HEAD {
                return Err(malformed("a part is too long"));
            }
        }
        let mut head = Head::default();
        // What stands behind the delimiter in its line.
        let mut left = MAX_HEAD;
        if self.line(&mut left).await?.starts_with(b"--") {
            return Err(malformed("a part is missing"));
        }
        loop {
            let line = self.line(&mut left).await?;
            if line.is_empty() {
                return Ok(head);
            }
            let Some(place) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = line.split_at(place);
            let value = value.get(1..).unwrap_or_default().trim_ascii().to_vec();
            match name.to_ascii_lowercase().as_slice() {
                b"content-type" => head.content_type = Some(value),
                b"content-disposition" => head.disposition = Some(value),
                b"location" => head.location = Some(value),
                _ => {}
            }
        }
    }

    /// What is left of this part, as a body that breaks off where the answer does.
    pub fn content(self) -> Body {
        Body::stream(stream::unfold(Some(self), async |parts| {
            let mut parts = parts?;
            match parts.chunk().await {
                Ok(chunk) => Some((Ok(chunk?), Some(parts))),
                Err(unread) => Some((Err(unread), None)),
            }
        }))
    }

    /// More of this part; `None` at its end, where the delimiter is taken.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Unread> {
        loop {
            match place(&self.held, &self.delimiter) {
                (0, true) => {
                    drop(self.held.split_to(self.delimiter.len()));
                    return Ok(None);
                }
                (0, false) => self.read().await?,
                (place, _) => return Ok(Some(self.held.split_to(place).freeze())),
            }
        }
    }

    /// A line without its end.
    async fn line(&mut self, left: &mut usize) -> Result<Bytes, Unread> {
        loop {
            if let Some(place) = self.held.iter().position(|byte| *byte == b'\n') {
                *left = left.checked_sub(place).ok_or_else(|| malformed("a head is too long"))?;
                let mut line = self.held.split_to(place + 1);
                let end = if line.ends_with(b"\r\n") { 2 } else { 1 };
                line.truncate(line.len().saturating_sub(end));
                return Ok(line.freeze());
            }
            if self.held.len() > *left {
                return Err(malformed("a head is too long"));
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), Unread> {
        let chunk = self.body.next().await.ok_or_else(|| malformed("it ends within a part"))?;
        self.held.extend_from_slice(&chunk?);
        Ok(())
    }
}

/// How many bytes stand before the delimiter, and whether it is there. Where it is not, what may be its beginning is not
/// counted.
fn place(held: &[u8], delimiter: &[u8]) -> (usize, bool) {
    let mut from = 0;
    while let Some(rest) = held.get(from..) {
        let Some(place) = rest.iter().position(|byte| *byte == b'\r') else { break };
        from += place;
        let rest = held.get(from..).unwrap_or_default();
        if rest.starts_with(delimiter) {
            return (from, true);
        }
        if delimiter.starts_with(rest) {
            return (from, false);
        }
        from += 1;
    }
    (held.len(), false)
}

fn malformed(why: &str) -> Unread {
    Unread::Broken(why.to_owned())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const TYPE: &[u8] = b"multipart/mixed; boundary=\"b c\"";

    /// The second part of a body that comes in chunks of this size.
    fn second(text: &[u8], size: usize) -> Result<(Head, Bytes), Unread> {
        let chunks: Vec<_> =
            text.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let body = Body::stream(stream::iter(chunks));
        async {
            let mut parts = Parts::of(body, TYPE).unwrap();
            parts.next().await?;
            let head = parts.next().await?;
            Ok((head, parts.content().whole(1000).await?))
        }
        .now_or_never()
        .unwrap()
    }

    #[test]
    fn the_second_part_is_read_whatever_the_chunks() {
        let content = b"a\r\n--b \r\n\r\r\n--b cat\r\n-";
        for (begin, end) in [
            ("--b c\r\nContent-Type: application/json\r\n\r\n{}\r\n--b c\r\n", "\r\n--b d--"),
            ("\r\n--b c\r\n\r\n{}\r\n--b c \r\n", "\r\n--b c"),
            ("preamble\r\n--b c\n\n{}\r\n--b c\n", "\r\n--b c--\r\nepilogue"),
        ] {
            let end = end.replace("--b d", "--b c");
            let head = "content-TYPE:image/png\r\nX: y\r\nContent-Disposition: inline\r\n\r\n";
            let content: Vec<u8> = content.iter().copied().filter(|byte| *byte != b'c').collect();
            let text = [begin.as_bytes(), head.as_bytes(), &content, end.as_bytes()].concat();
            for size in 1..text.len() {
                let (head, read) = second(&text, size).unwrap();
                assert_eq!(read, content, "{begin:?} in chunks of {size}");
                assert_eq!(head.content_type.as_deref(), Some(b"image/png".as_slice()));
                assert_eq!(head.disposition.as_deref(), Some(b"inline".as_slice()));
            }
        }
    }

    #[test]
    fn what_breaks_off_is_not_taken_for_whole() {
        let text = b"--b c\r\n\r\n{}\r\n--b c\r\n\r\ncontent\r\n--b c--";
        for end in 0..text.len() - 2 {
            let read = second(&text[..end], 5);
            assert!(read.is_err(), "{end}: {read:?}");
        }
    }

    #[test]
    fn nothing_is_held_without_a_limit() {
        let long = [b"--b c\r\n".as_slice(), &[b'a'; 2 * MAX_HEAD]].concat();
        assert!(second(&long, 1000).is_err());
        let one_part = b"--b c\r\n\r\n{}\r\n--b c--\r\n";
        assert!(second(one_part, 1000).is_err());
        let long =
            [b"--b c\r\n\r\n".as_slice(), &[b'{'; 2 * MAX_HEAD], b"\r\n--b c\r\n\r\na\r\n--b c"]
                .concat();
        assert!(second(&long, 1000).is_err());
    }

    #[test]
    fn a_body_of_another_type_has_no_parts() {
        for other in [
            "image/png",
            "multipart/mixed",
            "multipart/mixed; boundary=",
            "multipart/form-data; boundary=a",
        ] {
            assert!(Parts::of(Body::default(), other.as_bytes()).is_none(), "{other}");
        }
        let long = format!("multipart/mixed; boundary={}", "a".repeat(71));
        assert!(Parts::of(Body::default(), long.as_bytes()).is_none());
        assert!(Parts::of(Body::default(), b"Multipart/Mixed;Boundary=a").is_some());
    }
}
