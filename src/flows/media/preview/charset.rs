//! Which text do the bytes of a page stand for? ([encodings](https://encoding.spec.whatwg.org/))
//!
//! Nearly all pages are UTF-8, and most others windows-1252, as which a browser also reads ISO 8859-1. Of the rest what is
//! ASCII is read.

use std::str;

use super::{
    markup::{Markup, Token},
    windows_1252,
};
use crate::flows::media::disposition;

/// Where a page says its encoding, it does so within so many bytes.
const DECLARED: usize = 1024;
/// What browsers read as windows-1252.
const LATIN: [&str; 17] = [
    "ansi_x3.4-1968",
    "ascii",
    "cp1252",
    "cp819",
    "csisolatin1",
    "ibm819",
    "iso-8859-1",
    "iso-ir-100",
    "iso8859-1",
    "iso88591",
    "iso_8859-1",
    "iso_8859-1:1987",
    "l1",
    "latin1",
    "us-ascii",
    "windows-1252",
    "x-cp1252",
];

/// The text of a page.
pub struct Text {
    pub text: String,
    /// Whether it is in an encoding that is not known here: only what is ASCII can be relied on.
    pub is_guess: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    Latin,
    Unknown,
}

/// The text of a page whose end may be missing.
pub fn text(mut bytes: Vec<u8>, content_type: &[u8]) -> Text {
    let (encoding, mark) = marked(&bytes).unwrap_or_else(|| (said(&bytes, content_type), 0));
    bytes.drain(..mark.min(bytes.len()));
    let text = match encoding {
        Encoding::Latin => bytes.iter().map(|byte| windows_1252::character(*byte)).collect(),
        Encoding::Utf16Le => of_utf16(&bytes, u16::from_le_bytes),
        Encoding::Utf16Be => of_utf16(&bytes, u16::from_be_bytes),
        Encoding::Utf8 | Encoding::Unknown => String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    };
    Text { text, is_guess: encoding == Encoding::Unknown }
}

/// The encoding whose byte order mark a page begins with, and how long that is. It counts before what is said.
fn marked(bytes: &[u8]) -> Option<(Encoding, usize)> {
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => Some((Encoding::Utf8, 3)),
        [0xfe, 0xff, ..] => Some((Encoding::Utf16Be, 2)),
        [0xff, 0xfe, ..] => Some((Encoding::Utf16Le, 2)),
        _ => None,
    }
}

/// The encoding that is said of a page: by the header, else by itself; else what it can be.
fn said(bytes: &[u8], content_type: &[u8]) -> Encoding {
    if let Some(name) = of_header(content_type) {
        return named(&name);
    }
    match declared(bytes).map(|name| named(&name)) {
        // In UTF-16 it could not have been read.
        Some(Encoding::Utf16Le | Encoding::Utf16Be) => Encoding::Utf8,
        Some(encoding) => encoding,
        None if may_be_utf8(bytes) => Encoding::Utf8,
        None => Encoding::Latin,
    }
}

fn named(name: &str) -> Encoding {
    match name.trim().to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" => Encoding::Utf8,
        "utf-16" | "utf-16le" => Encoding::Utf16Le,
        "utf-16be" => Encoding::Utf16Be,
        name if LATIN.contains(&name) => Encoding::Latin,
        _ => Encoding::Unknown,
    }
}

