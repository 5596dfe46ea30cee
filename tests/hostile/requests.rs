//! Which requests are believed to be of the server they name? (XM)

use bytes::Bytes;
use serde_json::{Value, json};
use tombolo_protocol::x_matrix::Authorization;
use tombolo_support::{Answer, Peer, encode, ok};

use crate::scene::{HostileScene, OURS};

/// What a peer in the room may ask: the state before an event.
fn path(scene: &HostileScene) -> String {
    format!(
        "/_matrix/federation/v1/state_ids/{}?event_id={}",
        encode(&scene.room),
        encode(&scene.extremities()[0])
    )
}

fn get(scene: &HostileScene, path: &str, header: &str) -> Answer {
    scene.raw(header, &format!("GET {path}"), Bytes::new())
}

fn refused(what: &str, answer: &Answer) {
    assert!(matches!(answer.status, 400 | 401 | 403), "{what}: {answer:?}");
    assert!(answer.body["errcode"].is_string(), "{what}: {answer:?}");
}

fn right(scene: &HostileScene, path: &str) -> Authorization {
    scene.evil.authorization(OURS, ("GET", path), None)
}

#[test]
fn a_request_is_what_was_signed() {
    let scene = HostileScene::new("11");
    let path = path(&scene);
    assert_eq!(get(&scene, &path, &right(&scene, &path).header()).status, 200);
    let elsewhere = format!("/_matrix/federation/v1/state_ids/{}?event_id=x", encode(&scene.room));
    for (what, signed) in [
        ("another path", right(&scene, "/_matrix/federation/v1/version")),
        ("another query", right(&scene, &elsewhere)),
        ("another method", scene.evil.authorization(OURS, ("PUT", &path), None)),
        ("another destination", scene.evil.authorization("third.test:8448", ("GET", &path), None)),
        ("a body", scene.evil.authorization(OURS, ("GET", &path), Some(&json!({})))),
        ("another's key", scene.third.authorization(OURS, ("GET", &path), None)),
    ] {
        let origin = scene.evil.name().try_into().unwrap();
        let header =
            Authorization { origin, destination: Some(OURS.to_owned()), ..signed }.header();
        refused(&format!("XM1 {what}"), &get(&scene, &path, &header));
    }
    let claimed =
        Authorization { destination: Some("third.test:8448".to_owned()), ..right(&scene, &path) };
    refused("XM1 for another", &get(&scene, &path, &claimed.header()));
    let spelled = path.replacen("%3A", ":", 1);
    assert_ne!(spelled, path);
    refused("XM7 spelled otherwise", &get(&scene, &spelled, &right(&scene, &path).header()));
    assert_eq!(get(&scene, &spelled, &right(&scene, &spelled).header()).status, 200, "XM7");
    scene.goes_on();
}

#[test]
fn a_body_is_what_was_signed() {
    let scene = HostileScene::new("11");
    let pdu = scene.message();
    let path = "/_matrix/federation/v1/send/replayed";
    let honest = json!({ "pdus": [], "edus": [] });
    let header = scene.evil.authorization(OURS, ("PUT", path), Some(&honest)).header();
    let altered = json!({ "pdus": [pdu], "edus": [] });
    let answer = scene.raw(&header, &format!("PUT {path}"), altered.to_string().into());
    assert_eq!(answer.status, 401, "XM1 {answer:?}");
    assert!(scene.held(&scene.id(&pdu)).is_none(), "XM1 the event came in");
    let answer = scene.raw(&header, &format!("PUT {path}"), Bytes::new());
    refused("XM1 no body", &answer);
    let header = scene.evil.authorization(OURS, ("PUT", path), None).header();
    let answer = scene.raw(&header, &format!("PUT {path}"), altered.to_string().into());
    assert_eq!(answer.status, 401, "XM1 a body nobody signed: {answer:?}");
    scene.goes_on();
}

#[test]
fn a_header_has_a_form() {
    let scene = HostileScene::new("11");
    let path = path(&scene);
    let Authorization { origin, key, sig, .. } = right(&scene, &path);
    let evil = origin.as_str();
    let long = "x".repeat(65_536);
    for header in [
        "",
        "X-Matrix",
        "Bearer abc",
        &format!("X-Matrix origin=\"{evil}\",key=\"{key}\""),
        &format!("X-Matrix origin=\"{evil}\",sig=\"{sig}\""),
        &format!("X-Matrix key=\"{key}\",sig=\"{sig}\""),
        &format!("X-Matrix origin=\"{evil}\",key=\"{key}\",sig=\"?\""),
        &format!("X-Matrix origin=\"{evil}\",key=\"k\",sig=\"{sig}\""),
        &format!("X-Matrix origin=\"{evil}\",key=\"{key}\",sig=\"{sig}"),
        &format!("X-Matrix origin=\"{evil}\" key=\"{key}\" sig=\"{sig}\""),
        &format!("X-Matrix origin=\"{evil}\",key=\"{key}\",sig=\"{sig}\",x=\"{long}\""),
        &format!(
            "X-Matrix origin=\"{evil}\",origin=\"third.test:8448\",key=\"{key}\",sig=\"{sig}\""
        ),
        &format!(
            "X-Matrix origin=\"third.test:8448\",origin=\"{evil}\",key=\"{key}\",sig=\"{sig}\""
        ),
        &format!(
            "X-Matrix origin=\"{evil}\",destination=\"{OURS}\",destination=\"x.test\",key=\"{key}\",sig=\"{sig}\""
        ),
        &format!("X-Matrix origin=\"{evil}\",key=\"{key}\",sig=\"{sig}\",sig=\"AAAA\""),
        &format!("X-Matrix origin=\"{OURS}\",key=\"ed25519:a\",sig=\"{sig}\""),
    ] {
        refused(
            &format!("XM4 XM5 {}", header.chars().take(200).collect::<String>()),
            &get(&scene, &path, header),
        );
    }
    let answer = scene.call(None, &format!("GET {path}"), &Value::Null);
    assert_eq!(answer.status, 401, "XM1 no header: {answer:?}");
    scene.goes_on();
}

