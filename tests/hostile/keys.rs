//! Which keys are believed? (KEY)

use serde_json::{Value, json};
use tombolo_protocol::{
    server_keys::{ServerKeys, publish},
    signing::{SigningKey, encode},
    x_matrix::Authorization,
};
use tombolo_support::{Peer, Reply, canonical, hash, ok, refusal};

use crate::scene::{HostileScene, OURS};

/// What becomes of a signed request of a server that publishes its keys so.
fn status(scene: &HostileScene, number: u8, script: impl Fn(&Peer) -> Reply + 'static) -> u16 {
    let peer = Peer::new(&scene.simulation, &format!("k{number}.test:8448"), number);
    let answering = peer.clone();
    peer.on("server", move |_| script(&answering));
    let ask =
        |body: &Value| scene.signed(&peer, "PUT /_matrix/federation/v1/send/x", Some(body)).status;
    let status = ask(&json!({ "pdus": [] }));
    assert_eq!(ask(&json!({ "pdus": [] })), status);
    status
}

fn altered(now: u64, alter: impl Fn(&mut Value) + 'static) -> impl Fn(&Peer) -> Reply {
    move |peer| {
        let mut keys = serde_json::to_value(peer.published(now + 3_600_000)).unwrap();
        keys.as_object_mut().unwrap().remove("signatures");
        alter(&mut keys);
        let mut object = canonical(&keys);
        peer.key().sign_json(&mut object, peer.name());
        ok(&serde_json::to_value(&object).unwrap())
    }
}

#[test]
fn only_a_server_that_signs_for_itself_is_believed() {
    let scene = HostileScene::new("11");
    let now = scene.simulation.now();
    assert_eq!(status(&scene, 100, altered(now, |_| {})), 200);
    assert_eq!(
        status(&scene, 101, altered(now, |keys| keys["server_name"] = json!("evil.test:8448"))),
        401
    );
    assert_eq!(status(&scene, 102, altered(now, |keys| keys["server_name"] = json!(5))), 401);
    assert_eq!(status(&scene, 103, altered(now, |keys| keys["verify_keys"] = json!({}))), 401);
    assert_eq!(status(&scene, 104, altered(now, |keys| keys["verify_keys"] = json!([]))), 401);
    assert_eq!(
        status(&scene, 105, altered(now, |keys| keys["valid_until_ts"] = json!("soon"))),
        401
    );
    assert_eq!(
        status(&scene, 106, altered(now, move |keys| keys["valid_until_ts"] = json!(now - 1))),
        401
    );
    assert_eq!(
        status(
            &scene,
            107,
            altered(now, |keys| keys["verify_keys"]["ed25519:k"]["key"] = json!("AAAA"))
        ),
        401
    );
    assert_eq!(
        status(&scene, 108, altered(now, |keys| keys["verify_keys"]["ed25519:k"] = json!(5))),
        401
    );
    scene.goes_on();
}

#[test]
fn an_answer_that_is_no_list_of_keys_is_not_believed() {
    let scene = HostileScene::new("11");
    let now = scene.simulation.now();
    let unsigned = |peer: &Peer| {
        let mut keys = serde_json::to_value(peer.published(4_000_000_000_000)).unwrap();
        keys["signatures"] = json!({});
        ok(&keys)
    };
    assert_eq!(status(&scene, 109, unsigned), 401);
    let by_another = |peer: &Peer| {
        let mut keys = peer.published(4_000_000_000_000);
        keys.remove("signatures");
        Peer::unlisted("x.test", 1).key().sign_json(&mut keys, peer.name());
        ok(&serde_json::to_value(&keys).unwrap())
    };
    assert_eq!(status(&scene, 110, by_another), 401);
    assert_eq!(status(&scene, 111, |_| refusal(500, "M_UNKNOWN")), 401);
    assert_eq!(status(&scene, 112, |_| Reply { status: 200, body: "<html>".into() }), 401);
    assert_eq!(
        status(&scene, 113, |_| Reply { status: 200, body: vec![b' '; 20 << 20].into() }),
        401
    );
    assert_eq!(status(&scene, 114, |_| Reply { status: 302, body: "".into() }), 401);
    assert_eq!(status(&scene, 115, |_| ok(&json!([]))), 401);
    assert_eq!(
        status(
            &scene,
            116,
            altered(now, |keys| keys["valid_until_ts"] = json!(253_402_300_799_000_u64))
        ),
        200
    );
    scene.goes_on();
}

#[test]
fn a_live_key_keeps_its_bytes() {
    let scene = HostileScene::new("11");
    let usurper = Peer::unlisted(scene.evil.name(), 66);
    let published = usurper.clone();
    scene.evil.on("server", move |_| {
        ok(&serde_json::to_value(published.published(4_000_000_000_000)).unwrap())
    });
    let mut unknown = scene.message();
    let signature = unknown["signatures"][scene.evil.name()]["ed25519:k"].clone();
    unknown["signatures"] = json!({ scene.evil.name(): { "ed25519:new": signature } });
    scene.dropped("an event that makes us ask for keys", &unknown);
    let draft = scene.draft(
        &scene.evil.user("mallory"),
        "m.room.message",
        None,
        &json!({ "body": "usurped" }),
    );
    scene.dropped("KEY3 other bytes under the same ID", &usurper.seal(scene.version, &draft));
    let answer = scene.transaction(&usurper_at(&scene), &[], &[]);
    assert_eq!(answer.status, 401, "KEY3 {answer:?}");
    scene.goes_on();
}

