//! What is a client shown of a URL?

mod hostile;
mod kept;
mod shown;

use serde_json::json;
use tombolo_platform::Body;

use super::{site::Site, *};

const PREVIEW: &str = "/_matrix/client/v1/media/preview_url";

fn of_type(kind: &str, body: impl Into<Body>) -> Response<Body> {
    Response::builder().header("content-type", kind).body(body.into()).unwrap()
}

fn page(text: &str) -> Response<Body> {
    of_type("text/html; charset=utf-8", text.to_owned())
}

/// A page that shows this image.
fn showing(image: &str) -> Response<Body> {
    page(&format!("<title>a</title><meta property=og:image content='{image}'>"))
}

fn to(location: &str) -> Response<Body> {
    let response = Response::builder().status(302).header("location", location);
    response.body(Body::default()).unwrap()
}

fn picture(width: u32, height: u32) -> Vec<u8> {
    let mut written = Vec::new();
    let mut encoder = png::Encoder::new(&mut written, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    let bytes = vec![100; (width * height) as usize];
    encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
    written
}

fn preview(scene: &Scene, user: &User, url: &str) -> Answer {
    let path = format!("{PREVIEW}?url={}", tombolo_support::encode(url));
    Answer::of(read(scene, user, &path))
}
