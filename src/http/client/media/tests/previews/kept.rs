//! How often is a page asked, and what stays of it?

use super::*;

const HOUR: u64 = 3_600_000;

#[test]
fn many_who_ask_at_once_ask_once() {
    let scene = one_server();
    let alice = scene.register("alice");
    let site = Site::on(&scene, "site.org", |path| match path {
        "/" => showing("/i.png"),
        _ => of_type("image/png", picture(5, 5)),
    });
    let path = format!("{PREVIEW}?url=https%3A%2F%2Fsite.org");
    let all = (0..20).map(|_| alice.server.request(alice.request(("GET", &path), "")));
    let all = scene.simulation.run(futures_util::future::join_all(all));
    assert!(all.into_iter().all(|response| response.unwrap().status() == 200));
    assert_eq!(site.asked(), ["/", "/i.png"]);
}

#[test]
fn what_was_seen_is_kept_for_an_hour() {
    let scene = one_server();
    let alice = scene.register("alice");
    let site = Site::on(&scene, "site.org", |_| page("<title>a</title>"));
    let ask = || preview(&scene, &alice, "https://site.org").ok();
    let first = ask();
    soon(&scene);
    // Another isolate has no memory of it.
    scene.server.crash();
    assert_eq!((ask(), site.asked().len()), (first.clone(), 1));
    scene.pass(HOUR - 60_000);
    assert_eq!((ask(), site.asked().len()), (first.clone(), 1));
    scene.pass(60_000);
    assert_eq!((ask(), site.asked().len()), (first, 2));
}

#[test]
fn a_failure_is_kept_briefly() {
    let scene = one_server();
    let alice = scene.register("alice");
    let site = Site::on(&scene, "site.org", |path| match path {
        "/page" => showing("/missing"),
        _ => Response::builder().status(500).body(Body::default()).unwrap(),
    });
    for (path, status, asked) in [("", 502, 1), ("page", 200, 2)] {
        let ask = || preview(&scene, &alice, &format!("https://site.org/{path}")).status;
        let before = site.asked().len();
        assert_eq!((ask(), ask()), (status, status));
        soon(&scene);
        scene.server.crash();
        assert_eq!((ask(), site.asked().len() - before), (status, asked));
        scene.pass(HOUR / 12);
        assert_eq!((ask(), site.asked().len() - before), (status, 2 * asked));
    }
}

#[test]
fn an_image_is_kept_once_and_is_nobodys() {
    let scene = one_server_with(&[("MEDIA_QUOTA", "30"), ("REMOTE_MEDIA_LIFETIME", "10")]);
    let alice = scene.register("alice");
    Site::on(&scene, "site.org", |path| match path {
        "/i.png" | "/j.png" => of_type("image/png", picture(5, 5)),
        path => showing(if path == "/1" { "/i.png" } else { "/j.png" }),
    });
    let image = |url: &str| preview(&scene, &alice, url).ok()["og:image"].clone();
    let first = image("https://site.org/1");
    assert_eq!(first, image("https://site.org/2"));
    scene.pass(2 * HOUR);
    assert_eq!(first, image("https://site.org/1"));
    assert_eq!((scene.server.r2_keys().len(), rows(&scene, "media")), (1, 1));
    // What a user may keep is not used up by it.
    uploaded(&scene, &alice, "", "text/plain", "a");
    // Whoever has the page looked at again has the image kept.
    clean_after(&scene, &alice, 8 * 86_400);
    assert_eq!(first, image("https://site.org/1"));
    clean_after(&scene, &alice, 8 * 86_400);
    let id = first.as_str().unwrap().strip_prefix("mxc://example.org/").unwrap().to_owned();
    let get = || read(&scene, &alice, &format!("{DOWNLOAD}/example.org/{id}")).status();
    assert_eq!(get(), 200);
    clean_after(&scene, &alice, 11 * 86_400);
    assert_eq!(get(), 404);
    // It comes back under its old name.
    assert_eq!(first, image("https://site.org/1"));
    assert_eq!(get(), 200);
}

#[test]
fn an_image_that_was_quarantined_stays_so() {
    let scene = one_server();
    let alice = scene.register("alice");
    Site::on(&scene, "site.org", |_| of_type("image/png", picture(5, 5)));
    let id = uploaded(&scene, &alice, "", "image/png", picture(5, 5));
    let name = crate::stores::media::Name { server: "example.org", media_id: &id };
    let world = scene.server.world();
    let quarantined = crate::stores::media::quarantine(&world, name, true);
    assert!(scene.simulation.run(quarantined).unwrap());
    let shown = preview(&scene, &alice, "https://site.org/i.png").ok();
    let id = shown["og:image"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let path = format!("{DOWNLOAD}/example.org/{id}");
    Answer::of(read(&scene, &alice, &path)).refused(404, "M_NOT_FOUND");
}
