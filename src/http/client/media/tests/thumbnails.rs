//! Which thumbnails does a client get?

use tombolo_support::Answer;

use super::*;

const THUMBNAIL: &str = "/_matrix/client/v1/media/thumbnail";

fn picture(width: u32, height: u32) -> Vec<u8> {
    let mut written = Vec::new();
    let mut encoder = png::Encoder::new(&mut written, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let bytes = vec![100; 3 * (width * height) as usize];
    encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
    written
}

/// The size that a PNG says to have.
fn size(png: &[u8]) -> (u32, u32) {
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (side(16), side(20))
}

#[test]
fn a_thumbnail_is_not_smaller_than_wanted_and_made_once() {
    let scene = one_server();
    let alice = scene.register("alice");
    let whole = picture(1000, 1000);
    let id = uploaded(&scene, &alice, "?filename=a", "image/png", whole.clone());
    let get = |query: &str| read(&scene, &alice, &format!("{THUMBNAIL}/example.org/{id}?{query}"));
    for (query, wanted) in [
        ("width=32&height=32&method=crop", (32, 32)),
        ("width=33&height=1&method=crop", (96, 96)),
        ("width=10&height=10&method=scale", (240, 240)),
        ("width=320&height=240", (240, 240)),
        ("width=321&height=240&animated=true", (480, 480)),
        ("width=800&height=600&method=scale", (600, 600)),
        ("width=100&height=100&method=crop", (320, 320)),
    ] {
        let response = get(query);
        assert_eq!(response.status(), 200, "{query}");
        assert_eq!(size(response.body()), wanted, "{query}");
        assert_eq!(header(&response, "content-type"), Some("image/png"));
        let named = Some("inline; filename=thumbnail.png");
        assert_eq!(header(&response, "content-disposition"), named);
    }
    soon(&scene);
    assert_eq!(scene.server.r2_keys().len(), 7);
    assert_eq!(get("width=32&height=32&method=crop").status(), 200);
    let larger = get("width=5000&height=5000");
    assert_eq!((larger.status().as_u16(), size(larger.body())), (200, (1000, 1000)));
    soon(&scene);
    assert_eq!(scene.server.r2_keys().len(), 7);
    let name = crate::stores::media::Name { server: "example.org", media_id: &id };
    scene.simulation.run(crate::flows::media::delete(&scene.server.world(), name)).unwrap();
    assert!(scene.server.r2_keys().is_empty());
}

#[test]
fn what_is_smaller_is_shown_as_it_is() {
    let scene = one_server();
    let alice = scene.register("alice");
    let whole = picture(30, 20);
    let id = uploaded(&scene, &alice, "", "text/html", whole.clone());
    let path = format!("{THUMBNAIL}/example.org/{id}?width=96&height=96&method=crop");
    let response = read(&scene, &alice, &path);
    assert!(response.status() == 200 && response.body().as_ref() == whole);
    assert_eq!(header(&response, "content-type"), Some("image/png"));
}

#[test]
fn other_servers_get_the_same_thumbnail() {
    let scene = one_server();
    let alice = scene.register("alice");
    let other = scene.another("other.org", 8);
    let bob = scene.register_on(&other, "bob");
    let id = uploaded(&scene, &alice, "", "image/png", picture(500, 500));
    let path = format!("{THUMBNAIL}/example.org/{id}?width=96&height=96&method=crop");
    let (ours, theirs) = (read(&scene, &alice, &path), read(&scene, &bob, &path));
    assert!(theirs.status() == 200 && ours.body() == theirs.body());
}

#[test]
fn what_cannot_be_shown_is_refused() {
    let scene = one_server();
    let alice = scene.register("alice");
    let text = uploaded(&scene, &alice, "", "image/png", "no picture");
    let id = uploaded(&scene, &alice, "", "image/png", picture(100, 100));
    let get = |id: &str, query: &str| {
        Answer::of(read(&scene, &alice, &format!("{THUMBNAIL}/example.org/{id}?{query}")))
    };
    for query in ["width=32&height=32", "width=5000&height=5000"] {
        get(&text, query).refused(400, "M_UNKNOWN");
    }
    for query in [
        "width=0&height=32",
        "width=-1&height=1",
        "width=a&height=1",
        "width=1.5&height=1",
        "width=1&height=1&method=stretch",
    ] {
        get(&id, query).refused(400, "M_UNKNOWN");
    }
    get(&id, "width=1").refused(400, "M_MISSING_PARAM");
    get("unknown", "width=1&height=1").refused(404, "M_NOT_FOUND");
    let line = format!("GET {THUMBNAIL}/example.org/{id}?width=1&height=1");
    scene.send(None, &line, String::new()).refused(401, "M_MISSING_TOKEN");
}

#[test]
fn no_thumbnail_is_kept_of_what_is_removed_while_it_is_made() {
    let scene = one_server();
    let alice = scene.register("alice");
    let whole = picture(100, 100);
    let size = whole.len() as u64;
    let id = uploaded(&scene, &alice, "", "image/png", whole);
    let world = scene.server.world();
    let name = crate::stores::media::Name { server: "example.org", media_id: &id };
    // The content is given up and not removed yet.
    let content = scene.simulation.run(crate::stores::media::delete(&world, name));
    let content = content.unwrap().left.unwrap();
    let method = crate::flows::media::Method::Crop;
    let shape = crate::flows::media::Shape { width: 32, height: 32, method };
    let made = crate::flows::media::make_thumbnail(&world, (&content, size), shape);
    assert!(scene.simulation.run(made).is_ok());
    soon(&scene);
    assert_eq!(scene.server.r2_keys(), [content]);
}

#[test]
fn a_cropped_thumbnail_is_not_smaller_than_wanted() {
    let scene = one_server();
    let alice = scene.register("alice");
    let id = uploaded(&scene, &alice, "", "image/png", picture(1280, 320));
    for (wanted, made) in [(96, (96, 96)), (100, (320, 320)), (321, (640, 320)), (641, (1280, 320))]
    {
        let query = format!("width={wanted}&height={wanted}&method=crop");
        let response = read(&scene, &alice, &format!("{THUMBNAIL}/example.org/{id}?{query}"));
        assert_eq!(size(response.body()), made, "{wanted}");
    }
}

#[test]
fn what_may_move_stands_still_whatever_is_wanted() {
    let scene = one_server();
    let alice = scene.register("alice");
    let mut moving = Vec::new();
    let mut encoder = png::Encoder::new(&mut moving, 1000, 1000);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(1, 0).unwrap();
    encoder.write_header().unwrap().write_image_data(&vec![100; 3_000_000]).unwrap();
    let id = uploaded(&scene, &alice, "", "image/png", moving);
    for (method, side) in [("scale", 600), ("crop", 640)] {
        let query = format!("width=5000&height=5000&method={method}");
        let response = read(&scene, &alice, &format!("{THUMBNAIL}/example.org/{id}?{query}"));
        assert_eq!(size(response.body()), (side, side), "{method}");
    }
}

#[test]
fn what_is_small_is_read_once() {
    let scene = one_server();
    let alice = scene.register("alice");
    let id = uploaded(&scene, &alice, "", "image/png", picture(30, 20));
    let path = format!("{THUMBNAIL}/example.org/{id}?width=96&height=96");
    let reads = || scene.server.world().units().r2_reads;
    let before = reads();
    assert_eq!(read(&scene, &alice, &path).status(), 200);
    // Whether a smaller one is there is asked first.
    assert_eq!(reads(), before + 2);
}

#[test]
fn what_takes_too_much_memory_is_too_large_here_and_elsewhere() {
    let scene = one_server();
    let alice = scene.register("alice");
    let other = scene.another("other.org", 8);
    let bob = scene.register_on(&other, "bob");
    let id = uploaded(&scene, &alice, "", "image/gif", HUGE);
    let path = format!("{THUMBNAIL}/example.org/{id}?width=32&height=32&method=crop");
    Answer::of(read(&scene, &alice, &path)).refused(413, "M_TOO_LARGE");
    Answer::of(read(&scene, &bob, &path)).refused(502, "M_TOO_LARGE");
}

#[test]
fn who_has_many_thumbnails_made_is_limited() {
    let scene = one_server_with(&[("RATE_LIMITS", "on")]);
    let alice = scene.register("alice");
    let made = uploaded(&scene, &alice, "", "image/png", picture(100, 100));
    let id = uploaded(&scene, &alice, "", "image/png", picture(30, 20));
    let get = |id: &str| {
        let path = format!("{THUMBNAIL}/example.org/{id}?width=32&height=32&method=crop");
        Answer::of(read(&scene, &alice, &path))
    };
    assert_eq!(get(&made).status, 200);
    soon(&scene);
    let refused = (0..1000).map(|_| get(&id)).find(|answer| answer.status != 200);
    refused.unwrap().refused(429, "M_LIMIT_EXCEEDED");
    assert_eq!(get(&made).status, 200);
}
