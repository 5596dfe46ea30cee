//! Is a large room joined whose servers are all out of reach, so that only a notary knows their keys?

use std::time::Instant;

use http::Method;
use serde_json::{Value, json};

use crate::{
    hosted::Hosted,
    peer::{Peer, ok},
    scene::{OURS, Scene, encode},
};

const MEMBERS: usize = 3000;
const SERVERS: usize = 300;
/// What one message to an object may have (bytes).
const LARGEST: usize = 1 << 20;

fn server_of(number: usize) -> Peer {
    let server = number % SERVERS;
    Peer::unlisted(&format!("s{server}.test:8448"), u8::try_from(server % 250).unwrap())
}

/// Every member's join, signed by the member's server.
fn fill(scene: &Scene, hosted: &Hosted) {
    let someone = scene.evil.user("someone");
    let content =
        json!({ "membership": "join", "displayname": "One of very many members of a large room" });
    let pattern = hosted.event(&scene.evil, &someone, "m.room.member", Some(&someone), &content);
    for number in 0..MEMBERS {
        let server = server_of(number);
        let user = server.user(&format!("u{number}"));
        let mut pdu = pattern.clone();
        pdu["sender"] = json!(user);
        pdu["state_key"] = json!(user);
        let last = hosted.events.borrow().last().unwrap().clone();
        pdu["prev_events"] = json!([hosted.id(&last)]);
        pdu["depth"] = json!(last["depth"].as_u64().unwrap() + 1);
        hosted.events.borrow_mut().push(server.seal(scene.version, &pdu));
    }
}

/// The notary vouches for the keys of the members' servers.
fn vouch(scene: &Scene) {
    let (notary, until) = (scene.notary.clone(), scene.simulation.now() + 86_400_000);
    scene.notary.on("query", move |asked| {
        let Value::Object(names) = &asked.body["server_keys"] else { return ok(&json!({})) };
        let keys: Vec<Value> = (0..SERVERS)
            .map(server_of)
            .filter(|server| names.contains_key(server.name()))
            .map(|server| {
                let mut keys = server.published(until);
                notary.key().sign_json(&mut keys, notary.name());
                serde_json::to_value(&keys).unwrap()
            })
            .collect();
        ok(&json!({ "server_keys": keys }))
    });
}

/// The largest message to an object of our server, and which it was.
fn largest_message(transcript: &str) -> (usize, String) {
    let message = |line: &str| {
        let (question, _) = line.split_once(" → ")?;
        let mut words = question.splitn(5, ' ').skip(1);
        let (server, object, name) = (words.next()?, words.next()?, words.next()?);
        let is_object = server == OURS && object.contains('/');
        is_object.then(|| (words.next().unwrap_or_default().len(), format!("{name} to {object}")))
    };
    transcript.lines().filter_map(message).max().unwrap_or_default()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it really takes is the question")]
fn a_large_room_is_joined() {
    let scene = Scene::bare("11");
    let hosted = Hosted::new(&scene, &scene.evil);
    fill(&scene, &hosted);
    vouch(&scene);
    let honest = hosted.answer();
    hosted.give_altered(&scene.evil, move |asked, _| {
        let mut answer = honest.clone();
        answer["event"] = asked.body.clone();
        answer
    });
    let template = hosted.template(&format!("@alice:{OURS}"), "join");
    scene.evil.on("make_join", move |_| ok(&template));
    scene.simulation.record();
    let (began, at) = (Instant::now(), scene.simulation.now());
    let answer = hosted.join(&scene, &scene.evil);
    let (took, simulated) = (began.elapsed(), scene.simulation.now() - at);
    assert_eq!(answer.status, 200, "{answer:?}");
    let (largest, which) = largest_message(&scene.simulation.transcript());
    println!(
        "{MEMBERS} members of {SERVERS} servers: joined in {took:?}, {simulated} ms of the simulation"
    );
    println!("the largest message to an object has {largest} bytes: {which}");
    assert!((1..=LARGEST).contains(&largest), "{which} has {largest} bytes");
    let path = format!("/_matrix/client/v3/rooms/{}/joined_members", encode(&hosted.room));
    let members = scene.alice(&Method::GET, &path, &Value::Null);
    let joined = members.body["joined"].as_object().unwrap();
    assert_eq!(joined.len(), MEMBERS + 2);
    assert!(
        (0..MEMBERS)
            .all(|number| joined.contains_key(&server_of(number).user(&format!("u{number}"))))
    );
    hosted.hears(&scene, &scene.evil);
}
