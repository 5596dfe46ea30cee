//! What does a JPEG file say of itself before it is decoded? ([ITU-T T.81](https://www.w3.org/Graphics/JPEG/itu-t81.pdf), annex B)

use super::format::{MAX_PIXELS, Unshowable};

/// An application's own data: Exif in the first kind, colour profiles in the second.
pub const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
pub const SOS: u8 = 0xda;

/// How many times a file may go over its picture: encoders write a dozen scans.
const MOST_SCANS: u64 = 100;
/// How many pixels all scans together may go over: a scan of a few bytes takes as long as any other.
const MOST_SCANNED: u64 = 4 * MAX_PIXELS;
/// A block has so many coefficients, of two bytes each.
const BLOCK: u64 = 64 * 2;

/// What decoding takes, as far as the file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    scans: u64,
    /// How many bytes of colour profiles are kept until the end.
    pub profiles: u64,
    /// How many bytes all coefficients of the picture take.
    pub coefficients: u64,
}

impl Told {
    pub fn of(bytes: &[u8]) -> Self {
        let mut told = Self::default();
        for (marker, segment) in Segments::of(bytes) {
            match marker {
                SOS => told.scans += 1,
                APP2 => told.profiles += segment.len() as u64,
                0xc0..=0xc2 => told.coefficients = coefficients(segment).unwrap_or(u64::MAX),
                _ => {}
            }
        }
        told
    }

    /// Refuses what takes too long.
    pub fn in_time(self, size: (u32, u32)) -> Result<(), Unshowable> {
        if self.scans > MOST_SCANS {
            return Err(Unshowable::Unreadable);
        }
        let pixels = u64::from(size.0) * u64::from(size.1);
        if pixels.saturating_mul(self.scans) > MOST_SCANNED {
            return Err(Unshowable::TooLarge);
        }
        Ok(())
    }
}

/// How many bytes the coefficients of a frame with this header take.
fn coefficients(header: &[u8]) -> Option<u64> {
    let &[_, a, b, c, d, _, ref components @ ..] = header else { return None };
    let (height, width) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let factors = components.as_chunks::<3>().0.iter().map(|[_, factors, _]| *factors);
    let factors = factors.map(|factors| (u64::from(factors >> 4), u64::from(factors & 15)));
    let most =
        factors.clone().fold((1, 1), |most, (wide, high)| (most.0.max(wide), most.1.max(high)));
    let across = u64::from(width).div_ceil(8 * most.0);
    let down = u64::from(height).div_ceil(8 * most.1);
    Some(across * down * factors.map(|(wide, high)| wide * high).sum::<u64>() * BLOCK)
}

/// The segments of a JPEG file, each with its marker. What stands between them is skipped, as decoders do.
pub struct Segments<'a>(&'a [u8]);

impl<'a> Segments<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let begin = self.0.iter().position(|byte| *byte == 0xff)?;
            let filled = self.0.get(begin..)?;
            let begin = filled.iter().position(|byte| *byte != 0xff)?;
            let (marker, rest) = filled.get(begin..)?.split_first()?;
            self.0 = rest;
            match *marker {
                // A byte of the picture, or a marker without a segment.
                0 | 0x01 | 0xd0..=0xd8 => {}
                // Whatever follows the end is no part of the picture.
                0xd9 => {
                    self.0 = &[];
                    return None;
                }
                marker => {
                    let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
                    let segment = rest.get(2..length)?;
                    self.0 = rest.get(length..)?;
                    return Some((marker, segment));
                }
            }
        }
    }
}
