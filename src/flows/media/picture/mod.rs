//! How is a picture made smaller? ([thumbnails](https://spec.matrix.org/v1.19/client-server-api/#thumbnails))
//!
//! A Worker has 128 MB. So no picture is decoded before it is known what that takes, and most never lie decoded as a
//! whole: rows are averaged into the thumbnail as they come. JPEG is decoded at an eighth, a quarter or half its size.

mod decode;
mod encode;
mod exif;
mod format;
mod markers;
mod riff;
mod shape;
mod shrink;
#[cfg(test)]
mod tests;

use self::{decode::Source, format::MAX_PIXELS, shape::Geometry};
pub use self::{
    format::{Format, MAX_SOURCE, Shown, Unshowable},
    shape::{Method, Shape},
};

/// Width and height of a picture that stands upright, by its first bytes; none where these do not say so.
pub fn size(format: Format, first: &[u8]) -> Option<(u32, u32)> {
    let said = match (Source::open(format, first), format) {
        (Ok(source), _) => {
            let (width, height) = source.size;
            let lies = matches!(source.orientation, 5..=8);
            Some(if lies { (height, width) } else { (width, height) })
        }
        // It says more of itself at its end.
        (Err(_), Format::WebP) => riff::canvas(first),
        (Err(_), _) => None,
    };
    said.filter(|(width, height)| *width > 0 && *height > 0)
}

/// Makes a picture smaller.
pub fn thumbnail(bytes: &[u8], shape: Shape) -> Result<Shown, Unshowable> {
    let format = Format::of(bytes).ok_or(Unshowable::Unreadable)?;
    let mut source = Source::open(format, bytes)?;
    if source.size.0 == 0 || source.size.1 == 0 {
        return Err(Unshowable::Unreadable);
    }
    let geometry = Geometry::of(source.size, source.orientation, shape);
    if geometry.is_whole() && source.orientation == 1 && !source.moves {
        return Ok(Shown::AsItIs);
    }
    if u64::from(source.size.0) * u64::from(source.size.1) > MAX_PIXELS {
        return Err(Unshowable::TooLarge);
    }
    if source.has_too_many_codes() && !source.moves {
        return Ok(Shown::AsItIs);
    }
    let small = source.shrink(&geometry)?;
    let small = exif::upright(small, source.orientation);
    let is_photograph = matches!(format, Format::Jpeg | Format::WebP);
    Ok(Shown::Made(encode::encode(&small, is_photograph)?))
}
