//! How is a file named in a header, and may a browser show it?
//! ([RFC 6266](https://www.rfc-editor.org/rfc/rfc6266), [serving inline content](https://spec.matrix.org/v1.19/client-server-api/#serving-inline-content))

use percent_encoding::{percent_decode, utf8_percent_encode};

use crate::remote::api::ESCAPED;

/// What a browser may show. Nothing here can run a script.
const INLINE: [&str; 26] = [
    "text/css",
    "text/plain",
    "text/csv",
    "application/json",
    "application/ld+json",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/x-pn-wav",
    "audio/flac",
    "audio/x-flac",
];

/// The longest name of a file that is kept, in bytes: what file systems allow.
const LONGEST_NAME: usize = 255;
/// The longest type that is kept, in bytes.
const LONGEST_TYPE: usize = 255;
/// What has no type, or one that cannot stand in a header.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// The header of a file of this type and name.
pub fn disposition(content_type: &str, filename: Option<&str>) -> String {
    let kind = if is_inline(content_type) { "inline" } else { "attachment" };
    match filename {
        None => kind.to_owned(),
        Some(name) if is_token(name) => format!("{kind}; filename={name}"),
        // An extended value ([RFC 8187](https://www.rfc-editor.org/rfc/rfc8187#section-3.2.1)).
        Some(name) => format!("{kind}; filename*=utf-8''{}", utf8_percent_encode(name, ESCAPED)),
    }
}

/// The file's name in such a header of another server.
pub fn filename(disposition: &[u8]) -> Option<String> {
    let parameters = parameters(disposition);
    let (_, rest) = parameters.split_first()?;
    let extended = value(rest, "filename*").and_then(extended);
    named(&extended.or_else(|| value(rest, "filename").map(unquoted))?)
}

/// A parameter of a header whose value is this.
pub fn parameter(header: &[u8], kind: &str, wanted: &str) -> Option<String> {
    let parameters = parameters(header);
    let (first, rest) = parameters.split_first()?;
    let is_so = first.trim_ascii().eq_ignore_ascii_case(kind.as_bytes());
    value(rest, wanted).filter(|_| is_so).map(unquoted)
}

/// The value of the parameter that has this name.
fn value<'a>(parameters: &[&'a [u8]], wanted: &str) -> Option<&'a [u8]> {
    let mut named = parameters.iter().filter_map(|parameter| named_value(parameter));
    named.find(|(name, _)| name == wanted).map(|(_, value)| value)
}

/// The name of a parameter, in small letters, and its value.
fn named_value(parameter: &[u8]) -> Option<(String, &[u8])> {
    let place = parameter.iter().position(|byte| *byte == b'=')?;
    let (name, value) = parameter.split_at(place);
    let name = String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase();
    Some((name, value.get(1..).unwrap_or_default().trim_ascii()))
}

/// A name as it is kept; none if nothing is left of it. The specification wants a download to have the name that was given
/// ([`/upload`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav3upload)): so it has, but for what no
/// header can say or no file system keeps, control characters and what goes beyond 255 bytes.
pub fn named(name: &str) -> Option<String> {
    let mut kept = String::new();
    for character in name.chars().filter(|character| !character.is_control()) {
        if kept.len() + character.len_utf8() > LONGEST_NAME {
            break;
        }
        kept.push(character);
    }
    Some(kept).filter(|name| !name.is_empty())
}

/// A type as it is kept.
pub fn typed(content_type: Option<&[u8]>) -> String {
    let fits = |text: &&[u8]| {
        (1..=LONGEST_TYPE).contains(&text.len())
            && text.iter().all(|byte| matches!(byte, b' '..=b'~'))
    };
    let kept = content_type.map(<[u8]>::trim_ascii).filter(fits);
    kept.map_or_else(|| UNKNOWN_TYPE.to_owned(), |kept| String::from_utf8_lossy(kept).into_owned())
}

fn is_inline(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    INLINE.contains(&&*essence)
}

/// Whether this needs no quotes ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#name-tokens)).
fn is_token(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte))
}

/// What stands between the semicolons; those within quotes separate nothing.
fn parameters(text: &[u8]) -> Vec<&[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|byte| {
        let separates = *byte == b';' && !quoted;
        quoted ^= *byte == b'"' && !escaped;
        escaped = quoted && *byte == b'\\' && !escaped;
        separates
    })
    .collect()
}

/// A value without its quotes.
fn unquoted(value: &[u8]) -> String {
    let inner = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    let Some(inner) = inner else { return String::from_utf8_lossy(value).into_owned() };
    let mut escaped = false;
    let bytes: Vec<u8> = inner
        .iter()
        .copied()
        .filter(|byte| {
            escaped = *byte == b'\\' && !escaped;
            !escaped
        })
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An extended value: `utf-8'language'text`.
fn extended(value: &[u8]) -> Option<String> {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    let (charset, _, text) = (parts.next()?, parts.next()?, parts.next()?);
    if !charset.eq_ignore_ascii_case(b"utf-8") {
        return None;
    }
    percent_decode(text).decode_utf8().ok().map(|text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_may_show_is_inline() {
        assert_eq!(disposition("image/png", None), "inline");
        assert_eq!(disposition("Text/Plain; charset=utf-8", None), "inline");
        assert_eq!(disposition("text/html", None), "attachment");
        assert_eq!(disposition("image/svg+xml", Some("a.svg")), "attachment; filename=a.svg");
    }

    #[test]
    fn a_name_is_read_as_it_was_written() {
        for name in ["ascii", "name with spaces", "name;with;semicolons", "🐔", "a\"b\\c", "50%'"]
        {
            let written = disposition("image/png", Some(name));
            assert_eq!(filename(written.as_bytes()).as_deref(), Some(name), "{written}");
        }
    }

    #[test]
    fn names_are_read_as_others_write_them() {
        let read = |text: &str| filename(text.as_bytes());
        assert_eq!(read("attachment; filename=\"a;b.txt\"").as_deref(), Some("a;b.txt"));
        assert_eq!(read("attachment; FileName = \"a\\\"b\\\\c\" ; x").as_deref(), Some("a\"b\\c"));
        let both = "inline; filename=\"fallback\"; filename*=UTF-8'en'na%C3%AFve";
        assert_eq!(read(both).as_deref(), Some("naïve"));
        assert_eq!(read("inline; filename*=latin1''a; filename=b").as_deref(), Some("b"));
        assert_eq!(read("inline; filename=\"🐔\"").as_deref(), Some("🐔"));
        for none in ["", "inline", "inline; filename", "inline; filename=", "inline; filename=\"\""]
        {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn nothing_that_ends_a_header_is_kept() {
        assert_eq!(named("a\r\nSet-Cookie: b").as_deref(), Some("aSet-Cookie: b"));
        assert_eq!(named(&"é".repeat(200)).map(|name| name.len()), Some(254));
        assert_eq!(typed(Some(b"image/png\r\nx: y")), UNKNOWN_TYPE);
        assert_eq!(typed(Some(b" image/png ")), "image/png");
        assert_eq!(typed(Some(&[b'a'; 300])), UNKNOWN_TYPE);
        assert_eq!(typed(None), UNKNOWN_TYPE);
    }
}
