//! Which characters do the bytes of windows-1252 stand for? ([index](https://encoding.spec.whatwg.org/index-windows-1252.txt))

/// What windows-1252 has for 0x80 to 0x9F.
const UPPER: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

pub fn character(byte: u8) -> char {
    let place = usize::from(byte).checked_sub(0x80);
    let upper = place.and_then(|place| UPPER.get(place));
    upper.copied().unwrap_or(char::from(byte))
}
