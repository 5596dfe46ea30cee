//! What does a client see of media, from the upload to the last byte?

mod downloads;
mod federation;
mod previews;
mod remote;
mod site;
mod thumbnails;
mod uploads;

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;
use tombolo_support::{Answer, Scene, User};

use crate::app::Tombolo;

const UPLOAD: &str = "/_matrix/media/v3/upload";
const DOWNLOAD: &str = "/_matrix/client/v1/media/download";

/// A picture of 32,767 by 32,767 pixels, of which one is drawn.
const HUGE: &[u8] = b"GIF89a\xff\x7f\xff\x7f\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02\x4c\x01\0;";

fn one_server_with(variables: &[(&str, &str)]) -> Scene {
    Scene::new(Rc::new(Tombolo), "example.org", variables)
}

fn one_server() -> Scene {
    one_server_with(&[])
}

/// A request of a user with further headers.
fn asked(
    scene: &Scene,
    user: &User,
    line: &str,
    headers: &[(&'static str, &str)],
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut request: Request<Bytes> = user.request(line.split_once(' ').unwrap(), body);
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    scene.simulation.run(user.server.request(request)).unwrap()
}

fn read(scene: &Scene, user: &User, path: &str) -> Response<Bytes> {
    asked(scene, user, &format!("GET {path}"), &[], "")
}

/// The media ID of what a user uploads.
fn uploaded(scene: &Scene, user: &User, query: &str, kind: &str, body: impl Into<Bytes>) -> String {
    let line = format!("POST {UPLOAD}{query}");
    let answer = Answer::of(asked(scene, user, &line, &[("content-type", kind)], body)).ok();
    media_id(&answer)
}

fn media_id(answer: &Value) -> String {
    let uri = answer["content_uri"].as_str().unwrap();
    uri.strip_prefix("mxc://example.org/").unwrap().to_owned()
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

fn rows(scene: &Scene, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    scene.server.d1().row(&query, &[], |row| row.int(0)).unwrap().unwrap()
}

/// Lets this much time pass (s), and somebody upload, which cleans.
fn clean_after(scene: &Scene, user: &User, seconds: u64) {
    scene.pass(seconds * 1000);
    uploaded(scene, user, "", "text/plain", "cleans");
    soon(scene);
}

/// Lets what is done after an answer be done.
fn soon(scene: &Scene) {
    scene.simulation.run(scene.server.world().sleep(Duration::from_secs(1)));
}
