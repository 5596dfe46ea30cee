//! Is every frame of a WebP file as large as the file says? ([WebP container](https://developers.google.com/speed/webp/docs/riff_container))
//!
//! The size stands twice: for the picture or the frame of an animation, and in what is encoded. Memory is counted by the
//! first and taken by the second, and pixels are written by both: so a file where they differ is not decoded.

use super::format::Unshowable;

/// Where the first chunk begins.
const BEGIN: usize = 12;
/// How many bytes of a frame of an animation stand before its chunks.
const FRAME: usize = 16;

/// Refuses a file in which a frame has another size than it says.
pub fn check(bytes: &[u8]) -> Result<(), Unshowable> {
    let mut chunks = Chunks(bytes.get(BEGIN..).unwrap_or_default());
    let Some((b"VP8X", head)) = chunks.next() else {
        // Of a simple file the size stands nowhere else.
        return Ok(());
    };
    let canvas = head.get(4..).and_then(size).ok_or(Unshowable::Unreadable)?;
    let fits = chunks.all(|(name, content)| match name {
        b"ANMF" => frame_fits(content),
        _ => picture_fits(name, content, canvas),
    });
    if fits { Ok(()) } else { Err(Unshowable::Unreadable) }
}

fn frame_fits(frame: &[u8]) -> bool {
    let Some(said) = frame.get(6..).and_then(size) else { return false };
    let mut after_alpha = false;
    Chunks(frame.get(FRAME..).unwrap_or_default()).all(|(name, content)| {
        // Whatever follows the alpha channel is decoded as the picture.
        let name = if after_alpha { b"VP8 " } else { name };
        after_alpha = name == b"ALPH";
        picture_fits(name, content, said)
    })
}

/// Whether a chunk has the size that is said, if it is a picture.
fn picture_fits(name: &[u8; 4], content: &[u8], said: (u32, u32)) -> bool {
    match name {
        b"VP8 " => lossy(content) == Some(said),
        b"VP8L" => lossless(content) == Some(said),
        _ => true,
    }
}

/// Width and height, each less one, in three bytes.
fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let &[a, b, c, d, e, f, ..] = bytes else { return None };
    Some((u32::from_le_bytes([a, b, c, 0]) + 1, u32::from_le_bytes([d, e, f, 0]) + 1))
}

/// The size of a VP8 frame ([RFC 6386](https://www.rfc-editor.org/rfc/rfc6386#section-9.1)).
fn lossy(content: &[u8]) -> Option<(u32, u32)> {
    let &[_, _, _, 0x9d, 0x01, 0x2a, a, b, c, d, ..] = content else { return None };
    let side = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    Some((side(a, b), side(c, d)))
}

/// The size of a VP8L frame ([RFC 9649](https://www.rfc-editor.org/rfc/rfc9649#section-3.4)).
fn lossless(content: &[u8]) -> Option<(u32, u32)> {
    let &[0x2f, a, b, c, d, ..] = content else { return None };
    let sides = u32::from_le_bytes([a, b, c, d]);
    Some(((sides & 0x3fff) + 1, ((sides >> 14) & 0x3fff) + 1))
}

/// The chunks of a RIFF file, each with its name. Of one that is cut off, what there is.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let content = rest.get(..length).unwrap_or(rest);
        // Each begins at an even place.
        self.0 = rest.get(length.saturating_add(length % 2)..).unwrap_or_default();
        Some((name, content))
    }
}
