//! Which pictures are read, and how large may they be?

/// The largest file that is read to be made smaller.
pub const MAX_SOURCE: usize = 16 << 20;
/// How much memory decoding may take, beside the file.
pub const MAX_MEMORY: u64 = 76 << 20;
/// How many pixels are decoded: what takes no memory takes time.
pub const MAX_PIXELS: u64 = 100_000_000;

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Png,
    Jpeg,
    Gif,
    WebP,
}

/// Why there is no thumbnail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unshowable {
    /// It is no picture that can be read.
    Unreadable,
    /// It would take too much memory.
    TooLarge,
}

/// What is shown.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    Made(Vec<u8>),
    /// It is as small as the thumbnail would be, or only a browser has the memory to make it smaller.
    AsItIs,
}

impl Format {
    /// By the first bytes of a file.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            _ => None,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
        }
    }

    /// Whether it may move, by its first bytes. What may is shown as a picture that stands still.
    pub fn may_move(self, first: &[u8]) -> bool {
        match self {
            Self::Jpeg => false,
            Self::Gif => true,
            Self::Png => png_moves(first),
            // The flags of the extended format ([WebP container](https://developers.google.com/speed/webp/docs/riff_container#extended_file_format)).
            Self::WebP => {
                first.get(12..16) == Some(b"VP8X")
                    && first.get(20).is_none_or(|flags| flags & 2 != 0)
            }
        }
    }
}

/// Whether a PNG says before its picture that it is animated ([APNG](https://www.w3.org/TR/png-3/#acTL-chunk)). Where
/// neither comes soon, it may.
fn png_moves(first: &[u8]) -> bool {
    let mut rest = first.get(8..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        match after.get(..4) {
            Some(b"acTL") => return true,
            Some(b"IDAT") => return false,
            _ => {}
        }
        // The name before the content, and a checksum behind it.
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        rest = after.get(length.saturating_add(8)..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(chunks: &[(&[u8; 4], usize)]) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        for (name, length) in chunks {
            file.extend(u32::try_from(*length).unwrap().to_be_bytes());
            file.extend(*name);
            file.extend(vec![0; length + 4]);
        }
        file
    }

    fn may_move(first: &[u8]) -> bool {
        Format::of(first).unwrap().may_move(first)
    }

    #[test]
    fn a_png_moves_if_it_says_so_before_its_picture() {
        assert!(!may_move(&png(&[(b"IHDR", 13), (b"IDAT", 10), (b"acTL", 8)])));
        assert!(may_move(&png(&[(b"IHDR", 13), (b"tEXt", 99), (b"acTL", 8), (b"IDAT", 10)])));
        assert!(may_move(&png(&[(b"IHDR", 13), (b"tEXt", 99)])));
        let mut endless = png(&[(b"IHDR", 13)]);
        endless[8..12].fill(0xff);
        assert!(may_move(&endless));
    }

    #[test]
    fn a_webp_moves_if_its_flags_say_so() {
        assert!(!may_move(b"RIFF0000WEBPVP8L0000/"));
        assert!(!may_move(b"RIFF0000WEBPVP8X0000\x10"));
        assert!(may_move(b"RIFF0000WEBPVP8X0000\x12"));
        assert!(may_move(b"RIFF0000WEBPVP8X0000"));
        assert!(may_move(b"GIF89a") && !may_move(&[0xff, 0xd8, 0xff]));
    }
}