fn usurper_at(scene: &HostileScene) -> Peer {
    Peer::unlisted(scene.evil.name(), 66)
}

#[test]
fn who_gives_events_does_not_vouch_for_them() {
    for trusted in [false, true] {
        let scene = HostileScene::bare("11");
        let hosted = scene.hosted(&scene.evil);
        let victim = Peer::unlisted("victim.test:8448", 40);
        let user = victim.user("victim");
        let join = json!({ "membership": "join" });
        hosted.say(&victim, &user, ("m.room.member", Some(&user)), &join);
        hosted.give(&scene.evil);
        let notary = if trusted { &scene.notary } else { &scene.evil };
        let (vouching, until) = (notary.clone(), scene.simulation.now() + 86_400_000);
        notary.on("query", move |_| {
            let mut keys = victim.published(until);
            vouching.key().sign_json(&mut keys, vouching.name());
            ok(&json!({ "server_keys": [serde_json::to_value(&keys).unwrap()] }))
        });
        assert_eq!(scene.join(&hosted, &scene.evil).status, 200);
        let member = scene.membership(&hosted.room, &user);
        assert_eq!(member, if trusted { "join" } else { "" }, "KEY4 trusted: {trusted}");
        let says = json!({ "body": "after the join" });
        hosted.say(&scene.evil, &hosted.creator, ("m.room.message", None), &says);
        scene.hears(&hosted, &scene.evil);
    }
}

#[test]
fn a_notary_vouches_for_what_it_was_asked() {
    let scene = HostileScene::new("11");
    let lie = Peer::unlisted(scene.evil.name(), 66);
    let (notary, until) = (scene.notary.clone(), scene.simulation.now() + 86_400_000);
    let published = lie.clone();
    scene.notary.on("query", move |_| {
        let mut keys = published.published(until);
        notary.key().sign_json(&mut keys, notary.name());
        ok(&json!({ "server_keys": [serde_json::to_value(&keys).unwrap()] }))
    });
    let stranger = Peer::unlisted("nowhere.test:8448", 41);
    let content = json!({ "body": "x" });
    let draft = scene.draft(&stranger.user("x"), "m.room.message", None, &content);
    scene.dropped("a server out of reach", &stranger.seal(scene.version, &draft));
    assert!(scene.notary.times_asked("query") > 0, "the notary was not asked");
    let draft = scene.draft(&scene.evil.user("mallory"), "m.room.message", None, &content);
    scene.dropped("KEY4 a key of the notary's making", &lie.seal(scene.version, &draft));
    scene.goes_on();
}

