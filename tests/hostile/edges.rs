//! What is made of answers that the network gives in a server's place, and of names that lead nowhere?
//!
//! What stands before a server turns requests away with pages for people, and says by numbers of its own that the
//! server does not answer. Neither is the server's word. (NET7 to NET9)

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use serde_json::{Value, json};
use tombolo_support::{Peer, Reply, encode, ok, refusal};

use crate::scene::{HostileScene, OURS};

/// What edges say.
fn pages() -> [Reply; 7] {
    let page = |status: u16, body: &'static str| Reply { status, body: body.into() };
    let error = |more: String| format!("{{\"errcode\":\"M_FORBIDDEN\",\"error\":{more}}}");
    let (large, deep) =
        (format!("\"{}\"", "x".repeat(8 << 10)), "[".repeat(1000) + &"]".repeat(1000));
    [
        page(403, "<!DOCTYPE html><title>Just a moment...</title>"),
        page(429, "<html>slow down</html>"),
        page(503, "[]"),
        page(530, "error code: 1016"),
        page(521, "{\"errcode\":\"M_FORBIDDEN\"}"),
        Reply { status: 403, body: error(large).into() },
        Reply { status: 403, body: error(deep).into() },
    ]
}

/// The keys of a server as a peer at its place publishes them.
fn keys_of(peer: &Peer, until: u64) -> Reply {
    ok(&serde_json::to_value(peer.published(until)).unwrap())
}

/// Whether we get the keys of a server, asked as its notary.
fn is_found(scene: &HostileScene, name: &str) -> bool {
    let line = format!("GET /_matrix/key/v2/query/{name}");
    let answer = scene.call(None, &line, &Value::Null);
    answer.body["server_keys"].as_array().is_some_and(|keys| !keys.is_empty())
}

/// The peer at a name, which is asked for its well-known file too; its answers to anything but that are its own.
fn at(
    scene: &HostileScene,
    name: &str,
    seed: u8,
    well_known: impl Fn() -> Reply + 'static,
) -> Peer {
    let peer = Peer::new(&scene.simulation, name, seed);
    peer.on("", move |_| well_known());
    peer
}

#[test]
fn every_request_says_who_sends_it() {
    let version = env!("CARGO_PKG_VERSION");
    for (url, agent) in [
        ("https://matrix.ours.test", format!("Tombolo/{version} (+https://matrix.ours.test)")),
        ("", format!("Tombolo/{version}")),
    ] {
        let resolver = "https://resolver.test/dns-query";
        let variables = [
            ("PUBLIC_BASEURL", url),
            ("DNS_OVER_HTTPS", resolver),
            ("ALLOW_PRIVATE_ADDRESSES", "no"),
        ];
        let scene = HostileScene::with("11", &variables);
        let dns = Peer::new(&scene.simulation, "resolver.test", 60);
        dns.on("", |_| ok(&json!({ "Status": 0, "Answer": [{ "type": 1, "data": "8.8.8.8" }] })));
        let named = at(&scene, "named.test", 61, || refusal(404, "M_NOT_FOUND"));
        assert!(is_found(&scene, "named.test"));
        let asked = [dns.asked(""), named.asked(""), named.asked("server")];
        for asked in &asked {
            assert!(!asked.is_empty());
            assert!(asked.iter().all(|asked| asked.agent == agent), "{asked:?}");
        }
    }
}

#[test]
fn a_page_of_the_network_is_not_the_answer_of_the_server() {
    for page in pages() {
        let scene = HostileScene::bare("11");
        let hosted = scene.hosted(&scene.evil);
        hosted.give(&scene.evil);
        let said = page.clone();
        scene.evil.on("make_join", move |_| said.clone());
        let answer = scene.join(&hosted, &scene.evil);
        assert_eq!(answer.status, 502, "NET7 {page:?}: {answer:?}");
        scene.comes_right(&hosted, &scene.evil);
    }
}

