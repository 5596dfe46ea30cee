//! Which characters do references stand for? ([named](https://html.spec.whatwg.org/multipage/named-characters.html),
//! [numeric](https://html.spec.whatwg.org/multipage/parsing.html#numeric-character-reference-end-state))
//!
//! Of the 2,231 names only those are known that people write: all of them would be a hundredth of what the Worker weighs.
//! What is not known stays as it is.

use super::windows_1252;

/// What names stand for, sorted by name.
const NAMES: [(&str, char); 137] = [
    ("AElig", 'Æ'),
    ("AMP", '&'),
    ("Aacute", 'Á'),
    ("Acirc", 'Â'),
    ("Agrave", 'À'),
    ("Aring", 'Å'),
    ("Atilde", 'Ã'),
    ("Auml", 'Ä'),
    ("Ccedil", 'Ç'),
    ("ETH", 'Ð'),
    ("Eacute", 'É'),
    ("Ecirc", 'Ê'),
    ("Egrave", 'È'),
    ("Euml", 'Ë'),
    ("GT", '>'),
    ("Iacute", 'Í'),
    ("Icirc", 'Î'),
    ("Igrave", 'Ì'),
    ("Iuml", 'Ï'),
    ("LT", '<'),
    ("Ntilde", 'Ñ'),
    ("OElig", 'Œ'),
    ("Oacute", 'Ó'),
    ("Ocirc", 'Ô'),
    ("Ograve", 'Ò'),
    ("Oslash", 'Ø'),
    ("Otilde", 'Õ'),
    ("Ouml", 'Ö'),
    ("QUOT", '"'),
    ("Scaron", 'Š'),
    ("THORN", 'Þ'),
    ("Uacute", 'Ú'),
    ("Ucirc", 'Û'),
    ("Ugrave", 'Ù'),
    ("Uuml", 'Ü'),
    ("Yacute", 'Ý'),
    ("Yuml", 'Ÿ'),
    ("Zcaron", 'Ž'),
    ("aacute", 'á'),
    ("acirc", 'â'),
    ("acute", '´'),
    ("aelig", 'æ'),
    ("agrave", 'à'),
    ("amp", '&'),
    ("apos", '\''),
    ("aring", 'å'),
    ("atilde", 'ã'),
    ("auml", 'ä'),
    ("bdquo", '„'),
    ("brvbar", '¦'),
    ("bull", '•'),
    ("ccedil", 'ç'),
    ("cedil", '¸'),
    ("cent", '¢'),
    ("circ", 'ˆ'),
    ("copy", '©'),
    ("curren", '¤'),
    ("dagger", '†'),
    ("deg", '°'),
    ("divide", '÷'),
    ("eacute", 'é'),
    ("ecirc", 'ê'),
    ("egrave", 'è'),
    ("emsp", '\u{2003}'),
    ("ensp", '\u{2002}'),
    ("eth", 'ð'),
    ("euml", 'ë'),
    ("euro", '€'),
    ("fnof", 'ƒ'),
    ("frac12", '½'),
    ("frac14", '¼'),
    ("frac34", '¾'),
    ("gt", '>'),
    ("hellip", '…'),
    ("iacute", 'í'),
    ("icirc", 'î'),
    ("iexcl", '¡'),
    ("igrave", 'ì'),
    ("iquest", '¿'),
    ("iuml", 'ï'),
    ("laquo", '«'),
    ("ldquo", '“'),
    ("lsaquo", '‹'),
    ("lsquo", '‘'),
    ("lt", '<'),
    ("macr", '¯'),
    ("mdash", '—'),
    ("micro", 'µ'),
    ("middot", '·'),
    ("nbsp", '\u{a0}'),
    ("ndash", '–'),
    ("not", '¬'),
    ("ntilde", 'ñ'),
    ("oacute", 'ó'),
    ("ocirc", 'ô'),
    ("oelig", 'œ'),
    ("ograve", 'ò'),
    ("ordf", 'ª'),
    ("ordm", 'º'),
    ("oslash", 'ø'),
    ("otilde", 'õ'),
    ("ouml", 'ö'),
    ("para", '¶'),
    ("permil", '‰'),
    ("plusmn", '±'),
    ("pound", '£'),
    ("quot", '"'),
    ("raquo", '»'),
    ("rarr", '→'),
    ("rdquo", '”'),
    ("reg", '®'),
    ("rsaquo", '›'),
    ("rsquo", '’'),
    ("sbquo", '‚'),
    ("scaron", 'š'),
    ("sect", '§'),
    ("shy", '\u{ad}'),
    ("sup1", '¹'),
    ("sup2", '²'),
    ("sup3", '³'),
    ("szlig", 'ß'),
    ("thinsp", '\u{2009}'),
    ("thorn", 'þ'),
    ("tilde", '˜'),
    ("times", '×'),
    ("trade", '™'),
    ("uacute", 'ú'),
    ("ucirc", 'û'),
    ("ugrave", 'ù'),
    ("uml", '¨'),
    ("uuml", 'ü'),
    ("yacute", 'ý'),
    ("yen", '¥'),
    ("yuml", 'ÿ'),
    ("zcaron", 'ž'),
    ("zwj", '\u{200d}'),
    ("zwnj", '\u{200c}'),
];

/// The longest name.
const LONGEST: usize = 8;
/// Names that count also without a `;`, beside those of Latin letters and signs.
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
        // Who is shown it sees that there is more. A link that ends so is another than was meant, or too long to be one.
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
            let is = named(name)?;
            let is_open = ('\u{a0}'..='\u{ff}').contains(&is) || OPEN.contains(&name);
            is_open.then_some((is, rest))
        }
    }
}

fn named(name: &str) -> Option<char> {
    let place = NAMES.binary_search_by_key(&name, |(known, _)| known).ok()?;
    NAMES.get(place).map(|(_, is)| *is)
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
    fn each_name_is_found() {
        for (name, is) in NAMES {
            assert!(name.len() <= LONGEST);
            assert_eq!(named(name), Some(is), "{name}");
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