#[test]
fn a_notary_is_asked_for_servers_with_names_only() {
    let scene = HostileScene::new("11");
    let post = |names: Value| {
        let line = "POST /_matrix/key/v2/query";
        scene.call(None, line, &json!({ "server_keys": names }))
    };
    for names in [json!([]), json!("x"), json!({ "a@b": {} }), json!({ "": {} }), json!(5)] {
        let answer = post(names.clone());
        assert!(matches!(answer.status, 200 | 400), "KEY5 {names}: {answer:?}");
    }
    scene.simulation.record();
    let bogus: Value = (0..2000)
        .map(|number| (format!("b{number}.test:8448"), json!({})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let answer = post(bogus);
    assert_eq!(answer.status, 200, "KEY5 {answer:?}");
    assert_eq!(answer.body["server_keys"], json!([]), "KEY5");
    let fetches = scene.simulation.transcript().matches(" fetches ").count();
    assert!((1..=200).contains(&fetches), "KEY5 one question made {fetches} requests");
    let answer = post(json!({ scene.evil.name(): {} }));
    let signatures = &answer.body["server_keys"][0]["signatures"];
    assert!(signatures[scene.evil.name()].is_object(), "KEY4 {answer:?}");
    assert!(signatures[OURS].is_object(), "KEY4 {answer:?}");
    scene.goes_on();
}

/// SIG12: with this key, the neutral element, one signature fits every text.
#[test]
fn a_key_of_small_order_signs_nothing() {
    let scene = HostileScene::new("11");
    let peer = Peer::new(&scene.simulation, "weak.test:8448", 42);
    let mut neutral = [0; 64];
    neutral[0] = 1;
    let (key, signature) = (encode(&neutral[..32]), encode(neutral));
    let universal = signature.clone();
    let published = json!({
        "server_name": peer.name(), "valid_until_ts": scene.simulation.now() + 3_600_000, "old_verify_keys": {},
        "verify_keys": { "ed25519:k": { "key": key } },
        "signatures": { peer.name(): { "ed25519:k": signature } },
    });
    peer.on("server", move |_| ok(&published));
    let path = "/_matrix/federation/v1/send/weak";
    let body = json!({ "pdus": [] });
    let right = peer.authorization(OURS, ("PUT", path), Some(&body));
    let header = Authorization { sig: universal, ..right }.header();
    let answer = scene.raw(&header, &format!("PUT {path}"), body.to_string().into());
    assert_eq!(answer.status, 401, "{answer:?}");
    scene.goes_on();
}

/// What a server published when it had this key, and until when that held.
pub fn published_then(peer: &Peer, (key_id, seed): (&str, u8), until: u64) -> Value {
    let key = SigningKey::from_seed(key_id, [seed; 32]).unwrap();
    let name = peer.name().try_into().unwrap();
    let until = i64::try_from(until).unwrap();
    serde_json::to_value(publish(name, &key, &ServerKeys::default(), until)).unwrap()
}

/// An event of a server that cannot be reached, signed by a key it had.
fn signed_by(scene: &HostileScene, peer: &Peer, (key_id, seed): (&str, u8), ts: u64) -> Value {
    let mut draft = scene.draft(&peer.user("x"), "m.room.message", None, &json!({ "body": "x" }));
    draft["origin_server_ts"] = json!(ts);
    hash(&mut draft);
    let mut object = canonical(&draft);
    let key = SigningKey::from_seed(key_id, [seed; 32]).unwrap();
    key.sign_event(scene.version, &mut object, peer.name());
    serde_json::to_value(&object).unwrap()
}

/// Why an event was not taken in.
fn verdict(scene: &HostileScene, pdu: &Value) -> String {
    let answer = scene.transaction(&scene.evil, std::slice::from_ref(pdu), &[]);
    answer.body["pdus"][scene.id(pdu)]["error"].as_str().unwrap_or_default().to_owned()
}

/// A server that was in the room and is gone.
fn gone(scene: &HostileScene, number: u8) -> Peer {
    let peer = Peer::new(&scene.simulation, &format!("gone{number}.test:8448"), number);
    assert_eq!(scene.enter(&peer, "x").status, 200);
    scene.wait(8 * 86_400);
    scene.simulation.partition(OURS, peer.name(), u64::MAX);
    peer
}

#[test]
fn a_notary_is_asked_for_the_key_and_the_time_that_are_needed() {
    let scene = HostileScene::new("11");
    let peer = gone(&scene, 50);
    let ts = scene.simulation.now();
    verdict(&scene, &signed_by(&scene, &peer, ("ed25519:k", 50), ts));
    let asked = scene.notary.asked("query");
    assert_eq!(asked.len(), 1);
    let criteria = json!({ "ed25519:k": { "minimum_valid_until_ts": ts } });
    assert_eq!(asked[0].body, json!({ "server_keys": { peer.name(): criteria } }));
    scene.goes_on();
}

#[test]
fn of_several_answers_about_a_server_all_count() {
    for oldest_first in [true, false] {
        let scene = HostileScene::new("11");
        let peer = gone(&scene, 51);
        let (now, day) = (scene.simulation.now(), 86_400_000);
        let (first, second) = (("ed25519:first", 52), ("ed25519:second", 53));
        let mut answers =
            [published_then(&peer, first, now - 3 * day), published_then(&peer, second, now + day)];
        if !oldest_first {
            answers.reverse();
        }
        let notary = scene.notary.clone();
        scene.notary.on("query", move |_| {
            let vouched = answers.iter().map(|answer| {
                let mut answer = canonical(answer);
                notary.key().sign_json(&mut answer, notary.name());
                serde_json::to_value(&answer).unwrap()
            });
            // One that does not verify costs only itself.
            let junk = [json!({ "server_name": "x" }), json!(5)];
            ok(&json!({ "server_keys": junk.into_iter().chain(vouched).collect::<Vec<_>>() }))
        });
        let old = signed_by(&scene, &peer, first, now - 4 * day);
        let new = signed_by(&scene, &peer, second, now);
        assert_eq!(verdict(&scene, &new), "", "the second key, oldest first: {oldest_first}");
        assert_eq!(verdict(&scene, &old), "", "the first key, oldest first: {oldest_first}");
        let late = signed_by(&scene, &peer, first, now - 2 * day);
        assert!(verdict(&scene, &late).contains("not valid"), "{}", verdict(&scene, &late));
        scene.goes_on();
    }
}

#[test]
fn an_answer_past_its_time_verifies_what_is_older() {
    let scene = HostileScene::new("11");
    let peer = Peer::new(&scene.simulation, "past.test:8448", 54);
    assert_eq!(scene.enter(&peer, "x").status, 200);
    let key = ("ed25519:before", 55);
    let until = scene.simulation.now() + 1000;
    let answer = published_then(&peer, key, until);
    peer.on("server", move |_| ok(&answer));
    scene.wait(3600);
    assert_eq!(verdict(&scene, &signed_by(&scene, &peer, key, until - 1)), "");
    assert_ne!(verdict(&scene, &signed_by(&scene, &peer, key, until + 1)), "");
    scene.goes_on();
}