#[test]
fn an_error_in_an_odd_form_is_the_answer_of_the_server() {
    let long = format!("{{\"error\":\"{}\"}}", "é".repeat(2000));
    for body in ["{}", "\n{\"errcode\":5,\"error\":[{\"a\":null}]}", "{\"a\":[[1.5]]}", &long] {
        let scene = HostileScene::bare("11");
        let hosted = scene.hosted(&scene.evil);
        hosted.give(&scene.evil);
        let said = Reply { status: 403, body: Bytes::copy_from_slice(body.as_bytes()) };
        scene.evil.on("make_join", move |_| said.clone());
        let answer = scene.join(&hosted, &scene.evil);
        let said = answer.refused(403, "M_FORBIDDEN");
        assert!(said["error"].as_str().unwrap_or_default().chars().count() <= 200, "{said}");
    }
}

#[test]
fn the_version_that_a_server_cannot_have_us_join_in_is_told_on() {
    let scene = HostileScene::bare("11");
    let hosted = scene.hosted(&scene.evil);
    let body = r#"{"errcode":"M_INCOMPATIBLE_ROOM_VERSION","error":"no","room_version":"x.y"}"#;
    let said = Reply { status: 400, body: Bytes::from_static(body.as_bytes()) };
    scene.evil.on("make_join", move |_| said.clone());
    let refused = scene.join(&hosted, &scene.evil).refused(400, "M_INCOMPATIBLE_ROOM_VERSION");
    assert_eq!(refused["room_version"], "x.y");
}

#[test]
fn where_the_network_answers_for_one_server_the_next_is_asked() {
    for endpoint in ["make_join", "send_join"] {
        for page in pages() {
            let scene = HostileScene::bare("11");
            let hosted = scene.hosted(&scene.third);
            hosted.give(&scene.third);
            hosted.give(&scene.evil);
            let said = page.clone();
            scene.evil.on(endpoint, move |_| said.clone());
            let answer = hosted.join(&scene, &scene.alice, &[&scene.evil, &scene.third]);
            assert_eq!(answer.status, 200, "NET7 {endpoint} {page:?}: {answer:?}");
            assert!(scene.evil.times_asked(endpoint) > 0);
            scene.hears(&hosted, &scene.third);
        }
    }
}

#[test]
fn where_the_network_answers_for_one_place_the_next_is_tried() {
    for page in pages() {
        let scene =
            HostileScene::with("11", &[("DNS_OVER_HTTPS", "https://resolver.test/dns-query")]);
        let dns = Peer::new(&scene.simulation, "resolver.test", 62);
        dns.on("", |_| {
            let record =
                |port: u16| json!({ "type": 33, "data": format!("{port} 0 {port} n.test.") });
            ok(&json!({ "Status": 0, "Answer": [record(1), record(2)] }))
        });
        at(&scene, "n.test", 63, || refusal(404, "M_NOT_FOUND"));
        let first = Peer::new(&scene.simulation, "n.test:1", 64);
        let (said, second) = (page.clone(), Peer::unlisted("n.test", 65));
        first.on("server", move |_| said.clone());
        let until = scene.simulation.now() + 3_600_000;
        Peer::new(&scene.simulation, "n.test:2", 65).on("server", move |_| keys_of(&second, until));
        assert!(is_found(&scene, "n.test"), "NET7 {page:?}");
        assert_eq!(first.times_asked("server"), 1);
    }
}

#[test]
fn a_page_in_place_of_the_well_known_file_is_soon_asked_for_again() {
    for page in pages() {
        let scene = HostileScene::bare("11");
        let (turned_away, said) = (Rc::new(Cell::new(true)), page.clone());
        let is_turned_away = Rc::clone(&turned_away);
        let named = at(&scene, "named.test", 66, move || match is_turned_away.get() {
            true => said.clone(),
            false => ok(&json!({ "m.server": "place.test:1" })),
        });
        named.on("server", |_| refusal(404, "M_NOT_FOUND"));
        let (keys, until) = (Peer::unlisted("named.test", 67), scene.simulation.now() + 86_400_000);
        Peer::new(&scene.simulation, "place.test:1", 68)
            .on("server", move |_| keys_of(&keys, until));
        assert!(!is_found(&scene, "named.test"));
        turned_away.set(false);
        scene.wait(15 * 60);
        assert!(is_found(&scene, "named.test"), "NET8 {page:?} is remembered as: no file");
    }
}

