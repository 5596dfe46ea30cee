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

#[cfg(test)]
mod tests {
    use super::{
        super::{Format, Method, Shape, Source, thumbnail},
        *,
    };

    fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        let odd = &[0][..content.len() % 2];
        [name, &length[..], content, odd].concat()
    }

    fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
        chunk(b"RIFF", &[b"WEBP".to_vec(), chunks.concat()].concat())
    }

    fn three(side: u32) -> Vec<u8> {
        (side - 1).to_le_bytes()[..3].to_vec()
    }

    fn extended(flags: u8, (width, height): (u32, u32)) -> Vec<u8> {
        chunk(b"VP8X", &[vec![flags, 0, 0, 0], three(width), three(height)].concat())
    }

    /// A picture of zeros: they mean that nothing differs from what is predicted.
    fn vp8((width, height): (u16, u16)) -> Vec<u8> {
        const PARTITION: usize = 4096;
        let tag = ((PARTITION as u32) << 5 | 1 << 4).to_le_bytes();
        let sides = [width.to_le_bytes(), height.to_le_bytes()].concat();
        [&tag[..3], &[0x9d, 0x01, 0x2a], &sides, &[0; 2 * PARTITION]].concat()
    }

    fn animated(frame: (u32, u32), name: &[u8; 4], picture: (u16, u16)) -> Vec<u8> {
        let alpha = vec![0; 1 + (frame.0 * frame.1) as usize];
        let head = [vec![0; 6], three(frame.0), three(frame.1), vec![0; 4]].concat();
        let frame = [head, chunk(b"ALPH", &alpha), chunk(name, &vp8(picture))].concat();
        let (animation, alpha) = (0b10, 0b1_0000);
        file(&[
            extended(animation | alpha, (64, 64)),
            chunk(b"ANIM", &[0; 6]),
            chunk(b"ANMF", &frame),
        ])
    }

    const SMALL: Shape = Shape { width: 32, height: 32, method: Method::Crop };

    #[test]
    fn a_frame_of_another_size_than_the_animation_says_is_not_decoded() {
        assert!(thumbnail(&animated((16, 16), b"VP8 ", (16, 16)), SMALL).is_ok());
        for (frame, picture) in
            [((1, 1), (16, 16)), ((1, 1), (0, 1)), ((16, 16), (0, 16)), ((16, 16), (32, 16))]
        {
            for name in [b"VP8 ", b"what"] {
                let bytes = animated(frame, name, picture);
                let made = thumbnail(&bytes, SMALL);
                assert_eq!(made, Err(Unshowable::Unreadable), "{frame:?} {picture:?}");
            }
        }
    }

    #[test]
    fn a_picture_of_another_size_than_its_canvas_is_refused_before_it_takes_memory() {
        let still = |size| file(&[extended(0, (200, 200)), chunk(b"VP8 ", &vp8(size))]);
        assert!(thumbnail(&still((200, 200)), SMALL).is_ok());
        for size in [(16_383, 16_383), (199, 200), (0, 0)] {
            let bytes = still(size);
            let opened = Source::open(Format::WebP, &bytes);
            assert!(matches!(opened, Err(Unshowable::Unreadable)), "{size:?}");
        }
        let huge = file(&[extended(0, (8, 8)), chunk(b"VP8L", &[0x2f, 255, 255, 255, 15])]);
        assert!(matches!(Source::open(Format::WebP, &huge), Err(Unshowable::Unreadable)));
    }
}
