//! What do clients see of other servers' media, and what can those servers do?

use std::cell::RefCell;

use tombolo_platform::Body;

use super::{site::Site, *};

const AUTHENTICATED: &str = "/_matrix/federation/v1/media/download/";

/// What a server was asked about media.
fn asked_of(repository: &Site) -> Vec<String> {
    let mut asked = repository.asked();
    asked.retain(|path| path.contains("media") || path.contains("file"));
    asked
}

fn refusal(status: u16, errcode: &str) -> Response<Body> {
    let body = format!(r#"{{"errcode":"{errcode}","error":"no"}}"#);
    Response::builder().status(status).body(body.into()).unwrap()
}

fn parts(head: &str, content: &[u8], end: &str) -> Response<Body> {
    let begin = format!("--x\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--x\r\n{head}\r\n");
    let body = [begin.as_bytes(), content, end.as_bytes()].concat();
    let response = Response::builder().header("content-type", "multipart/mixed; boundary=x");
    response.body(body.into()).unwrap()
}

#[test]
fn a_file_comes_from_another_server_once() {
    let scene = one_server();
    let alice = scene.register("alice");
    let other = scene.another("other.org", 8);
    let bob = scene.register_on(&other, "bob");
    let bytes: Vec<u8> = (0..300_000_u32).map(|place| (place % 251) as u8).collect();
    let id = uploaded(&scene, &alice, "?filename=%F0%9F%90%94", "image/png", bytes.clone());
    let path = format!("{DOWNLOAD}/example.org/{id}");
    let response = read(&scene, &bob, &path);
    assert_eq!(response.status(), 200);
    assert!(response.body().as_ref() == bytes);
    assert_eq!(header(&response, "content-type"), Some("image/png"));
    let named = "inline; filename*=utf-8''%F0%9F%90%94";
    assert_eq!(header(&response, "content-disposition"), Some(named));
    let fetches = other.world().units().fetches;
    assert!(read(&scene, &bob, &path).body().as_ref() == bytes);
    assert_eq!(other.world().units().fetches, fetches);
    let gone = format!("{DOWNLOAD}/example.org/unknown");
    Answer::of(read(&scene, &bob, &gone)).refused(404, "M_NOT_FOUND");
}

#[test]
fn a_server_that_does_not_know_the_endpoint_is_asked_by_the_older_one() {
    for refused in [refusal(404, "M_UNRECOGNIZED"), refusal(400, "M_UNRECOGNIZED"), {
        Response::builder().status(404).body("not here".into()).unwrap()
    }] {
        let scene = one_server();
        let alice = scene.register("alice");
        let refused = RefCell::new(Some(refused));
        let old = Site::on(&scene, "old.org", move |path| {
            if path.starts_with(AUTHENTICATED) {
                return refused.take().unwrap();
            }
            if path == "/_matrix/media/v3/download/old.org/abc" {
                let response = Response::builder().header("content-type", "text/plain");
                return response.body("old".into()).unwrap();
            }
            refusal(404, "M_NOT_FOUND")
        });
        let response = read(&scene, &alice, &format!("{DOWNLOAD}/old.org/abc"));
        assert_eq!((response.status().as_u16(), &**response.body()), (200, b"old".as_slice()));
        assert_eq!(header(&response, "content-disposition"), Some("inline"));
        assert_eq!(asked_of(&old).len(), 2);
    }
}

#[test]
fn a_file_may_be_elsewhere_but_not_within_a_network() {
    let scene = one_server_with(&[("ALLOW_PRIVATE_ADDRESSES", "no")]);
    let alice = scene.register("alice");
    Site::on(&scene, "new.org", |path| match path.rsplit('/').next() {
        Some("far") => parts("Location: https://cdn.org/file\r\n", b"", "\r\n--x--"),
        Some("named") => parts("Location: https://my_cdn.org/file\r\n", b"", "\r\n--x--"),
        Some("near") => parts("Location: https://127.0.0.1/file\r\n", b"", "\r\n--x--"),
        Some("plain") => parts("Location: http://cdn.org/file\r\n", b"", "\r\n--x--"),
        Some("through") => parts("Location: https://cdn.org/inward\r\n", b"", "\r\n--x--"),
        _ => refusal(404, "M_NOT_FOUND"),
    });
    let cdn = Site::on(&scene, "cdn.org", |path| match path {
        "/file" => {
            let named = Response::builder().header("content-disposition", "inline; filename=f");
            named.header("content-type", "image/gif").body("far".into()).unwrap()
        }
        _ => {
            let status = Response::builder().status(302);
            status.header("location", "https://10.0.0.1/file").body(Body::default()).unwrap()
        }
    });
    let within = Site::on(&scene, "127.0.0.1", |_| Response::new("secret".into()));
    let further = Site::on(&scene, "10.0.0.1", |_| Response::new("secret".into()));
    let response = read(&scene, &alice, &format!("{DOWNLOAD}/new.org/far"));
    assert_eq!((response.status().as_u16(), &**response.body()), (200, b"far".as_slice()));
    assert_eq!(header(&response, "content-type"), Some("image/gif"));
    assert_eq!(header(&response, "content-disposition"), Some("inline; filename=f"));
    for path in ["near", "plain", "through"] {
        let answer = Answer::of(read(&scene, &alice, &format!("{DOWNLOAD}/new.org/{path}")));
        answer.refused(502, "M_UNKNOWN");
    }
    assert!(asked_of(&within).is_empty() && asked_of(&further).is_empty());
    assert_eq!(asked_of(&cdn), ["/file"]);
    // No server has such a name, but a host of the web may.
    Site::on(&scene, "my_cdn.org", |_| Response::new("named".into()));
    let response = read(&scene, &alice, &format!("{DOWNLOAD}/new.org/named"));
    assert_eq!((response.status().as_u16(), &**response.body()), (200, b"named".as_slice()));
}

#[test]
fn nothing_stays_of_what_breaks_off_or_is_too_large() {
    let scene = one_server_with(&[("MAX_UPLOAD_SIZE", "1000")]);
    let alice = scene.register("alice");
    Site::on(&scene, "new.org", |path| match path.rsplit('/').next() {
        Some("large") => parts("", &[0; 1001], "\r\n--x--"),
        Some("broken") => parts("", &[0; 900], ""),
        Some("fits") => parts("", &[0; 1000], "\r\n--x--"),
        Some("whole") => Response::new("no parts".into()),
        Some("late") => refusal(504, "M_NOT_YET_UPLOADED"),
        Some("token") => refusal(401, "M_UNKNOWN_TOKEN"),
        _ => refusal(404, "M_NOT_FOUND"),
    });
    let get = |id: &str| Answer::of(read(&scene, &alice, &format!("{DOWNLOAD}/new.org/{id}")));
    get("large").refused(502, "M_TOO_LARGE");
    get("broken").refused(502, "M_UNKNOWN");
    get("whole").refused(502, "M_UNKNOWN");
    get("late").refused(504, "M_NOT_YET_UPLOADED");
    get("token").refused(502, "M_UNKNOWN");
    get("none").refused(404, "M_NOT_FOUND");
    assert!(scene.server.r2_keys().is_empty());
    assert_eq!(get("fits").status, 200);
    Answer::of(read(&scene, &alice, &format!("{DOWNLOAD}/nobody.org/a"))).refused(502, "M_UNKNOWN");
}

#[test]
fn many_who_want_one_file_make_one_request() {
    let scene = one_server();
    let alice = scene.register("alice");
    let new = Site::on(&scene, "new.org", |_| parts("", b"a", "\r\n--x--"));
    let path = format!("{DOWNLOAD}/new.org/a");
    let all = (0..5).map(|_| alice.server.request(alice.request(("GET", &path), "")));
    let all = scene.simulation.run(futures_util::future::join_all(all));
    assert!(all.into_iter().all(|response| response.unwrap().body() == "a"));
    let asked = asked_of(&new).iter().filter(|path| path.starts_with(AUTHENTICATED)).count();
    assert_eq!(asked, 1);
}

#[test]
fn what_nobody_reads_any_more_is_removed() {
    let scene = one_server_with(&[("REMOTE_MEDIA_LIFETIME", "10")]);
    let alice = scene.register("alice");
    let new = Site::on(&scene, "new.org", |_| parts("", b"a", "\r\n--x--"));
    let get = || read(&scene, &alice, &format!("{DOWNLOAD}/new.org/a"));
    assert_eq!(get().status(), 200);
    clean_after(&scene, &alice, 8 * 86_400);
    assert_eq!(get().status(), 200);
    clean_after(&scene, &alice, 8 * 86_400);
    assert_eq!((asked_of(&new).len(), scene.server.r2_keys().len()), (1, 2));
    clean_after(&scene, &alice, 11 * 86_400);
    assert_eq!(scene.server.r2_keys().len(), 1);
    assert_eq!(get().status(), 200);
    assert_eq!(asked_of(&new).len(), 2);
}

#[test]
fn who_is_not_logged_in_makes_no_server_ask() {
    let scene = one_server();
    let new = Site::on(&scene, "new.org", |_| parts("", b"a", "\r\n--x--"));
    let line = "GET /_matrix/media/v3/download/new.org/a";
    scene.send(None, line, String::new()).refused(404, "M_NOT_FOUND");
    assert!(asked_of(&new).is_empty());
}

#[test]
fn what_is_much_too_large_is_too_large() {
    let scene = one_server_with(&[("MAX_UPLOAD_SIZE", "1000")]);
    let alice = scene.register("alice");
    Site::on(&scene, "new.org", |_| parts("", &[0; 100_000], "\r\n--x--"));
    let path = format!("{DOWNLOAD}/new.org/a");
    Answer::of(read(&scene, &alice, &path)).refused(502, "M_TOO_LARGE");
}

#[test]
fn a_page_of_a_proxy_does_not_say_that_there_is_nothing() {
    let scene = one_server();
    let alice = scene.register("alice");
    Site::on(&scene, "old.org", |_| Response::builder().status(404).body("<html>".into()).unwrap());
    let path = format!("{DOWNLOAD}/old.org/a");
    Answer::of(read(&scene, &alice, &path)).refused(502, "M_UNKNOWN");
}
