//! How is each format read, and how much memory does that take?

use std::io::Cursor;

use image_webp::WebPDecoder;
use jpeg_decoder::{CodingProcess, Decoder as JpegDecoder, ImageInfo, PixelFormat};
use png::Transformations;

use super::{
    exif,
    format::{Format, MAX_MEMORY, Unshowable},
    markers::Told,
    riff,
    shape::Geometry,
    shrink::{Pixels, Shrink},
};

/// A JPEG is decoded at this many times the size of the thumbnail, so that averages are good.
const FINER: u32 = 2;
/// How many pixels a JPEG may have more than it says, to each side: it is made of blocks.
const BLOCKS: u64 = 32;

/// How much of a PNG may be held beside the picture (bytes): a row of it, and what it says of itself.
const PNG_HELD: usize = 2 << 20;
/// How much that takes, with the rows that a row is decoded from and copies of what is said (bytes).
const PNG_BESIDE: u64 = 4 * PNG_HELD as u64;

/// How many bytes the codes take that a byte of a lossless WebP can describe: tables of 36 KB come from ten of them.
const CODES: u64 = 4096;

/// A picture whose size is known, and that is not decoded yet.
pub struct Source<'a> {
    pub size: (u32, u32),
    pub orientation: u8,
    /// Whether it may move.
    pub moves: bool,
    decoder: Decoder<'a>,
}

