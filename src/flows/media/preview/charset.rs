//! Which text do the bytes of a page stand for? ([encodings](https://encoding.spec.whatwg.org/))
//!
//! Nearly all pages are UTF-8, and most others windows-1252, as which a browser also reads ISO 8859-1. Of the rest what is
//! ASCII is read.

use std::str;

use crate::flows::media::disposition;

/// Where a page says its encoding, it does so within so many bytes.
const DECLARED: usize = 1024;
/// What browsers read as windows-1252.
const LATIN: [&str; 8] =
    ["windows-1252", "cp1252", "iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "l1", "us-ascii"];
/// What windows-1252 has for 0x80 to 0x9F.
const UPPER: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text of a page whose end may be missing.
pub fn text(bytes: &[u8], content_type: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let said = of_header(content_type).or_else(|| declared(bytes));
    let is_latin = match said {
        Some(said) => LATIN.contains(&said.trim().to_ascii_lowercase().as_str()),
        None => !may_be_utf8(bytes),
    };
    if is_latin {
        return bytes.iter().map(|byte| of_windows_1252(*byte)).collect();
    }
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn of_windows_1252(byte: u8) -> char {
    let place = usize::from(byte).checked_sub(0x80);
    let upper = place.and_then(|place| UPPER.get(place));
    upper.copied().unwrap_or(char::from(byte))
}

/// Whether this is UTF-8, but for a character that is cut off at the end.
fn may_be_utf8(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
}

fn of_header(content_type: &[u8]) -> Option<String> {
    let essence = content_type.split(|byte| *byte == b';').next()?;
    disposition::parameter(content_type, str::from_utf8(essence).ok()?.trim(), "charset")
}

/// The encoding that a page says of itself: by `<meta charset>`, or by a content type in a `<meta>`.
fn declared(bytes: &[u8]) -> Option<String> {
    let begin = bytes.get(..DECLARED).unwrap_or(bytes).to_ascii_lowercase();
    let begin = String::from_utf8_lossy(&begin);
    let (_, meta) = begin.split_once("<meta")?;
    let (_, said) = meta.split_once("charset")?;
    let said = said.trim_start().strip_prefix('=')?.trim_start_matches(['"', '\'', ' ']);
    let end = said.find(|each: char| !(each.is_ascii_alphanumeric() || "-_:.".contains(each)))?;
    said.get(..end).filter(|said| !said.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_in_the_encoding_that_it_says() {
        let latin = b"<title>K\xf6ln \x96 \x80</title>";
        for kind in
            ["text/html; charset=ISO-8859-1", "text/html;Charset=\"windows-1252\"", "text/html"]
        {
            assert_eq!(text(latin, kind.as_bytes()), "<title>Köln – €</title>", "{kind}");
        }
        let meta =
            ["<meta charset=latin1>", "<META http-equiv=a content='text/html; charset=cp1252'>"];
        for meta in meta {
            // Alone this would be UTF-8.
            let bytes = [meta.as_bytes(), b"\xc3\xb6"].concat();
            assert!(text(&bytes, b"text/html").ends_with("Ã¶"), "{meta}");
            // The header counts before the page.
            assert!(text(&bytes, b"text/html; charset=utf-8").ends_with('ö'), "{meta}");
        }
    }

    #[test]
    fn what_says_nothing_is_utf8_if_it_can_be() {
        assert_eq!(text("\u{feff}Köln".as_bytes(), b"text/html"), "Köln");
        assert_eq!(text(b"K\xc3\xb6ln \xc3", b""), "Köln \u{fffd}");
        assert_eq!(
            text(b"ascii \x82\xa0", b"text/html; charset=shift_jis"),
            "ascii \u{fffd}\u{fffd}"
        );
        assert_eq!(text(b"", b""), "");
    }
}
