//! What do those get who have the server ask where it should not, and pages that do not end?

use std::cell::RefCell;

use futures_util::stream;

use super::*;

/// Addresses within somebody's network, as somebody would write them.
const WITHIN: [&str; 18] = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.0.0.1.",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[fd00:ec2::254]",
    "[64:ff9b::7f00:1]",
];

/// A server that asks only the public network, and one within its own that would be glad to be asked.
fn careful() -> (Scene, User, Site) {
    let scene = one_server_with(&[("ALLOW_PRIVATE_ADDRESSES", "no")]);
    let alice = scene.register("alice");
    let within = Site::on(&scene, "127.0.0.1", |_| page("<title>secret</title>"));
    let hosts =
        ["10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:7f00:1]", "localhost", "a.localhost"];
    for host in hosts {
        scene.simulation.server(host, Rc::new(within.clone()), &[], &[]);
    }
    (scene, alice, within)
}

#[test]
fn no_address_within_a_network_is_asked() {
    let (scene, alice, within) = careful();
    for host in WITHIN {
        for url in [format!("http://{host}/"), format!("https://{host}:8080/a?b")] {
            preview(&scene, &alice, &url).refused(403, "M_UNKNOWN");
        }
    }
    for host in ["localhost", "LOCALHOST", "localhost.", "a.localhost"] {
        preview(&scene, &alice, &format!("http://{host}/")).refused(502, "M_UNKNOWN");
    }
    assert!(within.asked().is_empty());
}

#[test]
fn what_is_no_url_of_the_web_is_not_asked_for() {
    let (scene, alice, within) = careful();
    for url in [
        "",
        "site.org",
        "file:///etc/passwd",
        "file://127.0.0.1/etc/passwd",
        "ftp://site.org/",
        "gopher://site.org:70/",
        "data:text/html,<title>a</title>",
        "javascript:alert(1)",
        "mxc://example.org/a",
        "https://user:secret@site.org/",
        "https://site.org@127.0.0.1/",
        "http://[::1%25lo]/",
        "http:///",
    ] {
        preview(&scene, &alice, url).refused(400, "M_INVALID_PARAM");
    }
    let long = format!("https://site.org/{}", "a".repeat(5000));
    preview(&scene, &alice, &long).refused(400, "M_INVALID_PARAM");
    assert!(within.asked().is_empty());
}

#[test]
fn a_name_with_an_underscore_is_asked_and_no_stranger_one() {
    let resolver = ("DNS_OVER_HTTPS", "https://resolver.org/query");
    let scene = one_server_with(&[("ALLOW_PRIVATE_ADDRESSES", "no"), resolver]);
    let alice = scene.register("alice");
    let resolver = Site::on(&scene, "resolver.org", |_| {
        let answer = json!({ "Status": 0, "Answer": [{ "type": 1, "data": "8.8.8.8" }] });
        of_type("application/dns-json", answer.to_string())
    });
    for host in ["my_site.org", "_dmarc.org", "a&name=b.site.org", "a=b.org", "a'b.org"] {
        Site::on(&scene, host, |_| page("<title>a</title>"));
    }
    let ask = |host: &str| preview(&scene, &alice, &format!("https://{host}/"));
    for host in ["my_site.org", "_dmarc.org"] {
        assert_eq!(ask(host).ok(), json!({ "og:title": "a" }), "{host}");
    }
    let asked = resolver.asked().len();
    for host in ["a&name=b.site.org", "a=b.org", "a'b.org", "a_b.localhost"] {
        ask(host).refused(502, "M_UNKNOWN");
    }
    // Nothing but names goes into the question.
    assert_eq!(resolver.asked().len(), asked + 2);
}

#[test]
fn no_redirect_leads_into_a_network() {
    let (scene, alice, within) = careful();
    Site::on(&scene, "site.org", |path| match path {
        "/file" => to("file:///etc/passwd"),
        "/user" => to("https://a:b@site.org/"),
        "/data" => to("data:text/html,<title>a</title>"),
        path => to(&format!("http://{}/", &path[1..])),
    });
    Site::on(&scene, "far.org", |_| to("https://site.org/127.0.0.1"));
    for host in ["127.0.0.1", "2130706433", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]"] {
        preview(&scene, &alice, &format!("https://site.org/{host}")).refused(403, "M_UNKNOWN");
    }
    preview(&scene, &alice, "https://far.org/").refused(403, "M_UNKNOWN");
    for path in ["file", "user", "data", "localhost"] {
        preview(&scene, &alice, &format!("https://site.org/{path}")).refused(502, "M_UNKNOWN");
    }
    assert!(within.asked().is_empty());
}

#[test]
fn no_image_of_a_page_leads_into_a_network() {
    let (scene, alice, within) = careful();
    Site::on(&scene, "site.org", |path| {
        match path {
        "/to" => to("http://127.0.0.1/"),
        "/0" => showing("http://127.0.0.1/i.png"),
        "/1" => showing("//169.254.169.254/latest/meta-data"),
        "/2" => showing("http://[::ffff:127.0.0.1]/"),
        "/3" => showing("/to"),
        "/4" => page(
            "<title>a</title><meta property=og:image content='file:///etc/passwd'><meta property=og:image:alt content=b>",
        ),
        "/5" => showing("data:image/png;base64,AAAA"),
        _ => page(
            "<title>a</title><link rel=alternate type='application/json+oembed' href='http://127.0.0.1/'>
            <img src='http://localhost/'><base href='http://10.0.0.1/'><iframe src='http://10.0.0.1/'></iframe>",
        ),
    }
    });
    for place in 0..7 {
        let shown = preview(&scene, &alice, &format!("https://site.org/{place}")).ok();
        assert_eq!(shown, json!({ "og:title": "a" }), "{place}");
    }
    assert!(within.asked().is_empty());
    assert!(scene.server.r2_keys().is_empty());
}

