//! What is kept of an upload, and what is refused?

use tombolo_platform::{SqlError, simulated::Faults};
use tombolo_support::Answer;

use super::*;

const CREATE: &str = "POST /_matrix/media/v1/create";

#[test]
fn an_upload_is_read_as_it_was_sent() {
    let scene = one_server();
    let alice = scene.register("alice");
    let bytes: Vec<u8> = (0..200_000_u32).map(|place| (place % 251) as u8).collect();
    let id = uploaded(&scene, &alice, "?filename=a%20b.png", "image/png", bytes.clone());
    assert!(id.len() == 24 && crate::flows::media::is_media_id(&id), "{id}");
    let response = read(&scene, &alice, &format!("{DOWNLOAD}/example.org/{id}"));
    assert!(response.status() == 200 && response.body().as_ref() == bytes);
    assert_eq!(header(&response, "content-type"), Some("image/png"));
    assert_eq!(header(&response, "content-length"), Some("200000"));
    assert_eq!(
        header(&response, "content-disposition"),
        Some("inline; filename*=utf-8''a%20b.png")
    );
    assert_eq!(header(&response, "cross-origin-resource-policy"), Some("cross-origin"));
    assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
    assert!(header(&response, "content-security-policy").unwrap().starts_with("sandbox;"));
}

#[test]
fn what_is_larger_than_allowed_is_refused_while_it_comes() {
    let scene = one_server_with(&[("MAX_UPLOAD_SIZE", "100000")]);
    let alice = scene.register("alice");
    let size = scene.get(&alice, "/_matrix/client/v1/media/config").ok();
    assert_eq!(size["m.upload.size"], 100_000);
    let answer = asked(&scene, &alice, &format!("POST {UPLOAD}"), &[], vec![0; 100_001]);
    Answer::of(answer).refused(413, "M_TOO_LARGE");
    assert!(scene.server.r2_keys().is_empty() && rows(&scene, "media") == 0);
    uploaded(&scene, &alice, "", "a/b", vec![0; 100_000]);
}

#[test]
fn equal_contents_are_kept_once_and_until_the_last_is_gone() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let first = uploaded(&scene, &alice, "", "image/png", "same");
    let second = uploaded(&scene, &bob, "?filename=b", "text/plain", "same");
    assert_ne!(first, second);
    assert_eq!((rows(&scene, "media"), rows(&scene, "media_contents")), (2, 1));
    assert_eq!(scene.server.r2_keys().len(), 1);
    let remove = |id: &str| {
        let world = scene.server.world();
        let name = crate::stores::media::Name { server: "example.org", media_id: id };
        scene.simulation.run(crate::flows::media::delete(&world, name)).unwrap();
    };
    remove(&first);
    let left = read(&scene, &bob, &format!("{DOWNLOAD}/example.org/{second}"));
    assert!(left.status() == 200 && left.body() == "same");
    remove(&second);
    assert!(scene.server.r2_keys().is_empty() && rows(&scene, "media_contents") == 0);
}

#[test]
fn two_uploads_of_one_content_at_once_keep_it_once() {
    let scene = one_server();
    let alice = scene.register("alice");
    let upload = || alice.server.request(alice.request(("POST", UPLOAD), vec![7; 100_000]));
    let both = async { futures_util::future::join(upload(), upload()).await };
    let (first, second) = scene.simulation.run(both);
    for answer in [first, second] {
        let id = media_id(&Answer::of(answer.unwrap()).ok());
        let response = read(&scene, &alice, &format!("{DOWNLOAD}/example.org/{id}"));
        assert_eq!(response.body().len(), 100_000);
    }
    assert_eq!((scene.server.r2_keys().len(), rows(&scene, "media_contents")), (1, 1));
}

#[test]
fn whatever_fails_what_was_answered_is_there_and_nothing_else_stays() {
    for seed in 0..20_u8 {
        let scene = one_server();
        let alice = scene.register("alice");
        let world = scene.server.world();
        (0..seed).for_each(|_| {
            world.random();
        });
        scene.simulation.faults(Faults { lost_r2: 200, lost_d1: 100, ..Faults::NONE });
        let mut kept = Vec::new();
        for number in 0..20 {
            let body = format!("content {}", number % 7);
            let answer =
                Answer::of(asked(&scene, &alice, &format!("POST {UPLOAD}"), &[], body.clone()));
            if answer.is_ok() {
                kept.push((media_id(&answer.body), body));
            }
        }
        scene.simulation.faults(Faults::NONE);
        clean_after(&scene, &alice, 3 * 86_400);
        for (id, body) in &kept {
            let response = read(&scene, &alice, &format!("{DOWNLOAD}/example.org/{id}"));
            assert_eq!(
                (response.status().as_u16(), response.body().as_ref()),
                (200, body.as_bytes())
            );
        }
        let settled = "SELECT count(*) FROM media_contents WHERE sha256 IS NOT NULL";
        let settled: Result<_, SqlError> = scene.server.d1().row(settled, &[], |row| row.int(0));
        assert_eq!(settled, Ok(Some(scene.server.r2_keys().len() as i64)));
        assert_eq!(rows(&scene, "media_contents"), scene.server.r2_keys().len() as i64);
    }
}

