//! Are thumbnails what they are to be, and is nothing decoded that does not fit?

use super::{shrink::Pixels, *};

const fn scale(width: u32, height: u32) -> Shape {
    Shape { width, height, method: Method::Scale }
}

const fn crop(width: u32, height: u32) -> Shape {
    Shape { width, height, method: Method::Crop }
}

/// A picture whose left half is red, and whose right half is blue.
fn halves(width: u32, height: u32) -> Vec<u8> {
    let row = (0..width).flat_map(|x| if x < width / 2 { [200, 0, 0] } else { [0, 0, 200] });
    let row: Vec<u8> = row.collect();
    row.repeat(height as usize)
}

fn png(width: u32, height: u32, kind: png::ColorType, bytes: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    let mut encoder = png::Encoder::new(&mut written, width, height);
    encoder.set_color(kind);
    encoder.write_header().unwrap().write_image_data(bytes).unwrap();
    written
}

fn jpeg(width: u16, height: u16, progressive: bool) -> Vec<u8> {
    let mut written = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut written, 90);
    encoder.set_progressive(progressive);
    let bytes = halves(u32::from(width), u32::from(height));
    encoder.encode(&bytes, width, height, jpeg_encoder::ColorType::Rgb).unwrap();
    written
}

fn gif(width: u16, height: u16) -> Vec<u8> {
    let mut written = Vec::new();
    let mut encoder =
        gif::Encoder::new(&mut written, width, height, &[200, 0, 0, 0, 0, 200]).unwrap();
    for _ in 0..2 {
        let row = (0..width).map(|x| u8::from(x >= width / 2));
        let row: Vec<u8> = row.collect();
        let buffer = row.repeat(usize::from(height)).into();
        encoder
            .write_frame(&gif::Frame { width, height, buffer, ..gif::Frame::default() })
            .unwrap();
    }
    drop(encoder);
    written
}

fn webp(width: u32, height: u32) -> Vec<u8> {
    let mut written = Vec::new();
    let encoder = image_webp::WebPEncoder::new(&mut written);
    encoder.encode(&halves(width, height), width, height, image_webp::ColorType::Rgb8).unwrap();
    written
}

fn made(bytes: &[u8], shape: Shape) -> (Format, Pixels) {
    let Ok(Shown::Made(small)) = thumbnail(bytes, shape) else { panic!("nothing was made") };
    let format = Format::of(&small).unwrap();
    let mut source = Source::open(format, &small).unwrap();
    let size = source.size;
    let geometry = Geometry::of(size, 1, scale(size.0, size.1));
    (format, source.shrink(&geometry).unwrap())
}

fn pixel(pixels: &Pixels, x: u32, y: u32) -> [u8; 4] {
    let begin = 4 * (y * pixels.width + x) as usize;
    pixels.rgba[begin..begin + 4].try_into().unwrap()
}

/// Whether the left is red and the right is blue, as far as JPEG keeps it.
fn has_halves(pixels: &Pixels) -> bool {
    let near = |found: [u8; 4], wanted: [u8; 4]| {
        found.iter().zip(wanted).all(|(found, wanted)| found.abs_diff(wanted) < 12)
    };
    let middle = pixels.height / 2;
    near(pixel(pixels, 2, middle), [200, 0, 0, 255])
        && near(pixel(pixels, pixels.width - 3, middle), [0, 0, 200, 255])
}

#[test]
fn every_format_is_made_smaller() {
    for (name, bytes, format) in [
        ("png", png(1000, 500, png::ColorType::Rgb, &halves(1000, 500)), Format::Png),
        ("jpeg", jpeg(1000, 500, false), Format::Jpeg),
        ("progressive jpeg", jpeg(1000, 500, true), Format::Jpeg),
        ("gif", gif(1000, 500), Format::Png),
        ("webp", webp(1000, 500), Format::Jpeg),
    ] {
        let (to, pixels) = made(&bytes, scale(320, 240));
        assert_eq!((to, pixels.width, pixels.height), (format, 320, 160), "{name}");
        assert!(has_halves(&pixels), "{name}");
        let (_, pixels) = made(&bytes, crop(96, 96));
        assert_eq!((pixels.width, pixels.height), (96, 96), "{name}");
        assert!(has_halves(&pixels), "{name}");
    }
}

