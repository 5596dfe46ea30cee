//! Is every frame of a WebP file as large as the file says, and how much of it is lossless? ([WebP container](https://developers.google.com/speed/webp/docs/riff_container))
//!
//! The size stands twice: for the picture or the frame of an animation, and in what is encoded. Memory is counted by the
//! first and taken by the second, and pixels are written by both: so a file where they differ is not decoded.
//! What is lossless may hold many codes, which take memory that no size tells of: so its length is answered.

use super::format::Unshowable;

/// Where the first chunk begins.
const BEGIN: usize = 12;
/// How many bytes of a frame of an animation stand before its chunks.
const FRAME: usize = 16;

/// Refuses a file in which a frame has another size than it says. How many bytes the longest lossless chunk has.
pub fn check(bytes: &[u8]) -> Result<usize, Unshowable> {
    let mut chunks = Chunks(bytes.get(BEGIN..).unwrap_or_default());
    let Some(first) = chunks.next() else { return Ok(0) };
    let mut longest = 0;
    if first.name != b"VP8X" {
        // Of a simple file the size stands nowhere else.
        longest = first.lossless();
    } else {
        let canvas = first.content.get(4..).and_then(size).ok_or(Unshowable::Unreadable)?;
        for chunk in chunks {
            longest = longest.max(match chunk.name {
                b"ANMF" => frame(chunk.content)?,
                _ => picture(&chunk, canvas)?,
            });
        }
    }
    // No chunk is read beyond the end of the file, whatever it says.
    Ok(longest.min(bytes.len()))
}

/// The size that a file says before all else, if it says one there.
pub fn canvas(bytes: &[u8]) -> Option<(u32, u32)> {
    let first = Chunks(bytes.get(BEGIN..)?).next()?;
    if first.name == b"VP8X" { first.content.get(4..).and_then(size) } else { None }
}

fn frame(frame: &[u8]) -> Result<usize, Unshowable> {
    let said = frame.get(6..).and_then(size).ok_or(Unshowable::Unreadable)?;
    let (mut longest, mut after_alpha) = (0, false);
    for chunk in Chunks(frame.get(FRAME..).unwrap_or_default()) {
        // Whatever follows the alpha channel is decoded as the picture.
        let name = if after_alpha { b"VP8 " } else { chunk.name };
        after_alpha = name == b"ALPH";
        longest = longest.max(chunk.lossless()).max(picture(&Chunk { name, ..chunk }, said)?);
    }
    Ok(longest)
}

/// Refuses a picture that has not the size that is said. How many of its bytes are lossless.
fn picture(chunk: &Chunk<'_>, said: (u32, u32)) -> Result<usize, Unshowable> {
    let fits = match chunk.name {
        b"VP8 " => lossy(chunk.content) == Some(said),
        b"VP8L" => lossless(chunk.content) == Some(said),
        _ => true,
    };
    if fits { Ok(chunk.lossless()) } else { Err(Unshowable::Unreadable) }
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

struct Chunk<'a> {
    name: &'a [u8; 4],
    /// Of one that is cut off, what there is.
    content: &'a [u8],
    /// How many bytes it says to have.
    length: usize,
}

impl Chunk<'_> {
    /// How many of its bytes are decoded as a lossless picture; the first of an alpha channel says whether it is one.
    fn lossless(&self) -> usize {
        match (self.name, self.content.first()) {
            (b"VP8L", _) => self.length,
            (b"ALPH", Some(first)) if first & 3 == 1 => self.length,
            _ => 0,
        }
    }
}

/// The chunks of a RIFF file.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let content = rest.get(..length).unwrap_or(rest);
        // Each begins at an even place.
        self.0 = rest.get(length.saturating_add(length % 2)..).unwrap_or_default();
        Some(Chunk { name, content, length })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Method, Shape, Shown, thumbnail},
        *,
    };

    /// Bits, the lowest of a byte first.
    #[derive(Default)]
    struct Bits(Vec<u8>, u32);

    impl Bits {
        fn write(&mut self, count: u32, value: u32) {
            for bit in 0..count {
                if self.1.is_multiple_of(8) {
                    self.0.push(0);
                }
                *self.0.last_mut().unwrap() |= ((value >> bit & 1) as u8) << (self.1 % 8);
                self.1 += 1;
            }
        }

        /// Codes for five channels that have one value each.
        fn codes(&mut self, values: [u32; 5]) {
            for value in values {
                self.write(3, 0b101);
                self.write(8, value);
            }
        }
    }

    /// A picture of one colour, of which a single block says to have the last of so many groups of codes.
    fn with_groups(groups: u32) -> Vec<u8> {
        let mut bits = Bits::default();
        bits.write(8, 0x2f);
        bits.write(14, 99);
        bits.write(14, 99);
        // Neither alpha, version, transform nor cache; blocks of 512 pixels to each side have codes of their own.
        bits.write(6, 0);
        bits.write(1, 1);
        bits.write(3, 7);
        bits.write(1, 0);
        bits.codes([(groups - 1) & 0xff, (groups - 1) >> 8, 0, 0, 0]);
        (0..groups).for_each(|_| bits.codes([0; 5]));
        let length = |bytes: usize| u32::try_from(bytes).unwrap().to_le_bytes();
        let content = bits.0;
        let riff = length(content.len() + BEGIN);
        [b"RIFF", &riff[..], b"WEBPVP8L", &length(content.len())[..], &content].concat()
    }

    #[test]
    fn a_picture_with_too_many_codes_is_shown_as_it_is() {
        let small = Shape { width: 32, height: 32, method: Method::Crop };
        assert!(matches!(thumbnail(&with_groups(100), small), Ok(Shown::Made(_))));
        assert_eq!(thumbnail(&with_groups(65_536), small), Ok(Shown::AsItIs));
    }

    #[test]
    fn the_longest_lossless_chunk_counts() {
        let chunk = |name: &[u8; 4], content: &[u8]| {
            let length = u32::try_from(content.len()).unwrap().to_le_bytes();
            [name, &length[..], content].concat()
        };
        let canvas = chunk(b"VP8X", &[0b1_0010, 0, 0, 0, 7, 0, 0, 7, 0, 0]);
        let alpha =
            |first: u8, bytes: usize| chunk(b"ALPH", &[vec![first], vec![0; bytes]].concat());
        let frame = [vec![0; 6], vec![7, 0, 0, 7, 0, 0], vec![0; 4], alpha(1, 299)].concat();
        let file = |chunks: &[Vec<u8>]| [vec![0; BEGIN], chunks.concat()].concat();
        assert_eq!(check(&file(&[canvas.clone(), alpha(0, 999), alpha(1, 99)])), Ok(100));
        assert_eq!(check(&file(&[canvas, alpha(1, 99), chunk(b"ANMF", &frame)])), Ok(300));
        let simple = check(&file(&[chunk(b"VP8L", &[0; 50])]));
        assert_eq!(simple, Ok(50));
    }
}