enum Decoder<'a> {
    Png(Box<png::Reader<Cursor<&'a [u8]>>>),
    /// With how many bytes are held beside what is decoded, until the end.
    Jpeg(Box<JpegDecoder<&'a [u8]>>, ImageInfo, u64),
    Gif(Box<gif::Decoder<&'a [u8]>>),
    /// With how many bytes the codes of what is lossless may take.
    WebP(Box<WebPDecoder<Cursor<&'a [u8]>>>, u64),
}

fn unreadable<E>(_: E) -> Unshowable {
    Unshowable::Unreadable
}

/// Refuses what takes too much memory.
fn within(bytes: u64) -> Result<(), Unshowable> {
    if bytes > MAX_MEMORY { Err(Unshowable::TooLarge) } else { Ok(()) }
}

impl<'a> Source<'a> {
    pub fn open(format: Format, bytes: &'a [u8]) -> Result<Self, Unshowable> {
        match format {
            Format::Png => Self::png(bytes),
            Format::Jpeg => Self::jpeg(bytes),
            Format::Gif => Self::gif(bytes),
            Format::WebP => Self::webp(bytes),
        }
    }

    fn png(bytes: &'a [u8]) -> Result<Self, Unshowable> {
        let limits = png::Limits { bytes: PNG_HELD };
        let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
        decoder.set_transformations(Transformations::normalize_to_color8());
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        let reader = decoder.read_info().map_err(unreadable)?;
        let info = reader.info();
        let (size, moves) = ((info.width, info.height), info.animation_control.is_some());
        Ok(Self { size, orientation: 1, moves, decoder: Decoder::Png(Box::new(reader)) })
    }

    fn jpeg(bytes: &'a [u8]) -> Result<Self, Unshowable> {
        let orientation = exif::of_jpeg(bytes).map_or(1, exif::orientation);
        let mut decoder = JpegDecoder::new(bytes);
        decoder.read_info().map_err(unreadable)?;
        let info = decoder.info().ok_or(Unshowable::Unreadable)?;
        let size = (u32::from(info.width), u32::from(info.height));
        let told = Told::of(bytes);
        told.in_time(size)?;
        let held = match info.coding_process {
            CodingProcess::DctProgressive => told.profiles.saturating_add(told.coefficients),
            CodingProcess::DctSequential | CodingProcess::Lossless => told.profiles,
        };
        let decoder = Decoder::Jpeg(Box::new(decoder), info, held);
        Ok(Self { size, orientation, moves: false, decoder })
    }

    fn gif(bytes: &'a [u8]) -> Result<Self, Unshowable> {
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let limit = std::num::NonZeroU64::new(MAX_MEMORY)
            .map_or(gif::MemoryLimit::Unlimited, gif::MemoryLimit::Bytes);
        options.set_memory_limit(limit);
        let decoder = options.read_info(bytes).map_err(unreadable)?;
        let size = (u32::from(decoder.width()), u32::from(decoder.height()));
        Ok(Self { size, orientation: 1, moves: true, decoder: Decoder::Gif(Box::new(decoder)) })
    }

    fn webp(bytes: &'a [u8]) -> Result<Self, Unshowable> {
        let codes = CODES.saturating_mul(riff::check(bytes)? as u64);
        let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(unreadable)?;
        decoder.set_memory_limit(bytes.len());
        let orientation = decoder.exif_metadata().ok().flatten();
        let orientation = orientation.map_or(1, |exif| exif::orientation(&exif));
        let (size, moves) = (decoder.dimensions(), decoder.is_animated());
        Ok(Self { size, orientation, moves, decoder: Decoder::WebP(Box::new(decoder), codes) })
    }

    /// Whether only the codes of the picture may take too much memory. A browser has more of it.
    pub fn has_too_many_codes(&self) -> bool {
        let Decoder::WebP(decoder, codes) = &self.decoder else { return false };
        let planes = of_planes(decoder, u64::from(self.size.0) * u64::from(self.size.1));
        within(planes).is_ok() && within(planes.saturating_add(*codes)).is_err()
    }

    /// Decodes the picture into a smaller one.
    pub fn shrink(&mut self, geometry: &Geometry) -> Result<Pixels, Unshowable> {
        let pixels = u64::from(self.size.0) * u64::from(self.size.1);
        let small = match &mut self.decoder {
            Decoder::Png(reader) => of_png(reader, geometry)?,
            Decoder::Jpeg(_, info, _) if info.coding_process == CodingProcess::Lossless => {
                return Err(Unshowable::Unreadable);
            }
            Decoder::Jpeg(decoder, info, held) => {
                of_jpeg(decoder, (info.pixel_format, *held), geometry)?
            }
            Decoder::Gif(decoder) => {
                within(4 * pixels)?;
                of_gif(decoder, geometry)?
            }
            Decoder::WebP(decoder, codes) => {
                within(of_planes(decoder, pixels).saturating_add(*codes))?;
                of_webp(decoder, geometry)?
            }
        };
        small.ok_or(Unshowable::Unreadable)
    }
}

fn of_png(
    reader: &mut png::Reader<Cursor<&[u8]>>,
    geometry: &Geometry,
) -> Result<Option<Pixels>, Unshowable> {
    let channels = reader.output_color_type().0.samples();
    let mut shrink = Shrink::new(geometry);
    if reader.info().interlaced {
        let size = reader.output_buffer_size().ok_or(Unshowable::TooLarge)?;
        within((size as u64).saturating_add(PNG_BESIDE))?;
        let mut all = vec![0; size];
        reader.next_frame(&mut all).map_err(unreadable)?;
        let row = (geometry.size.0 as usize).saturating_mul(channels).max(1);
        all.chunks(row).for_each(|row| shrink.push(|column| colour(row, column, channels)));
        return Ok(shrink.end());
    }
    // A file that ends too early shows nothing: what is there may be anything.
    for _ in 0..geometry.size.1 {
        let row = reader.next_row().map_err(unreadable)?.ok_or(Unshowable::Unreadable)?;
        shrink.push(|column| colour(row.data(), column, channels));
    }
    Ok(shrink.end())
}

fn of_jpeg(
    decoder: &mut JpegDecoder<&[u8]>,
    (format, held): (PixelFormat, u64),
    geometry: &Geometry,
) -> Result<Option<Pixels>, Unshowable> {
    // What is shown decides how fine the whole is decoded.
    let finer = |to: u32, part: u32, size: u32| {
        let wanted = u64::from(to) * u64::from(size) * u64::from(FINER) / u64::from(part.max(1));
        u16::try_from(wanted.min(u64::from(size))).unwrap_or(u16::MAX)
    };
    let wanted = (
        finer(geometry.to.0, geometry.part.0, geometry.size.0),
        finer(geometry.to.1, geometry.part.1, geometry.size.1),
    );
    let (width, height) = decoder.scale(wanted.0, wanted.1).map_err(unreadable)?;
    let channels = format.pixel_bytes();
    let pixels = (u64::from(width) + BLOCKS) * (u64::from(height) + BLOCKS);
    within(held.saturating_add(2 * channels as u64 * pixels))?;
    let decoded = decoder.decode().map_err(unreadable)?;
    let scaled = geometry.scaled((u32::from(width), u32::from(height)));
    let mut shrink = Shrink::new(&scaled);
    let row = usize::from(width).saturating_mul(channels).max(1);
    for row in decoded.chunks(row) {
        shrink.push(|column| match format {
            PixelFormat::CMYK32 => of_cmyk(colour(row, column, channels)),
            // Of two bytes the first is the coarser.
            _ => colour(row, column, channels),
        });
    }
    Ok(shrink.end())
}

fn of_gif(
    decoder: &mut gif::Decoder<&[u8]>,
    geometry: &Geometry,
) -> Result<Option<Pixels>, Unshowable> {
    let frame = decoder.read_next_frame().map_err(unreadable)?.ok_or(Unshowable::Unreadable)?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    let mut shrink = Shrink::new(geometry);
    for row in 0..geometry.size.1 as usize {
        let begin = row.checked_sub(top).filter(|row| *row < height).map(|row| 4 * row * width);
        let pixels = begin.and_then(|begin| frame.buffer.get(begin..begin + 4 * width));
        shrink.push(|column| match (pixels, column.checked_sub(left)) {
            (Some(pixels), Some(column)) if column < width => colour(pixels, column, 4),
            _ => [0; 4],
        });
    }
    Ok(shrink.end())
}

/// The planes or the colours of a WebP, and the picture; what is transparent beside it; what moves, once more (bytes).
fn of_planes(decoder: &WebPDecoder<Cursor<&[u8]>>, pixels: u64) -> u64 {
    let each = match (decoder.is_animated(), decoder.has_alpha()) {
        (true, _) => 13,
        (false, true) => 11,
        (false, false) => 9,
    };
    each * pixels
}

fn of_webp(
    decoder: &mut WebPDecoder<Cursor<&[u8]>>,
    geometry: &Geometry,
) -> Result<Option<Pixels>, Unshowable> {
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let size = decoder.output_buffer_size().ok_or(Unshowable::TooLarge)?;
    let mut all = vec![0; size];
    if decoder.is_animated() {
        decoder.read_frame(&mut all).map_err(unreadable)?;
    } else {
        decoder.read_image(&mut all).map_err(unreadable)?;
    }
    let mut shrink = Shrink::new(geometry);
    let row = (geometry.size.0 as usize).saturating_mul(channels).max(1);
    all.chunks(row).for_each(|row| shrink.push(|column| colour(row, column, channels)));
    Ok(shrink.end())
}

/// The pixel in this column of a row with so many bytes each: grey, grey and opaque, three colours, or those and opaque.
fn colour(row: &[u8], column: usize, channels: usize) -> [u8; 4] {
    let begin = column.saturating_mul(channels);
    match row.get(begin..begin.saturating_add(channels)) {
        Some([grey]) => [*grey, *grey, *grey, u8::MAX],
        Some([grey, alpha]) => [*grey, *grey, *grey, *alpha],
        Some([red, green, blue]) => [*red, *green, *blue, u8::MAX],
        Some([red, green, blue, alpha]) => [*red, *green, *blue, *alpha],
        _ => [0; 4],
    }
}

fn of_cmyk([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 4] {
    let light = u16::from(u8::MAX - black);
    let mix = |ink: u8| u8::try_from(u16::from(u8::MAX - ink) * light / 255).unwrap_or(u8::MAX);
    [mix(cyan), mix(magenta), mix(yellow), u8::MAX]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_kept_of_what_a_png_says_of_itself() {
        let with = |exif: usize| {
            let mut info = png::Info::with_size(1, 1);
            info.icc_profile = Some(vec![0; 100_000].into());
            let mut written = Vec::new();
            let encoder = png::Encoder::with_info(&mut written, info).unwrap();
            let mut writer = encoder.write_header().unwrap();
            writer.write_chunk(png::chunk::eXIf, &vec![0; exif]).unwrap();
            writer.write_image_data(&[0]).unwrap();
            drop(writer);
            written
        };
        let small = with(1000);
        let source = Source::open(Format::Png, &small).unwrap();
        assert!(
            matches!(source.decoder, Decoder::Png(reader) if reader.info().icc_profile.is_none())
        );
        let large = with(8 << 20);
        let opened = Source::open(Format::Png, &large);
        assert!(matches!(opened, Err(Unshowable::Unreadable)));
    }
}