#[test]
fn what_is_small_is_shown_as_it_is_unless_it_may_move() {
    let small = png(100, 50, png::ColorType::Rgb, &halves(100, 50));
    assert_eq!(thumbnail(&small, scale(100, 50)), Ok(Shown::AsItIs));
    assert_eq!(thumbnail(&small, scale(800, 600)), Ok(Shown::AsItIs));
    assert_eq!(thumbnail(&jpeg(20, 20, false), crop(32, 32)), Ok(Shown::AsItIs));
    let (format, pixels) = made(&gif(100, 50), scale(800, 600));
    assert_eq!((format, pixels.width, pixels.height), (Format::Png, 100, 50));
    // Nothing is made larger.
    let (_, pixels) = made(&png(20, 100, png::ColorType::Rgb, &halves(20, 100)), crop(32, 32));
    assert_eq!((pixels.width, pixels.height), (20, 32));
}

#[test]
fn what_is_transparent_stays_so_and_has_no_colour() {
    let bytes = [[255, 0, 0, 255], [0, 255, 0, 0]].concat().repeat(5000);
    let (format, pixels) = made(&png(100, 100, png::ColorType::Rgba, &bytes), scale(50, 50));
    assert_eq!((format, pixel(&pixels, 25, 25)), (Format::Png, [255, 0, 0, 128]));
    let grey = png(4, 1, png::ColorType::Grayscale, &[0, 100, 100, 200]);
    assert_eq!(made(&grey, scale(2, 1)).1.rgba, [50, 50, 50, 255, 150, 150, 150, 255]);
}

#[test]
fn averages_are_weighted_by_the_area() {
    let grey = png(3, 1, png::ColorType::Grayscale, &[0, 90, 210]);
    // Two pixels of one and a half each: (0 + 45) / 1.5, (45 + 210) / 1.5.
    assert_eq!(made(&grey, scale(2, 1)).1.rgba, [30, 30, 30, 255, 170, 170, 170, 255]);
}

#[test]
fn a_photograph_stands_upright() {
    let exif = |orientation: u8| {
        let entry = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0];
        [b"Exif\0\0MM\0*\0\0\0\x08\0\x01".as_slice(), &entry, &[0; 4]].concat()
    };
    for (orientation, size, corner) in [
        (1, (96, 48), [200, 0, 0]),
        (3, (96, 48), [0, 0, 200]),
        (6, (48, 96), [200, 0, 0]),
        (8, (48, 96), [0, 0, 200]),
        (9, (96, 48), [200, 0, 0]),
    ] {
        let mut written = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut written, 95);
        encoder.add_app_segment(1, &exif(orientation)).unwrap();
        encoder.encode(&halves(400, 200), 400, 200, jpeg_encoder::ColorType::Rgb).unwrap();
        let wanted = if size.0 > size.1 { scale(96, 240) } else { scale(240, 96) };
        let (_, pixels) = made(&written, wanted);
        assert_eq!((pixels.width, pixels.height), size, "{orientation}");
        let found = pixel(&pixels, 3, 3);
        assert!(
            found.iter().zip(corner).all(|(a, b)| a.abs_diff(b) < 12),
            "{orientation}: {found:?}"
        );
    }
}

