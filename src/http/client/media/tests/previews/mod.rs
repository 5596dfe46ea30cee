//! What is a client shown of a URL?

mod hostile;
mod kept;
mod shown;

use std::cell::RefCell;

use futures_util::future::LocalBoxFuture;
use serde_json::json;
use tombolo_platform::{
    Answer as ObjectAnswer, AnyAddress, Application, Body, Fault, Moment, Object, World,
};

use super::*;

const PREVIEW: &str = "/_matrix/client/v1/media/preview_url";

type Script = Rc<dyn Fn(&str) -> Response<Body>>;

/// A host of the web that answers by a script, and what it was asked.
#[derive(Clone)]
struct Site {
    script: Script,
    asked: Rc<RefCell<Vec<Request<()>>>>,
}

impl Site {
    fn on(scene: &Scene, host: &str, script: impl Fn(&str) -> Response<Body> + 'static) -> Self {
        let site = Self { script: Rc::new(script), asked: Rc::default() };
        scene.simulation.server(host, Rc::new(site.clone()), &[], &[]);
        site
    }

    /// The paths that it was asked for.
    fn asked(&self) -> Vec<String> {
        self.asked.borrow().iter().map(|request| request.uri().path().to_owned()).collect()
    }

    /// What the last request said under a header.
    fn told(&self, header: &str) -> String {
        let asked = self.asked.borrow();
        asked.last().unwrap().headers()[header].to_str().unwrap().to_owned()
    }
}

impl Application<World> for Site {
    fn answer(&self, _: &Object<'_>, _: &Moment, _: &str, _: &str) -> Result<ObjectAnswer, Fault> {
        Err(Fault("no object".to_owned()))
    }

    fn due(&self, _: World, _: AnyAddress) -> LocalBoxFuture<'static, Result<Option<u64>, Fault>> {
        Box::pin(async { Ok(None) })
    }

    fn http(&self, _: World, request: Request<Body>) -> LocalBoxFuture<'static, Response<Body>> {
        let path = request.uri().path().to_owned();
        self.asked.borrow_mut().push(request.map(drop));
        let answer = (self.script)(&path);
        Box::pin(async { answer })
    }
}

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