#[test]
fn a_header_may_be_written_in_many_ways() {
    let scene = HostileScene::new("11");
    let path = path(&scene);
    let Authorization { origin, key, sig, .. } = right(&scene, &path);
    for header in [
        format!("x-matrix origin={origin},destination={OURS},key={key},sig={sig}"),
        format!("X-MATRIX SIG=\"{sig}\" ,\t Key=\"{key}\",ORIGIN=\"{origin}\""),
        format!("X-Matrix  origin=\"{origin}\",key=\"{key}\",sig=\"{sig}\",x=\"y\",z=w"),
        format!("X-Matrix origin=\"\\e{}\",key=\"{key}\",sig=\"{sig}\"", &origin.as_str()[1..]),
    ] {
        let answer = get(&scene, &path, &header);
        assert_eq!(answer.status, 200, "XM2 XM3 {header}: {answer:?}");
    }
    scene.goes_on();
}

#[test]
fn no_request_goes_out_to_what_is_no_server_name() {
    let scene = HostileScene::new("11");
    scene.simulation.record();
    let path = path(&scene);
    let Authorization { key, sig, .. } = right(&scene, &path);
    for name in [
        "a@127.0.0.1:1",
        "evil.test/../x",
        "",
        "a b",
        "evil.test:99999",
        "[::1",
        "a_b.test",
        "evil.test:8448:1",
        "evil.test?x",
    ] {
        let header = format!("X-Matrix origin=\"{name}\",key=\"{key}\",sig=\"{sig}\"");
        let answer = get(&scene, &path, &header);
        assert_eq!(answer.status, 400, "XM6 {name}: {answer:?}");
    }
    let transcript = scene.simulation.transcript();
    assert!(transcript.contains("state_ids"), "nothing was recorded");
    assert!(!transcript.contains(" fetches "), "XM6 a look-up went out");
    scene.goes_on();
}

#[test]
fn an_expired_key_signs_no_request() {
    let scene = HostileScene::new("11");
    let peer = Peer::new(&scene.simulation, "old.test:8448", 21);
    let (published, until) = (peer.clone(), scene.simulation.now() + 3_600_000);
    peer.on("server", move |_| ok(&serde_json::to_value(published.published(until)).unwrap()));
    let ask = || {
        let line = "PUT /_matrix/federation/v1/send/x";
        let body = json!({ "pdus": [] });
        scene.signed(&peer, line, Some(&body)).status
    };
    assert_eq!(ask(), 200);
    scene.wait(7200);
    assert_eq!(ask(), 401, "XM1 an expired key");
    scene.goes_on();
}

#[test]
fn a_profile_is_asked_for_by_fields_that_exist() {
    let scene = HostileScene::new("11");
    let user = encode(&format!("@alice:{OURS}"));
    let ask = |field: &str| {
        let line = format!("GET /_matrix/federation/v1/query/profile?user_id={user}{field}");
        scene.signed(&scene.evil, &line, None)
    };
    let line = format!("PUT /_matrix/client/v3/profile/{user}/displayname");
    assert_eq!(
        scene.call(Some(&scene.alice), &line, &json!({ "displayname": "Alice" })).status,
        200
    );
    assert_eq!(ask("&field=displayname").body, json!({ "displayname": "Alice" }));
    assert_eq!(ask("").body, json!({ "displayname": "Alice" }));
    for field in ["avatar_url", "org.unknown", ""] {
        ask(&format!("&field={field}")).refused(404, "M_NOT_FOUND");
    }
}

#[test]
fn a_path_that_names_no_identifier_is_refused() {
    let scene = HostileScene::new("11");
    let room = encode(&scene.room);
    for (what, path) in [
        ("event ID", "event/x".to_owned()),
        ("room ID", "state/x?event_id=$a".to_owned()),
        ("event ID", format!("event_auth/{room}/x")),
        ("event ID", format!("backfill/{room}?v=x&limit=1")),
        ("user ID", format!("make_join/{room}/x")),
    ] {
        let path = format!("/_matrix/federation/v1/{path}");
        let answer = scene.signed(&scene.evil, &format!("GET {path}"), None);
        assert_eq!(answer.text("error").unwrap(), format!("The {what} has no form"), "{path}");
        answer.refused(400, "M_INVALID_PARAM");
    }
}
