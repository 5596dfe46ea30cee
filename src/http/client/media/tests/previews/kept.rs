//! How often is a page asked, and what stays of it?

use futures_util::{StreamExt, stream};

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

/// What several requests of users are answered, and after how long (ms). The last ones come a second later.
fn at_once(scene: &Scene, asked: &[(&User, &str)], last: usize) -> Vec<(Answer, u64)> {
    let all = asked.iter().rev().zip(0..).map(async |((user, url), place)| {
        if place < last {
            scene.server.world().sleep(Duration::from_secs(1)).await;
        }
        let began = scene.simulation.now();
        let path = format!("{PREVIEW}?url={}", tombolo_support::encode(url));
        let response = user.server.request(user.request(("GET", &path), "")).await.unwrap();
        (Answer::of(response), scene.simulation.now() - began)
    });
    let mut answers = scene.simulation.run(futures_util::future::join_all(all));
    answers.reverse();
    answers
}

#[test]
fn who_has_pages_read_that_do_not_answer_keeps_nobody_else_from_theirs() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    Site::on(&scene, "slow.org", |_| of_type("text/html", Body::stream(stream::pending())));
    let site = Site::on(&scene, "site.org", |_| page("<title>a</title>"));
    let urls: Vec<String> = (0..20).map(|place| format!("https://slow.org/{place}")).collect();
    let mut asked: Vec<(&User, &str)> = urls.iter().map(|url| (&alice, url.as_str())).collect();
    asked.extend([(&alice, "https://site.org/"), (&bob, "https://site.org/")]);
    let mut answers = at_once(&scene, &asked, 2);
    let (answer, took) = answers.pop().unwrap();
    assert!(answer.status == 200 && took < 1000, "{took}");
    // What the other had read is shown, whoever asks.
    assert_eq!((answers.pop().unwrap().0.status, site.asked().len()), (200, 1));
    let refused = answers.iter().filter(|(answer, _)| answer.status == 502).count();
    assert_eq!((refused, answers.len()), (2, 20));
    for (answer, took) in answers {
        assert!(took < 11_000, "{took}");
        if answer.status != 502 {
            answer.refused(429, "M_LIMIT_EXCEEDED");
        }
    }
}

/// The body of an image of which no more comes than this.
fn dripping() -> Response<Body> {
    let begin = stream::iter([Ok(Bytes::from_static(b"GIF89a\x01\0\x01\0 and more"))]);
    of_type("image/gif", Body::stream(begin.chain(stream::pending())))
}

#[test]
fn images_that_do_not_end_keep_nobody_from_pages() {
    let scene = one_server();
    let users = ["alice", "bob", "carol"].map(|name| scene.register(name));
    Site::on(&scene, "slow.org", |path| match path {
        "/image" => dripping(),
        _ => showing("/image"),
    });
    Site::on(&scene, "site.org", |path| match path {
        "/i.png" => of_type("image/png", picture(5, 5)),
        "/with" => showing("/i.png"),
        _ => page("<title>a</title>"),
    });
    let slow = [0, 1, 2, 3].map(|place| format!("https://slow.org/{place}"));
    // Two images of one user leave room for another's.
    let asked = [(0, &*slow[0]), (0, &slow[1]), (2, "https://site.org/with")];
    let answers = at_once(&scene, &asked.map(|(user, url)| (&users[user], url)), 1);
    let (answer, took) = &answers[2];
    assert!(answer.body.get("og:image").is_some() && *took < 1000, "{took}");
    scene.pass(5_000);
    // Those of two leave none, but pages are read.
    let asked = [(0, &*slow[0]), (0, &slow[1]), (1, &slow[2]), (1, &slow[3])];
    let asked = asked.into_iter().chain([(2, "https://site.org/")]);
    let asked: Vec<_> = asked.map(|(user, url)| (&users[user], url)).collect();
    let answers = at_once(&scene, &asked, 1);
    let (answer, took) = &answers[4];
    assert!(answer.status == 200 && *took < 1000, "{took}");
    assert!(answers.iter().all(|(answer, _)| answer.body["og:title"] == "a"));
}

