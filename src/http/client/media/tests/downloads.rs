//! Who may read media, and which bytes of them?

use tombolo_support::Answer;

use super::*;

#[test]
fn a_range_of_bytes_is_answered() {
    let scene = one_server();
    let alice = scene.register("alice");
    let id = uploaded(&scene, &alice, "", "audio/ogg", "0123456789");
    let line = format!("GET {DOWNLOAD}/example.org/{id}");
    let some = asked(&scene, &alice, &line, &[("range", "bytes=2-4")], "");
    assert_eq!((some.status().as_u16(), &**some.body()), (206, b"234".as_slice()));
    assert_eq!(header(&some, "content-range"), Some("bytes 2-4/10"));
    assert_eq!(header(&some, "content-length"), Some("3"));
    let none = asked(&scene, &alice, &line, &[("range", "bytes=10-")], "");
    assert_eq!((none.status().as_u16(), header(&none, "content-range")), (416, Some("bytes */10")));
    let tag = header(&some, "etag").unwrap();
    let same = asked(&scene, &alice, &line, &[("if-none-match", tag)], "");
    assert_eq!((same.status().as_u16(), same.body().len()), (304, 0));
}

#[test]
fn a_file_is_named_as_the_path_says() {
    let scene = one_server();
    let alice = scene.register("alice");
    let id = uploaded(&scene, &alice, "?filename=a.html", "text/html", "<script>");
    let named = |path: &str| {
        let response = read(&scene, &alice, &format!("{DOWNLOAD}/example.org/{id}{path}"));
        header(&response, "content-disposition").unwrap().to_owned()
    };
    assert_eq!(named(""), "attachment; filename=a.html");
    assert_eq!(named("/b.html"), "attachment; filename=b.html");
    assert_eq!(named("/%E2%98%95"), "attachment; filename*=utf-8''%E2%98%95");
    assert_eq!(named("/a%2Fb%0D%0Ac%22"), "attachment; filename*=utf-8''a%2Fbc%22");
}

#[test]
fn endpoints_without_authentication_are_frozen() {
    let scene = one_server();
    let alice = scene.register("alice");
    let id = uploaded(&scene, &alice, "", "image/png", "a");
    let path = format!("{DOWNLOAD}/example.org/{id}");
    scene.send(None, &format!("GET {path}"), String::new()).refused(401, "M_MISSING_TOKEN");
    for version in ["v3", "r0", "v1"] {
        let line = format!("GET /_matrix/media/{version}/download/example.org/{id}");
        scene.send(None, &line, String::new()).refused(404, "M_NOT_FOUND");
    }
}

#[test]
fn they_answer_where_the_operator_says_so() {
    let scene = one_server_with(&[("UNAUTHENTICATED_MEDIA", "open")]);
    let alice = scene.register("alice");
    let id = uploaded(&scene, &alice, "", "image/png", "a");
    let line = format!("GET /_matrix/media/v3/download/example.org/{id}/b");
    assert_eq!(scene.send(None, &line, String::new()).status, 200);
}

#[test]
fn what_is_no_media_id_is_not_found() {
    let scene = one_server();
    let alice = scene.register("alice");
    for id in ["..%2F..%2Fetc", "a.b", "%C3%A4", "a%00", &"a".repeat(256), "unknown"] {
        let path = format!("{DOWNLOAD}/example.org/{id}");
        Answer::of(read(&scene, &alice, &path)).refused(404, "M_NOT_FOUND");
    }
    let path = format!("{DOWNLOAD}/no%20server/a");
    Answer::of(read(&scene, &alice, &path)).refused(400, "M_INVALID_PARAM");
    let path = format!("{DOWNLOAD}/example.org/a?timeout_ms=-1");
    Answer::of(read(&scene, &alice, &path)).refused(400, "M_INVALID_PARAM");
}

#[test]
fn a_file_may_be_empty() {
    let scene = one_server();
    let alice = scene.register("alice");
    let id = uploaded(&scene, &alice, "", "image/png", "");
    let line = format!("GET {DOWNLOAD}/example.org/{id}");
    let response = asked(&scene, &alice, &line, &[], "");
    assert_eq!((response.status().as_u16(), header(&response, "content-length")), (200, Some("0")));
    let range = asked(&scene, &alice, &line, &[("range", "bytes=0-")], "");
    assert_eq!(range.status(), 416);
    let path = format!("/_matrix/client/v1/media/thumbnail/example.org/{id}?width=1&height=1");
    Answer::of(read(&scene, &alice, &path)).refused(400, "M_UNKNOWN");
}

#[test]
fn who_is_not_logged_in_does_not_hear_of_what_will_be_uploaded() {
    let scene = one_server();
    let alice = scene.register("alice");
    let create = "POST /_matrix/media/v1/create";
    let id = media_id(&scene.send(Some(&alice), create, String::new()).ok());
    let begun = scene.simulation.now();
    for path in [format!("download/example.org/{id}"), format!("thumbnail/example.org/{id}")] {
        let line = format!("GET /_matrix/media/v3/{path}?width=1&height=1&timeout_ms=60000");
        scene.send(None, &line, String::new()).refused(404, "M_NOT_FOUND");
    }
    assert!(scene.simulation.now() < begun + 1000);
}