#[test]
fn a_name_that_leads_into_a_network_leads_nowhere() {
    let resolver = ("DNS_OVER_HTTPS", "https://resolver.org/query");
    let scene = one_server_with(&[("ALLOW_PRIVATE_ADDRESSES", "no"), resolver]);
    let alice = scene.register("alice");
    let answers: Rc<RefCell<Vec<&str>>> = Rc::default();
    let next = Rc::clone(&answers);
    Site::on(&scene, "resolver.org", move |_| {
        let data = next.borrow_mut().pop().unwrap_or("8.8.8.8");
        let answer = json!({ "Status": 0, "Answer": [{ "type": 1, "data": data }] });
        of_type("application/dns-json", answer.to_string())
    });
    let site = Site::on(&scene, "site.org", |_| page("<title>a</title>"));
    for (place, address) in ["10.0.0.1", "127.0.0.1", "169.254.169.254"].into_iter().enumerate() {
        answers.borrow_mut().push(address);
        let url = format!("https://site.org/{place}");
        preview(&scene, &alice, &url).refused(502, "M_UNKNOWN");
    }
    assert!(site.asked().is_empty());
    assert_eq!(preview(&scene, &alice, "https://site.org/public").status, 200);
}

/// A body that breaks off after this, as one does whose time is over.
fn cut_off(begin: &'static str) -> Body {
    let broken = tombolo_platform::Unread::Broken("the time is over".to_owned());
    Body::stream(stream::iter([Ok(Bytes::from(begin)), Err(broken)]))
}

#[test]
fn what_breaks_off_shows_what_came() {
    let scene = one_server();
    let alice = scene.register("alice");
    Site::on(&scene, "site.org", |path| match path {
        "/page" => of_type("text/html", cut_off("<title>a</title>")),
        "/empty" => of_type("text/html", cut_off("")),
        "/with" => showing("/image"),
        _ => of_type("image/gif", cut_off("GIF89a\x01\0\x01\0 and more")),
    });
    for path in ["page", "with"] {
        let shown = preview(&scene, &alice, &format!("https://site.org/{path}")).ok();
        assert_eq!(shown, json!({ "og:title": "a" }), "{path}");
    }
    for path in ["empty", "image"] {
        preview(&scene, &alice, &format!("https://site.org/{path}")).refused(502, "M_UNKNOWN");
    }
    soon(&scene);
    assert!(scene.server.r2_keys().is_empty());
    assert_eq!(rows(&scene, "media"), 0);
}

#[test]
fn who_does_not_answer_is_waited_for_so_long() {
    let scene = one_server();
    let alice = scene.register("alice");
    // What a stream of the simulation does not end with does not begin to come.
    let silent = || Body::stream(stream::pending());
    Site::on(&scene, "site.org", move |path| match path {
        "/page" => showing("/silent.png"),
        "/on" => to("/silent"),
        _ => of_type("text/html", silent()),
    });
    for (path, status) in [("silent", 502), ("on", 502), ("page", 200)] {
        let began = scene.simulation.now();
        let answer = preview(&scene, &alice, &format!("https://site.org/{path}"));
        assert_eq!(answer.status, status, "{path}");
        let took = scene.simulation.now() - began;
        assert!((9_000..11_000).contains(&took), "{took}");
    }
}

#[test]
fn of_a_page_the_first_megabyte_is_read() {
    let scene = one_server();
    let alice = scene.register("alice");
    Site::on(&scene, "site.org", |path| {
        let before = if path == "/near" { 1 << 19 } else { 1 << 20 };
        let script = format!("<script>{}</script>", "x".repeat(before));
        let page = format!("{script}<title>a</title>{}", " ".repeat(3 << 20));
        let response = Response::builder().header("content-type", "text/html");
        response.header("content-length", page.len()).body(page.into()).unwrap()
    });
    let near = preview(&scene, &alice, "https://site.org/near").ok();
    assert_eq!(near, json!({ "og:title": "a" }));
    assert_eq!(preview(&scene, &alice, "https://site.org/far").ok(), json!({}));
}

#[test]
fn an_image_that_is_too_large_is_left_out() {
    let scene = one_server_with(&[("MAX_UPLOAD_SIZE", "2000")]);
    let alice = scene.register("alice");
    Site::on(&scene, "site.org", |path| match path {
        "/page" => showing("/large"),
        "/large" => of_type("image/gif", [HUGE, &[0; 2000]].concat()),
        _ => of_type("image/gif", [HUGE, &[0; 1000]].concat()),
    });
    let shown = preview(&scene, &alice, "https://site.org/page").ok();
    assert_eq!(shown, json!({ "og:title": "a" }));
    preview(&scene, &alice, "https://site.org/large").refused(502, "M_UNKNOWN");
    assert!(scene.server.r2_keys().is_empty());
    assert_eq!(preview(&scene, &alice, "https://site.org/fits").status, 200);
}

#[test]
fn a_hostile_page_shows_text_alone() {
    let scene = one_server();
    let alice = scene.register("alice");
    Site::on(&scene, "site.org", |_| {
        page(
            r#"<title>&lt;script&gt;alert(1)&lt;/script&gt;&#0;&#8;</title>
            <meta property="og:image" content="mxc://example.org/secret">
            <meta property="matrix:image:size" content="1"><meta property="og:image:width" content="NaN">
            <meta property="__proto__" content="x"><meta property="og:constructor" content="{}">"#,
        )
    });
    let shown = preview(&scene, &alice, "https://site.org/").ok();
    let title = "<script>alert(1)</script>\u{fffd}";
    assert_eq!(shown, json!({ "og:title": title, "og:constructor": "{}" }));
}
