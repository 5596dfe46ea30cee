//! How was the camera held? ([Exif](https://www.cipa.jp/std/documents/e/DC-X008-Translation-2019-E.pdf), orientation)

use super::{
    markers::{APP1, SOS, Segments},
    shrink::Pixels,
};

/// The tag of the orientation.
const ORIENTATION: u16 = 0x0112;
/// How many entries are looked at.
const MOST_ENTRIES: u16 = 512;

/// The orientation that Exif data says, from 1 (upright) to 8.
pub fn orientation(exif: &[u8]) -> u8 {
    tag(exif)
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (1..=8).contains(value))
        .unwrap_or(1)
}

/// The Exif data of a JPEG file, from where it says its byte order.
pub fn of_jpeg(bytes: &[u8]) -> Option<&[u8]> {
    // Where the picture itself begins, there is no more.
    let head = Segments::of(bytes).take_while(|(marker, _)| *marker != SOS);
    let mut exif = head.filter(|(marker, _)| *marker == APP1);
    exif.find_map(|(_, segment)| segment.strip_prefix(b"Exif\0\0"))
}

fn tag(exif: &[u8]) -> Option<u16> {
    let is_little = match exif.get(..2)? {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes: [u8; 2] = exif.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let bytes: [u8; 4] = exif.get(4..8)?.try_into().ok()?;
    let begin = if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
    let begin = usize::try_from(begin).ok()?;
    let entries = short(begin)?.min(MOST_ENTRIES);
    let places = (0..usize::from(entries)).map(|entry| begin.saturating_add(2 + 12 * entry));
    let place = places.into_iter().find(|place| short(*place) == Some(ORIENTATION))?;
    short(place.checked_add(8)?)
}

/// The picture turned so that it stands upright.
pub fn upright(pixels: Pixels, orientation: u8) -> Pixels {
    let (width, height) = (pixels.width, pixels.height);
    let (to_width, to_height) = if orientation >= 5 { (height, width) } else { (width, height) };
    if orientation <= 1 {
        return pixels;
    }
    let mut rgba = Vec::with_capacity(pixels.rgba.len());
    for y in 0..to_height {
        for x in 0..to_width {
            let (right, down) = (to_width - 1 - x, to_height - 1 - y);
            let (x, y) = match orientation {
                2 => (right, y),
                3 => (right, down),
                4 => (x, down),
                5 => (y, x),
                6 => (y, right),
                7 => (down, right),
                _ => (down, x),
            };
            let begin = 4 * (y as usize * width as usize + x as usize);
            rgba.extend_from_slice(pixels.rgba.get(begin..begin + 4).unwrap_or(&[0; 4]));
        }
    }
    Pixels { width: to_width, height: to_height, rgba }
}
