//! Which characters do references stand for? ([named](https://html.spec.whatwg.org/multipage/named-characters.html),
//! [numeric](https://html.spec.whatwg.org/multipage/parsing.html#numeric-character-reference-end-state))
//!
//! Of the 2,231 names only those are known that people write: all of them would be a hundredth of what the Worker weighs.
//! What is not known stays as it is.

use super::windows_1252;

/// The names of U+00A0 to U+00FF, in order.
const LATIN: &str = "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml";

const OTHERS: [(&str, char); 41] = [
    ("amp", '&'),
    ("AMP", '&'),
    ("lt", '<'),
    ("LT", '<'),
    ("gt", '>'),
    ("GT", '>'),
    ("quot", '"'),
    ("QUOT", '"'),
    ("apos", '\''),
    ("OElig", 'Œ'),
    ("oelig", 'œ'),
    ("Scaron", 'Š'),
    ("scaron", 'š'),
    ("Zcaron", 'Ž'),
    ("zcaron", 'ž'),
    ("Yuml", 'Ÿ'),
    ("fnof", 'ƒ'),
    ("circ", 'ˆ'),
    ("tilde", '˜'),
    ("ensp", '\u{2002}'),
    ("emsp", '\u{2003}'),
    ("thinsp", '\u{2009}'),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("sbquo", '‚'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bdquo", '„'),
    ("dagger", '†'),
    ("bull", '•'),
    ("hellip", '…'),
    ("permil", '‰'),
    ("lsaquo", '‹'),
    ("rsaquo", '›'),
    ("euro", '€'),
    ("trade", '™'),
    ("rarr", '→'),
];

/// The longest name.
const LONGEST: usize = 8;
/// Names that count also without a `;`, beside those of [`LATIN`].
const OPEN: [&str; 8] = ["amp", "AMP", "lt", "LT", "gt", "GT", "quot", "QUOT"];
/// How much of a text is read, in bytes: no more is shown of any.
const MOST: usize = 8 << 10;

/// A text with its references replaced; of a longer one the beginning.
pub fn decoded(text: &str) -> String {
    let read = text.get(..text.floor_char_boundary(MOST)).unwrap_or(text);
    let mut parts = read.split('&');
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (found, rest) = reference(part).unwrap_or(('&', part));
        all.push(found);
        all.push_str(rest);
    }
    if read.len() < text.len() {
        // So it is no link any more.
        all.push('…');
    }
    all
}

/// The reference that a text begins with, behind its `&`, and what follows.
fn reference(text: &str) -> Option<(char, &str)> {
    if let Some(number) = text.strip_prefix('#') {
        return numeric(number);
    }
    let end = text.find(|each: char| !each.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end).filter(|_| (1..=LONGEST).contains(&end))?;
    match rest.strip_prefix(';') {
        Some(rest) => Some((named(name)?, rest)),
        // As in the value of an attribute, where a query's parameters have such names.
        None if rest.starts_with('=') => None,
        None => {
            let is_open = OPEN.contains(&name);
            Some((if is_open { named(name)? } else { latin(name)? }, rest))
        }
    }
}

fn named(name: &str) -> Option<char> {
    let other = OTHERS.iter().find(|(known, _)| *known == name).map(|(_, is)| *is);
    other.or_else(|| latin(name))
}

fn latin(name: &str) -> Option<char> {
    let place = LATIN.split(' ').position(|known| known == name)?;
    char::from_u32(0xa0_u32.saturating_add(u32::try_from(place).ok()?))
}

fn numeric(text: &str) -> Option<(char, &str)> {
    let (radix, text) = match text.strip_prefix(['x', 'X']) {
        Some(text) => (16, text),
        None => (10, text),
    };
    let end = text.find(|each: char| !each.is_digit(radix)).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())?;
    // What is too long for a number is no character either.
    let number = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
    let is = match number {
        0 => None,
        0x80..=0x9f => u8::try_from(number).ok().map(windows_1252::character),
        _ => char::from_u32(number),
    };
    Some((is.unwrap_or(char::REPLACEMENT_CHARACTER), rest.strip_prefix(';').unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_become_characters() {
        for (text, shown) in [
            ("Fish &amp; chips", "Fish & chips"),
            ("&lt;b&gt; &quot;&apos;&#39;&#x27;", "<b> \"'''"),
            ("Stra&szlig;e &uuml;ber K&ouml;ln&nbsp;&#8211;&ndash;", "Straße über Köln\u{a0}––"),
            ("&yuml;&Agrave;&times;", "ÿÀ×"),
            ("&#128512;&#x1F600;&#x1f600 ok", "😀😀😀 ok"),
            ("Fish &amp chips &copy &lt", "Fish & chips © <"),
            // As the specification has it: what windows-1252 has there.
            ("&#146;&#150;", "’–"),
            ("&#0;&#xd800;&#x110000;&#99999999999;", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(decoded(text), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_stays() {
        for text in [
            "a & b",
            "?a=1&copy=2&lt2",
            "&",
            "&;",
            "&#;",
            "&#x;",
            "&unknown;",
            "&mdash &copying",
            "AT&T; &ä;",
        ] {
            assert_eq!(decoded(text), text);
        }
    }

    #[test]
    fn of_a_long_text_the_beginning_is_read() {
        let shown = decoded(&format!("a{}", "ä".repeat(MOST)));
        assert_eq!(shown.len(), 1 + (MOST - 2) + '…'.len_utf8());
        assert!(shown.ends_with("ä…"));
    }
}