#[test]
fn a_page_in_place_of_the_well_known_file_undoes_nothing_that_was_known() {
    for page in pages() {
        let scene = HostileScene::bare("11");
        let (turned_away, said) = (Rc::new(Cell::new(false)), page.clone());
        let is_turned_away = Rc::clone(&turned_away);
        let named = at(&scene, "named.test", 66, move || match is_turned_away.get() {
            true => said.clone(),
            false => ok(&json!({ "m.server": "place.test:1" })),
        });
        let place = Peer::new(&scene.simulation, "place.test:1", 68);
        let (keys, begin) = (Peer::unlisted("named.test", 67), scene.simulation.now());
        let published = Cell::new(begin);
        place.on("server", move |_| {
            published.set(published.get() + 3_600_000);
            keys_of(&keys, published.get())
        });
        assert!(is_found(&scene, "named.test"));
        turned_away.set(true);
        // The file was good for a day.
        scene.wait(24 * 3600 + 60);
        let asked = place.times_asked("server");
        is_found(&scene, "named.test");
        assert!(named.times_asked("") > 1, "the file was not asked for again");
        assert!(place.times_asked("server") > asked, "NET8 {page:?}: the place is forgotten");
    }
}

#[test]
fn a_place_that_was_known_is_not_kept_for_ever() {
    let scene = HostileScene::bare("11");
    let turned_away = Rc::new(Cell::new(false));
    let is_turned_away = Rc::clone(&turned_away);
    let named = at(&scene, "named.test", 66, move || match is_turned_away.get() {
        true => pages()[0].clone(),
        false => ok(&json!({ "m.server": "place.test:1" })),
    });
    let place = Peer::new(&scene.simulation, "place.test:1", 68);
    let count = |waited: u64| {
        scene.wait(waited);
        let before = place.times_asked("query");
        asked(&scene, named.name());
        place.times_asked("query") - before
    };
    assert_eq!(count(0), 1);
    turned_away.set(true);
    // The file was good for a day, and what it said is kept two hours longer.
    assert_eq!(count(24 * 3600 + 60), 1);
    for minutes in (20..=100).step_by(20) {
        assert_eq!(count(20 * 60), 1, "NET8 after {minutes} minutes the place is forgotten");
    }
    assert_eq!(count(20 * 60), 0, "NET8 the place is kept for ever");
    turned_away.set(false);
    assert_eq!(count(120), 1);
}

#[test]
fn a_server_that_moved_is_found_before_its_file_was_to_be_asked_for_again() {
    let scene = HostileScene::new("11");
    let has_moved = Rc::new(Cell::new(false));
    let moved = Rc::clone(&has_moved);
    let named = at(&scene, "named.test", 66, move || {
        ok(&json!({ "m.server": if moved.get() { "new.test:1" } else { "old.test:1" } }))
    });
    let [old, new] = ["old.test:1", "new.test:1"].map(|place| {
        let (peer, keys) = (Peer::new(&scene.simulation, place, 68), named.clone());
        let until = scene.simulation.now() + 86_400_000;
        peer.on("server", move |_| keys_of(&keys, until));
        peer
    });
    assert_eq!(scene.enter(&named, "x").status, 200);
    scene.say(&scene.alice, &scene.room, "where it is");
    scene.settle();
    assert!(old.times_asked("send") > 0);
    has_moved.set(true);
    scene.simulation.partition(OURS, old.name(), u64::MAX);
    scene.say(&scene.alice, &scene.room, "where it is no more");
    let before = named.times_asked("");
    scene.wait(3600);
    assert_eq!(named.times_asked(""), before, "an outage of an hour moves no server");
    scene.wait(2 * 3600);
    assert!(new.times_asked("send") > 0, "it is looked for where it was");
}

/// The path of a profile of another server.
fn profile(name: &str) -> String {
    format!("/_matrix/client/v3/profile/{}", encode(&format!("@x:{name}")))
}

/// The status with which a profile of another server is answered.
fn asked(scene: &HostileScene, name: &str) -> u16 {
    scene.call(None, &format!("GET {}", profile(name)), &Value::Null).status
}

