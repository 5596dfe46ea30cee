//! How is a thumbnail written? What has nothing transparent and was a photograph, as JPEG; anything else as PNG.

use jpeg_encoder::{ColorType, Encoder};

use super::{format::Unshowable, shrink::Pixels};

/// Of JPEG, as others have it.
const QUALITY: u8 = 80;

pub fn encode(pixels: &Pixels, is_photograph: bool) -> Result<Vec<u8>, Unshowable> {
    let colours = pixels.rgba.as_chunks::<4>().0;
    let is_opaque = colours.iter().all(|[.., alpha]| *alpha == u8::MAX);
    let mut written = Vec::new();
    if !is_opaque {
        png(&mut written, pixels, (png::ColorType::Rgba, &pixels.rgba))?;
        return Ok(written);
    }
    let rgb: Vec<u8> =
        colours.iter().flat_map(|[red, green, blue, _]| [*red, *green, *blue]).collect();
    match (is_photograph, u16::try_from(pixels.width), u16::try_from(pixels.height)) {
        (true, Ok(width), Ok(height)) => Encoder::new(&mut written, QUALITY)
            .encode(&rgb, width, height, ColorType::Rgb)
            .map_err(|_| Unshowable::Unreadable)?,
        _ => png(&mut written, pixels, (png::ColorType::Rgb, &rgb))?,
    }
    Ok(written)
}

fn png(
    written: &mut Vec<u8>,
    pixels: &Pixels,
    (kind, bytes): (png::ColorType, &[u8]),
) -> Result<(), Unshowable> {
    let mut encoder = png::Encoder::new(written, pixels.width, pixels.height);
    encoder.set_color(kind);
    encoder.set_depth(png::BitDepth::Eight);
    let header = encoder.write_header();
    header.and_then(|mut writer| writer.write_image_data(bytes)).map_err(|_| Unshowable::Unreadable)
}