fn of_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (units, _) = bytes.as_chunks();
    let characters = char::decode_utf16(units.iter().map(|bytes| unit(*bytes)));
    characters.map(|each| each.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Whether this is UTF-8, but for a character that is cut off at the end.
fn may_be_utf8(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
}

fn of_header(content_type: &[u8]) -> Option<String> {
    let essence = content_type.split(|byte| *byte == b';').next()?;
    disposition::parameter(content_type, str::from_utf8(essence).ok()?.trim(), "charset")
}

/// The encoding that a page says of itself: by `<meta charset>`, or by a content type in a `<meta>`; else as XML does.
fn declared(bytes: &[u8]) -> Option<String> {
    let begin = String::from_utf8_lossy(bytes.get(..DECLARED).unwrap_or(bytes));
    let said = Markup::of(&begin).find_map(|token| {
        let Token::Start(tag) = token else { return None };
        let said = tag.attribute("charset").or_else(|| {
            let equivalent = tag.attribute("http-equiv")?;
            let is_type = equivalent.eq_ignore_ascii_case("content-type");
            of_header(tag.attribute("content").filter(|_| is_type)?.as_bytes())
        });
        said.filter(|said| tag.is("meta") && !said.is_empty())
    });
    said.or_else(|| of_xml(&begin))
}

/// The encoding that an XML declaration says, at the very beginning of a page.
fn of_xml(begin: &str) -> Option<String> {
    let (said, _) = begin.strip_prefix("<?xml")?.split_once('>')?;
    let (_, after) = said.split_once("encoding")?;
    let after = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let (name, _) = after.strip_prefix(quote)?.split_once(quote)?;
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], content_type: &str) -> String {
        text(bytes.to_vec(), content_type.as_bytes()).text
    }

    #[test]
    fn a_page_is_read_in_the_encoding_that_it_says() {
        let latin = b"<title>K\xf6ln \x96 \x80</title>";
        for kind in
            ["text/html; charset=ISO-8859-1", "text/html;Charset=\"windows-1252\"", "text/html"]
        {
            assert_eq!(read(latin, kind), "<title>Köln – €</title>", "{kind}");
        }
        let meta = [
            "<meta charset=x-cp1252>",
            "<meta charset=ANSI_X3.4-1968>",
            "<meta charset=ISO_8859-1:1987>",
            "<meta charset=csISOLatin1>",
            "<meta charset=latin1>",
            "<META content='text/html; charset=cp1252' http-equiv=Content-Type>",
            "<meta name=a content=b><meta property=c><meta charset=' Latin1'>",
        ];
        for meta in meta {
            // Alone this would be UTF-8.
            let bytes = [meta.as_bytes(), b"\xc3\xb6"].concat();
            assert!(read(&bytes, "text/html").ends_with("Ã¶"), "{meta}");
            // The header counts before the page.
            assert!(read(&bytes, "text/html; charset=utf-8").ends_with('ö'), "{meta}");
        }
    }

    #[test]
    fn only_a_tag_meta_says_an_encoding() {
        for html in [
            "<meta name=a><script charset=latin1></script>",
            "<meta name=description content='text; charset=latin1'>",
            "<!-- <meta charset=latin1> -->",
            "<meta name=a> charset=latin1",
            "<meta charset=''>",
            "<meta charset=utf-16>",
        ] {
            let bytes = [html.as_bytes(), b"\xc3\xb6"].concat();
            assert!(read(&bytes, "text/html").ends_with('ö'), "{html}");
        }
    }

    #[test]
    fn a_page_that_is_xml_says_its_encoding_as_xml_does() {
        for xml in [
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>",
            "<?xml encoding = 'latin1' ?>",
            "<?xml version='1.0' encoding='utf-8'?><meta charset=latin1>",
        ] {
            let bytes = [xml.as_bytes(), b"\xc3\xb6"].concat();
            assert!(read(&bytes, "application/xhtml+xml").ends_with("Ã¶"), "{xml}");
            assert!(read(&bytes, "text/html; charset=utf-8").ends_with('ö'), "{xml}");
        }
        for xml in [
            " <?xml encoding='latin1'?>",
            "<?xml version='1.0'?><a encoding='latin1'>",
            "<?xml encoding=latin1?>",
            "<?xml encoding='latin1?>",
            "<?xml encoding='utf-16'?>",
        ] {
            let bytes = [xml.as_bytes(), b"\xc3\xb6"].concat();
            assert!(read(&bytes, "text/html").ends_with('ö'), "{xml}");
        }
        // In no encoding that is known here, its letters are nobody's text.
        let cyrillic =
            b"<?xml version=\"1.0\" encoding=\"windows-1251\"?><title>\xcc\xe8\xf0</title>";
        assert!(text(cyrillic.to_vec(), b"text/html").is_guess);
    }

    #[test]
    fn a_byte_order_mark_counts_before_all_that_is_said() {
        let kind = "text/html; charset=iso-8859-1";
        assert_eq!(read("\u{feff}Köln".as_bytes(), kind), "Köln");
        let html = "<title>Köln 😀</title>";
        let little: Vec<u8> = html.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = html.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(read(&[&[0xff, 0xfe], &*little].concat(), kind), html);
        // A last unit of which half is missing says nothing.
        assert_eq!(read(&[&[0xfe, 0xff], &*big, &[0]].concat(), kind), html);
        assert_eq!(read(&little, "text/html; charset=utf-16"), html);
        assert_eq!(read(&big, "text/html; charset=utf-16be"), html);
        assert_eq!(read(b"\xff\xfe\0\xd8", ""), "\u{fffd}");
    }

    #[test]
    fn what_says_nothing_is_utf8_if_it_can_be() {
        assert_eq!(read(b"K\xc3\xb6ln \xc3", ""), "Köln \u{fffd}");
        assert_eq!(read(b"", ""), "");
        let Text { text, is_guess } = text(b"a \x82\xa0".to_vec(), b"text/html; charset=shift_jis");
        assert!(is_guess && text == "a \u{fffd}\u{fffd}", "{text}");
    }
}
