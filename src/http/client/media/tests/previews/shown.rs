//! What does a page show, and who may ask?

use super::*;

#[test]
fn a_page_is_shown_with_its_image() {
    let scene = one_server();
    let alice = scene.register("alice");
    let image = picture(279, 129);
    let (size, served) = (image.len(), image.clone());
    let site = Site::on(&scene, "site.org", move |path| match path {
        "/a/page" => page(
            r#"<title>Page</title><meta property="og:title" content="The &quot;Rock&quot;">
            <meta property="og:type" content="video.movie"><meta property="og:image" content="b.png">"#,
        ),
        _ => of_type("image/png", served.clone()),
    });
    let shown = preview(&scene, &alice, "http://site.org/a/page#part").ok();
    let uri = shown["og:image"].as_str().unwrap().to_owned();
    let expected = json!({
        "og:title": "The \"Rock\"",
        "og:type": "video.movie",
        "og:image": uri,
        "og:image:type": "image/png",
        "og:image:width": 279,
        "og:image:height": 129,
        "matrix:image:size": size,
    });
    assert_eq!(shown, expected);
    assert_eq!(site.asked(), ["/a/page", "/a/b.png"]);
    let id = uri.strip_prefix("mxc://example.org/").unwrap();
    let response = read(&scene, &alice, &format!("{DOWNLOAD}/example.org/{id}"));
    assert!(response.status() == 200 && *response.body() == image);
    assert_eq!(header(&response, "content-type"), Some("image/png"));
}

#[test]
fn an_image_is_shown_itself() {
    let scene = one_server();
    let alice = scene.register("alice");
    Site::on(&scene, "site.org", |path| match path {
        // Taken upright: the sides are those of what is seen.
        "/jpeg" => {
            let mut jpeg = Vec::new();
            let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 90);
            let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
            encoder.add_app_segment(1, exif).unwrap();
            encoder.encode(&[9; 20 * 10], 20, 10, jpeg_encoder::ColorType::Luma).unwrap();
            of_type("image/jpeg", jpeg)
        }
        "/webp" => of_type("image/webp", WEBP),
        // What it says of the camera would come after its picture.
        "/long" => of_type("image/webp", LONG),
        // Whatever it is called, it is what it is.
        _ => of_type("image/avif", HUGE),
    });
    let shown = preview(&scene, &alice, "https://site.org/jpeg").ok();
    assert_eq!((&shown["og:image:width"], &shown["og:image:height"]), (&json!(10), &json!(20)));
    let shown = preview(&scene, &alice, "https://site.org/webp").ok();
    assert_eq!((&shown["og:image:width"], &shown["og:image:height"]), (&json!(1), &json!(1)));
    let shown = preview(&scene, &alice, "https://site.org/long").ok();
    assert_eq!((&shown["og:image:width"], &shown["og:image:height"]), (&json!(100), &json!(50)));
    let shown = preview(&scene, &alice, "https://site.org/gif").ok();
    assert_eq!(shown["og:image:type"], "image/gif");
    assert_eq!(
        (&shown["og:image:width"], &shown["og:image:height"]),
        (&json!(32767), &json!(32767))
    );
}

/// The beginning of a picture of 100 by 50 pixels that says more of itself at its end.
const LONG: &[u8] = b"RIFF\xff\xff\x0f\0WEBPVP8X\x0a\0\0\0\x08\0\0\0\x63\0\0\x31\0\0";

/// A picture of one pixel.
const WEBP: &[u8] =
    b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0";

#[test]
fn redirects_lead_on_and_links_begin_at_their_end() {
    let scene = one_server();
    let alice = scene.register("alice");
    let site = Site::on(&scene, "site.org", |path| match path {
        "/1" => to("/2"),
        "/2" => to("//cdn.org/deep/3"),
        "/round" => to("/round"),
        "/nowhere" => Response::builder().status(302).body(Body::default()).unwrap(),
        _ => refusal_page(404),
    });
    let cdn = Site::on(&scene, "cdn.org", |path| match path {
        "/deep/3" => showing("../i.png"),
        _ => of_type("image/png", picture(5, 5)),
    });
    let shown = preview(&scene, &alice, "https://site.org/1").ok();
    assert_eq!(shown["og:image:width"], 5);
    assert_eq!((site.asked().len(), cdn.asked()), (2, vec!["/deep/3".into(), "/i.png".into()]));
    preview(&scene, &alice, "https://site.org/round").refused(502, "M_UNKNOWN");
    assert_eq!(site.asked().len(), 2 + 6);
    for path in ["nowhere", "missing"] {
        let url = format!("https://site.org/{path}");
        preview(&scene, &alice, &url).refused(502, "M_UNKNOWN");
    }
    preview(&scene, &alice, "https://nobody.org/").refused(502, "M_UNKNOWN");
}

fn refusal_page(status: u16) -> Response<Body> {
    let page = Response::builder().status(status).header("content-type", "text/html");
    page.body("<title>Not found</title>".into()).unwrap()
}