#[test]
fn where_all_room_is_taken_one_is_told_to_wait_and_nothing_of_it_is_kept() {
    let scene = one_server();
    let users = ["a", "b", "c", "d", "e"].map(|name| scene.register(name));
    Site::on(&scene, "slow.org", |_| of_type("text/html", Body::stream(stream::pending())));
    let site = Site::on(&scene, "site.org", |_| page("<title>a</title>"));
    let urls: Vec<String> = (0..8).map(|place| format!("https://slow.org/{place}")).collect();
    let mut asked: Vec<(&User, &str)> =
        urls.iter().zip(0..).map(|(url, place)| (&users[place / 2], url.as_str())).collect();
    asked.extend([(&users[4], "https://site.org/"); 2]);
    let mut answers = at_once(&scene, &asked, 2);
    for (answer, _) in answers.split_off(8) {
        let body = answer.refused(429, "M_LIMIT_EXCEEDED");
        assert!(body["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0), "{body}");
    }
    assert!(answers.iter().all(|(answer, _)| answer.status == 502));
    // It was not asked in vain.
    assert!(site.asked().is_empty());
    scene.pass(5_000);
    assert_eq!(preview(&scene, &users[4], "https://site.org/").status, 200);
}

#[test]
fn that_the_resolver_fails_is_told_for_a_moment() {
    let resolver = ("DNS_OVER_HTTPS", "https://resolver.org/query");
    let scene = one_server_with(&[("ALLOW_PRIVATE_ADDRESSES", "no"), resolver]);
    let alice = scene.register("alice");
    let fails = Rc::new(std::cell::Cell::new(true));
    let is_down = Rc::clone(&fails);
    let resolver = Site::on(&scene, "resolver.org", move |_| {
        let data = json!([{ "type": 1, "data": "8.8.8.8" }]);
        let answer = json!({ "Status": if is_down.get() { 2 } else { 0 }, "Answer": data });
        of_type("application/dns-json", answer.to_string())
    });
    Site::on(&scene, "site.org", |_| page("<title>a</title>"));
    let ask = || preview(&scene, &alice, "https://site.org/").status;
    assert_eq!((ask(), ask(), resolver.asked().len()), (502, 502, 1));
    fails.set(false);
    scene.pass(5_000);
    assert_eq!(ask(), 200);
}

#[test]
fn a_user_has_so_many_bytes_of_images_read_in_an_hour() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let site = Site::on(&scene, "site.org", |path| match path {
        "/page" => showing("/i"),
        path => of_type("image/gif", [HUGE, path.as_bytes(), &vec![0; 3_000_000]].concat()),
    });
    let ask = |user: &User, path: &str| preview(&scene, user, &format!("https://site.org/{path}"));
    for place in 0..35 {
        assert_eq!(ask(&alice, &place.to_string()).status, 200, "{place}");
    }
    let refused = ask(&alice, "more").refused(429, "M_LIMIT_EXCEEDED");
    assert!(refused["retry_after_ms"].as_u64().is_some_and(|wait| wait < 120_000), "{refused}");
    // What a page says is shown all the same, and nobody else is told so.
    let asked = site.asked().len();
    for _ in 0..2 {
        assert_eq!(ask(&alice, "page").ok(), json!({ "og:title": "a" }));
        ask(&alice, "more").refused(429, "M_LIMIT_EXCEEDED");
    }
    // It is asked for no more than it can say.
    assert_eq!(site.asked().len(), asked + 1);
    assert_eq!(ask(&bob, "page").ok()["og:image:type"], "image/gif");
    assert_eq!(ask(&bob, "more").status, 200);
    scene.pass(HOUR / 10);
    assert_eq!(ask(&alice, "again").status, 200);
}

#[test]
fn what_was_read_counts_where_no_image_came_of_it() {
    let scene = one_server();
    let users = ["alice", "bob"].map(|name| scene.register(name));
    Site::on(&scene, "site.org", |path| {
        let chunk = || Ok(Bytes::from(vec![0; 1 << 20]));
        let begin = stream::iter([Ok(Bytes::from_static(HUGE)), chunk(), chunk()]);
        let broken = Err(tombolo_platform::Unread::Broken("the line is cut".to_owned()));
        let end = if path.starts_with("/large") { Ok(chunk().unwrap()) } else { broken };
        of_type("image/gif", Body::stream(begin.chain(stream::iter([end, chunk()]))))
    });
    for (user, kind) in users.iter().zip(["large", "broken"]) {
        let ask = |place| preview(&scene, user, &format!("https://site.org/{kind}/{place}")).status;
        assert_eq!((0..20).map(ask).find(|status| *status != 502), None, "{kind}");
        assert!((20..60).map(ask).any(|status| status == 429), "{kind}");
    }
}
