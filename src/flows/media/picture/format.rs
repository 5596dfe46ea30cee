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
    /// It is as small as the thumbnail would be.
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

    /// Whether it may move. What may is shown as a picture that stands still.
    pub fn may_move(self) -> bool {
        self != Self::Jpeg
    }
}