#[test]
fn what_was_created_can_be_uploaded_once_by_its_creator() {
    let scene = one_server();
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    let created = scene.send(Some(&alice), CREATE, String::new()).ok();
    let (id, now) = (media_id(&created), scene.simulation.now());
    assert!(created["unused_expires_at"].as_u64().unwrap() > now);
    let path = format!("{DOWNLOAD}/example.org/{id}?timeout_ms=2000");
    Answer::of(read(&scene, &bob, &path)).refused(504, "M_NOT_YET_UPLOADED");
    assert!(scene.simulation.now() >= now + 2000);
    let line = format!("PUT {UPLOAD}/example.org/{id}?filename=c");
    let put = |user| Answer::of(asked(&scene, user, &line, &[("content-type", "image/png")], "c"));
    put(&bob).refused(403, "M_FORBIDDEN");
    put(&alice).ok();
    put(&alice).refused(409, "M_CANNOT_OVERWRITE_MEDIA");
    let response = read(&scene, &bob, &path);
    assert!(response.status() == 200 && response.body() == "c");
    assert_eq!(header(&response, "content-disposition"), Some("inline; filename=c"));
    for (server, id) in [("example.org", "unknown"), ("else.where", &*id)] {
        let line = format!("PUT {UPLOAD}/{server}/{id}");
        scene.send(Some(&alice), &line, String::new()).refused(404, "M_NOT_FOUND");
    }
}

#[test]
fn who_waits_gets_what_is_uploaded_meanwhile() {
    let scene = one_server();
    let alice = scene.register("alice");
    let id = media_id(&scene.send(Some(&alice), CREATE, String::new()).ok());
    let path = format!("{DOWNLOAD}/example.org/{id}");
    let waits = alice.server.request(alice.request(("GET", &path), ""));
    let path = format!("{UPLOAD}/example.org/{id}");
    let uploads = async {
        scene.server.world().sleep(Duration::from_secs(5)).await;
        alice.server.request(alice.request(("PUT", &path), "late")).await
    };
    let (got, put) =
        scene.simulation.run(async { futures_util::future::join(waits, uploads).await });
    Answer::of(put.unwrap()).ok();
    assert_eq!(got.unwrap().body(), "late");
}

#[test]
fn so_many_uploads_may_be_pending_and_they_expire() {
    let scene = one_server();
    let alice = scene.register("alice");
    let create = || scene.send(Some(&alice), CREATE, String::new());
    let first = media_id(&create().ok());
    for _ in 0..4 {
        create().ok();
    }
    let wait = create().refused(429, "M_LIMIT_EXCEEDED")["retry_after_ms"].as_u64().unwrap();
    scene.pass(wait + 1000);
    let line = format!("PUT {UPLOAD}/example.org/{first}");
    scene.send(Some(&alice), &line, String::new()).refused(404, "M_NOT_FOUND");
    let path = format!("{DOWNLOAD}/example.org/{first}");
    Answer::of(read(&scene, &alice, &path)).refused(404, "M_NOT_FOUND");
    clean_after(&scene, &alice, 1000);
    assert_eq!(rows(&scene, "media"), 1);
    create().ok();
}

#[test]
fn a_user_keeps_no_more_than_the_quota() {
    let scene = one_server_with(&[("MEDIA_QUOTA", "10")]);
    let (alice, bob) = (scene.register("alice"), scene.register("bob"));
    uploaded(&scene, &alice, "", "a/b", "12345");
    let upload = |user, body: &str| {
        Answer::of(asked(&scene, user, &format!("POST {UPLOAD}"), &[], body.to_owned()))
    };
    upload(&alice, "123456").refused(403, "M_FORBIDDEN");
    let id = media_id(&scene.send(Some(&alice), CREATE, String::new()).ok());
    let line = format!("PUT {UPLOAD}/example.org/{id}");
    scene.send(Some(&alice), &line, "123456".to_owned()).refused(403, "M_FORBIDDEN");
    scene.send(Some(&alice), &line, "54321".to_owned()).ok();
    upload(&alice, "1").refused(403, "M_FORBIDDEN");
    upload(&bob, "123456").ok();
    assert_eq!(scene.server.r2_keys().len(), 3);
}

#[test]
fn who_is_not_logged_in_uploads_nothing() {
    let scene = one_server();
    for line in [&format!("POST {UPLOAD}"), CREATE, &format!("PUT {UPLOAD}/example.org/a")] {
        scene.send(None, line, "x".to_owned()).refused(401, "M_MISSING_TOKEN");
    }
    assert!(scene.server.r2_keys().is_empty());
}

#[test]
fn who_uploads_too_often_is_told_to_wait() {
    let scene = one_server_with(&[("RATE_LIMITS", "on")]);
    let alice = scene.register("alice");
    let line = format!("POST {UPLOAD}");
    let upload = || Answer::of(asked(&scene, &alice, &line, &[], "same"));
    let refused = (0..1000).map(|_| upload()).find(|answer| answer.status != 200).unwrap();
    let wait = refused.refused(429, "M_LIMIT_EXCEEDED")["retry_after_ms"].as_u64().unwrap();
    scene.pass(wait);
    upload().ok();
}

#[test]
fn what_may_still_be_written_is_noted_until_later() {
    let scene = one_server();
    let alice = scene.register("alice");
    scene.simulation.faults(Faults { lost_r2: 500, ..Faults::NONE });
    let line = format!("POST {UPLOAD}");
    let upload = |number: u32| Answer::of(asked(&scene, &alice, &line, &[], number.to_string()));
    let (done, lost): (Vec<_>, Vec<_>) = (0..20).map(upload).partition(Answer::is_ok);
    assert!(!done.is_empty() && !lost.is_empty());
    assert_eq!(rows(&scene, "media_contents"), 20);
    scene.simulation.faults(Faults::NONE);
    clean_after(&scene, &alice, 3 * 86_400);
    assert_eq!(rows(&scene, "media_contents"), rows(&scene, "media"));
}