/// When each fetch began.
fn fetches(transcript: &str) -> Vec<u64> {
    let ours = |line: &&str| line.contains(&format!(" {OURS} fetches "));
    let time = |line: &str| line.split(' ').next()?.parse().ok();
    transcript.lines().filter(ours).filter_map(time).collect()
}

#[test]
fn a_name_that_leads_nowhere_is_not_looked_up_again_and_again() {
    for (answer, name) in [("{\"Status\":3}", "n.test"), ("{\"Status\":2}", "n.test:1")] {
        let resolver = "https://resolver.test/dns-query";
        let variables = [("DNS_OVER_HTTPS", resolver), ("ALLOW_PRIVATE_ADDRESSES", "no")];
        let scene = HostileScene::with("11", &variables);
        let dns = Peer::new(&scene.simulation, "resolver.test", 69);
        dns.on("", move |_| Reply { status: 200, body: answer.into() });
        let count = |waited: u64| {
            scene.wait(waited);
            dns.forget_asked();
            assert_eq!(asked(&scene, name), 502, "{name}");
            dns.times_asked("")
        };
        assert!(count(0) > 0, "{name}: nothing was asked");
        assert_eq!(count(0), 0, "NET9 {name}");
        assert!(count(100) > 0, "{name}: the name is never looked up again");
        assert_eq!(count(60), 0, "NET9 {name}: the pause does not grow");
        assert!(count(60) > 0, "{name}: the name is never looked up again");
    }
}

#[test]
fn a_place_that_never_answered_is_left_alone_for_a_moment() {
    let scene = HostileScene::bare("11");
    scene.simulation.record();
    let count = |waited: u64| {
        scene.wait(waited);
        let before = fetches(&scene.simulation.transcript()).len();
        assert_eq!(asked(&scene, "nowhere.test:1"), 502);
        fetches(&scene.simulation.transcript()).len() - before
    };
    // The first pauses are so short that they are waited for.
    assert_eq!([count(0), count(0), count(0)], [1, 1, 1]);
    assert_eq!(count(0), 0, "NET9");
    assert_eq!(count(10), 1);
    assert_eq!(count(8), 0, "NET9 the pause does not grow");
    let peer = Peer::new(&scene.simulation, "nowhere.test:1", 70);
    assert_eq!(scene.transaction(&peer, &[], &[]).status, 401, "its keys cannot be asked for yet");
    scene.wait(15);
    assert_eq!(scene.transaction(&peer, &[], &[]).status, 200);
    peer.on("query", |_| ok(&json!({ "displayname": "x" })));
    assert_eq!(asked(&scene, "nowhere.test:1"), 200);
}

#[test]
fn of_many_new_names_one_is_looked_up_at_a_time() {
    let scene = HostileScene::bare("11");
    scene.simulation.record();
    let request =
        |number| Request::get(profile(&format!("n{number}.test"))).body(Bytes::new()).unwrap();
    let asked = (0..100).map(|number| scene.server.request(request(number)));
    let answers = scene.simulation.run(join_all(asked));
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status() == 502));
    let times = fetches(&scene.simulation.transcript());
    assert!(times.len() >= 100, "{}", times.len());
    assert!(times.windows(2).all(|two| two[0] < two[1]), "NET9 two at once: {times:?}");
}

/// How often the destination of the peer was told that it is up.
fn heard(scene: &HostileScene) -> usize {
    scene.simulation.transcript().matches("destination/evil.test:8448 Heard").count()
}

#[test]
fn a_sign_of_life_is_passed_on_where_a_server_fails() {
    let scene = HostileScene::new("11");
    scene.simulation.record();
    for _ in 0..20 {
        scene.accepted("a message", &scene.message());
        scene.wait(120);
    }
    assert!(heard(&scene) <= 1, "told {} times that a server is up that was", heard(&scene));
    let (before, now) = (heard(&scene), scene.simulation.now());
    scene.simulation.partition(OURS, scene.evil.name(), now + 60_000);
    scene.say(&scene.alice, &scene.room, "while it is away");
    scene.wait(61);
    scene.evil.forget_asked();
    scene.accepted("a sign of life", &scene.message());
    scene.wait(5);
    assert_eq!(heard(&scene), before + 1);
    assert!(scene.evil.times_asked("send") > 0, "it is not told what it missed");
}