#[test]
fn what_is_neither_a_page_nor_an_image_shows_nothing() {
    let scene = one_server();
    let alice = scene.register("alice");
    let titled = "<title>a</title>";
    Site::on(&scene, "site.org", move |path| match path {
        "/json" => of_type("application/json", titled),
        "/video" => of_type("video/mp4", titled),
        "/plain" => of_type("text/html2", titled),
        "/none" => Response::new(titled.into()),
        "/svg" => of_type("image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "/false" => of_type("image/png", "<script>alert(1)</script>"),
        "/empty" => of_type("image/png", ""),
        _ => of_type("Application/XHTML+XML;charset=utf-8", titled),
    });
    for path in ["json", "video", "plain", "none", "svg", "false", "empty"] {
        let shown = preview(&scene, &alice, &format!("https://site.org/{path}")).ok();
        assert_eq!(shown, json!({}), "{path}");
    }
    let shown = preview(&scene, &alice, "https://site.org/xhtml").ok();
    assert_eq!(shown, json!({ "og:title": "a" }));
    assert!(scene.server.r2_keys().is_empty());
}

#[test]
fn a_page_learns_who_asks_and_in_which_language() {
    let scene = one_server_with(&[("PUBLIC_BASEURL", "https://matrix.example.org")]);
    let alice = scene.register("alice");
    let site = Site::on(&scene, "site.org", |_| page("<title>a</title>"));
    let ask = |languages: &str| {
        let line = format!("GET {PREVIEW}?url=https%3A%2F%2Fsite.org");
        let headers = [("accept-language", languages), ("cookie", "secret=1")];
        assert_eq!(asked(&scene, &alice, &line, &headers, "").status(), 200);
    };
    ask("de-AT,de;q=0.9");
    assert_eq!(site.told("accept-language"), "de-AT");
    let agent = site.told("user-agent");
    let place = " (bot; +https://matrix.example.org)";
    assert!(agent.starts_with("Tombolo/") && agent.ends_with(place), "{agent}");
    let asked = site.last();
    assert!(
        !asked.headers().contains_key("cookie") && !asked.headers().contains_key("authorization")
    );
    ask("de-AT,en");
    assert_eq!(site.asked().len(), 1);
    ask("nonsense language");
    assert_eq!(site.told("accept-language"), "en");
}

#[test]
fn who_asks_is_logged_in_and_says_what_for() {
    let scene = one_server();
    let alice = scene.register("alice");
    Site::on(&scene, "site.org", |_| page("<title>a</title>"));
    let url = "url=https%3A%2F%2Fsite.org";
    let legacy = ["v3", "r0", "v1"].map(|version| format!("/_matrix/media/{version}/preview_url"));
    for path in legacy.iter().map(String::as_str).chain([PREVIEW]) {
        let get = |query: &str| Answer::of(read(&scene, &alice, &format!("{path}?{query}")));
        assert_eq!(get(url).ok(), json!({ "og:title": "a" }));
        assert_eq!(get(&format!("{url}&ts=1510610716656")).ok(), json!({ "og:title": "a" }));
        get("").refused(400, "M_MISSING_PARAM");
        get(&format!("{url}&ts=now")).refused(400, "M_INVALID_PARAM");
        let line = format!("GET {path}?{url}");
        scene.send(None, &line, String::new()).refused(401, "M_MISSING_TOKEN");
    }
}

#[test]
fn pages_of_other_origins_read_errors_too() {
    let scene = one_server();
    let alice = scene.register("alice");
    for (query, status) in [("", 400), ("?url=file:///a", 400), ("?url=https://nobody.org", 502)] {
        let response = read(&scene, &alice, &format!("{PREVIEW}{query}"));
        assert_eq!(response.status(), status);
        assert_eq!(header(&response, "access-control-allow-origin"), Some("*"), "{query}");
        assert_eq!(header(&response, "cross-origin-resource-policy"), Some("cross-origin"));
    }
}

#[test]
fn only_who_is_logged_in_reads_the_image() {
    for (variables, status) in [(vec![], 404), (vec![("UNAUTHENTICATED_MEDIA", "open")], 200)] {
        let scene = one_server_with(&variables);
        let alice = scene.register("alice");
        Site::on(&scene, "site.org", |_| of_type("image/png", picture(5, 5)));
        let shown = preview(&scene, &alice, "https://site.org/i.png").ok();
        let id = shown["og:image"].as_str().unwrap().strip_prefix("mxc://").unwrap().to_owned();
        for kind in ["download", "thumbnail"] {
            let query = if kind == "thumbnail" { "?width=1&height=1" } else { "" };
            let line = format!("GET /_matrix/media/v3/{kind}/{id}{query}");
            assert_eq!(scene.send(None, &line, String::new()).status, status, "{kind}");
        }
        assert_eq!(read(&scene, &alice, &format!("{DOWNLOAD}/{id}")).status(), 200);
    }
}

#[test]
fn the_second_image_is_shown_where_the_first_cannot_be() {
    let scene = one_server();
    let alice = scene.register("alice");
    let site = Site::on(&scene, "site.org", |path| match path {
        "/i.png" => of_type("image/png", picture(5, 5)),
        "/svg" => of_type("image/svg+xml", "<svg/>"),
        "/missing" => refusal_page(404),
        path => page(&format!(
            "<meta property=og:image content='{}'><meta property=og:image:alt content=a>
             <meta property=og:image content='data:a'><meta property=og:image content=/i.png>",
            if path == "/1" { "/svg" } else { "/missing" }
        )),
    });
    for path in ["1", "2"] {
        let shown = preview(&scene, &alice, &format!("https://site.org/{path}")).ok();
        assert_eq!((&shown["og:image:width"], shown.get("og:image:alt")), (&json!(5), None));
    }
    assert_eq!(site.asked(), ["/1", "/svg", "/i.png", "/2", "/missing", "/i.png"]);
    Site::on(&scene, "none.org", |path| match path {
        "/" => page(
            "<img src=/4><link rel=image_src href=/3><meta property=og:image content=/1><meta name=twitter:image content=/2>",
        ),
        _ => refusal_page(404),
    });
    assert_eq!(preview(&scene, &alice, "https://none.org").ok(), json!({}));
}

#[test]
fn an_image_is_shown_whose_server_does_not_say_what_it_is() {
    let scene = one_server();
    let alice = scene.register("alice");
    Site::on(&scene, "site.org", |path| match path {
        "/none.png" => Response::new(picture(5, 5).into()),
        "/stream.png" => of_type("application/octet-stream", picture(5, 5)),
        "/json.png" => of_type("application/json", picture(5, 5)),
        "/script.png" => of_type("", "<script>alert(1)</script>"),
        path => showing(&format!("{path}.png")),
    });
    for (path, width) in [("none", Some(5)), ("stream", Some(5)), ("json", None), ("script", None)]
    {
        let shown = preview(&scene, &alice, &format!("https://site.org/{path}")).ok();
        assert_eq!(shown["og:image:width"], json!(width), "{path}");
    }
}

#[test]
fn a_url_may_have_all_characters() {
    let scene = one_server();
    let alice = scene.register("alice");
    let site = Site::on(&scene, "site.org", |path| match path {
        "/moved" => to_bytes("/köln".as_bytes()),
        _ => page("<title>a</title>"),
    });
    Site::on(&scene, "xn--kln-sna.org", |_| page("<title>b</title>"));
    for (url, title) in [
        ("https://site.org/borg\u{200b}", "a"),
        ("https://site.org/ä b", "a"),
        ("https://site.org/moved", "a"),
        ("https://köln.org/", "b"),
    ] {
        assert_eq!(preview(&scene, &alice, url).ok(), json!({ "og:title": title }), "{url}");
    }
    assert_eq!(site.asked(), ["/borg%E2%80%8B", "/%C3%A4%20b", "/moved", "/k%C3%B6ln"]);
}

fn to_bytes(location: &[u8]) -> Response<Body> {
    let response = Response::builder().status(301).header("location", location);
    response.body(Body::default()).unwrap()
}

#[test]
fn a_page_is_read_as_it_says_where_its_links_begin() {
    let scene = one_server();
    let alice = scene.register("alice");
    Site::on(&scene, "site.org", |_| {
        page(
            "<base href='//cdn.org/x/'><meta property=og:image content=i.png><meta property=og:url content='javascript:a'>",
        )
    });
    let cdn = Site::on(&scene, "cdn.org", |_| of_type("image/png", picture(5, 5)));
    let shown = preview(&scene, &alice, "https://site.org/a/b").ok();
    assert_eq!((&shown["og:image:width"], shown.get("og:url")), (&json!(5), None));
    assert_eq!(cdn.asked(), ["/x/i.png"]);
}

#[test]
fn an_operator_turns_previews_off() {
    let scene = one_server_with(&[("URL_PREVIEWS", "off")]);
    let alice = scene.register("alice");
    let site = Site::on(&scene, "site.org", |_| page("<title>a</title>"));
    preview(&scene, &alice, "https://site.org").refused(404, "M_UNRECOGNIZED");
    assert!(site.asked().is_empty());
}

#[test]
fn a_user_asks_only_so_often() {
    let scene = one_server_with(&[("RATE_LIMITS", "on")]);
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    Site::on(&scene, "site.org", |_| page("<title>a</title>"));
    for _ in 0..60 {
        assert_eq!(preview(&scene, &alice, "https://site.org").status, 200);
    }
    preview(&scene, &alice, "https://site.org").refused(429, "M_LIMIT_EXCEEDED");
    assert_eq!(preview(&scene, &bob, "https://site.org").status, 200);
}