#[test]
fn what_says_to_be_huge_is_not_decoded() {
    let mut huge = png(1, 1, png::ColorType::Grayscale, &[0]);
    huge[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    // The checksum of the header's chunk no longer holds; either way nothing is decoded.
    assert!(thumbnail(&huge, crop(32, 32)).is_err());
    let mut progressive = jpeg(64, 64, true);
    let frame = progressive.windows(2).position(|pair| pair == [0xff, 0xc2]).unwrap();
    progressive[frame + 5..frame + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
    assert_eq!(thumbnail(&progressive, crop(32, 32)), Err(Unshowable::TooLarge));
    let mut frames = gif(10, 10);
    frames[6..10].copy_from_slice(&[0xff, 0x7f, 0xff, 0x7f]);
    assert_eq!(thumbnail(&frames, crop(32, 32)), Err(Unshowable::TooLarge));
}

/// A grey photograph that says to have this size, with so many more scans at its end.
fn scanned(size: u16, more: usize) -> Vec<u8> {
    let mut written = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut written, 90);
    encoder.set_progressive(true);
    encoder.encode(&[100; 64 * 64], 64, 64, jpeg_encoder::ColorType::Luma).unwrap();
    let frame = written.windows(2).position(|pair| pair == [0xff, 0xc2]).unwrap();
    written[frame + 5..frame + 9].copy_from_slice(&[size.to_be_bytes(); 2].concat());
    let component = written[frame + 10];
    let scan = [0xff, 0xda, 0, 8, 1, component, 0, 0, 0, 0x10];
    let end = written.split_off(written.len() - 2);
    [written, scan.repeat(more), end].concat()
}

#[test]
fn a_photograph_that_is_scanned_too_often_is_not_decoded() {
    assert!(matches!(thumbnail(&scanned(64, 20), crop(32, 32)), Ok(Shown::Made(_))));
    assert_eq!(thumbnail(&scanned(64, 8000), crop(32, 32)), Err(Unshowable::Unreadable));
    // Few scans of many pixels take as long.
    assert_eq!(thumbnail(&scanned(6000, 50), crop(32, 32)), Err(Unshowable::TooLarge));
}

#[test]
fn what_a_photograph_holds_counts_beside_its_pixels() {
    // Colour profiles are kept until the picture is decoded.
    let profile = [[0xff, 0xe2, 0xff, 0xff].as_slice(), &[0; 65_533]].concat();
    let mut bytes = scanned(5900, 0);
    bytes.splice(2..2, profile.repeat(200));
    assert_eq!(thumbnail(&bytes, scale(800, 600)), Err(Unshowable::TooLarge));
}

#[test]
fn what_follows_the_end_of_a_photograph_does_not_count() {
    let scans = [0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0x10].repeat(200);
    let bytes = [jpeg(64, 64, false), scans].concat();
    assert!(matches!(thumbnail(&bytes, crop(32, 32)), Ok(Shown::Made(_))));
}

#[test]
fn what_is_cut_off_or_no_picture_is_no_thumbnail() {
    let whole = [
        png(200, 200, png::ColorType::Rgb, &halves(200, 200)),
        jpeg(200, 200, false),
        gif(200, 200),
        webp(200, 200),
    ];
    for bytes in &whole {
        for end in (0..bytes.len()).step_by(1 + bytes.len() / 60) {
            // A JPEG may be shown as far as it came; nothing may break.
            drop(thumbnail(&bytes[..end], crop(96, 96)));
        }
    }
    for other in [
        b"".as_slice(),
        b"<svg/>",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF0000WEBP",
        &[0xff, 0xd8, 0xff],
    ] {
        assert_eq!(thumbnail(other, crop(32, 32)), Err(Unshowable::Unreadable), "{other:?}");
    }
}

#[test]
fn whatever_bytes_are_changed_nothing_panics() {
    let whole = [
        png(60, 60, png::ColorType::Rgb, &halves(60, 60)),
        jpeg(60, 60, false),
        jpeg(60, 60, true),
        gif(60, 60),
        webp(60, 60),
    ];
    let mut dice = 1_u64;
    let mut roll = |below: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 33) as usize % below
    };
    for round in 0..1500 {
        let mut bytes = whole[round % whole.len()].clone();
        for _ in 0..=roll(4) {
            let place = roll(bytes.len());
            bytes[place] = roll(256) as u8;
        }
        drop(thumbnail(&bytes, scale(32, 32)));
    }
}

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
    file(&[extended(animation | alpha, (64, 64)), chunk(b"ANIM", &[0; 6]), chunk(b"ANMF", &frame)])
}

#[test]
fn a_frame_of_another_size_than_the_animation_says_is_not_decoded() {
    assert!(thumbnail(&animated((16, 16), b"VP8 ", (16, 16)), crop(32, 32)).is_ok());
    for (frame, picture) in
        [((1, 1), (16, 16)), ((1, 1), (0, 1)), ((16, 16), (0, 16)), ((16, 16), (32, 16))]
    {
        for name in [b"VP8 ", b"what"] {
            let bytes = animated(frame, name, picture);
            let made = thumbnail(&bytes, crop(32, 32));
            assert_eq!(made, Err(Unshowable::Unreadable), "{frame:?} {picture:?}");
        }
    }
}

#[test]
fn a_picture_of_another_size_than_its_canvas_is_refused_before_it_takes_memory() {
    let still = |size| file(&[extended(0, (200, 200)), chunk(b"VP8 ", &vp8(size))]);
    assert!(thumbnail(&still((200, 200)), crop(32, 32)).is_ok());
    for size in [(16_383, 16_383), (199, 200), (0, 0)] {
        let bytes = still(size);
        let opened = Source::open(Format::WebP, &bytes);
        assert!(matches!(opened, Err(Unshowable::Unreadable)), "{size:?}");
    }
    let huge = file(&[extended(0, (8, 8)), chunk(b"VP8L", &[0x2f, 255, 255, 255, 15])]);
    assert!(matches!(Source::open(Format::WebP, &huge), Err(Unshowable::Unreadable)));
}
