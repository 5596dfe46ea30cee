//! Do only events pass that are well-formed and signed by the right servers?

use serde_json::{Value, json, value::to_raw_value};
use tombolo_protocol::{admission::Checked, room_version::RoomVersion};
use tombolo_support::{Peer, Place, Scene, draft, id_of};

use crate::flows::{
    receive::verify::{Dropped, verify},
    tests::ours,
};

/// A message of a peer's user in some room.
fn message(peer: &Peer, version: &RoomVersion, body: &str) -> Value {
    let before = [format!("${}", "b".repeat(43))];
    let place = Place {
        room_id: "!room:elsewhere.test",
        prev_events: &before,
        auth_events: &before,
        depth: 5,
        origin_server_ts: 1,
    };
    let content = json!({ "msgtype": "m.text", "body": body });
    peer.seal(version, &draft(&place, &peer.user("u"), ("m.room.message", None), &content))
}

fn verdicts(
    scene: &Scene,
    version: &'static RoomVersion,
    pdus: &[Value],
) -> Vec<Result<Checked, Dropped>> {
    let raw: Vec<_> = pdus.iter().map(|pdu| to_raw_value(pdu).unwrap()).collect();
    let world = scene.server.world();
    scene.simulation.run(verify(&world, raw.iter().map(|raw| (version, &**raw))))
}

fn two_peers(scene: &Scene) -> [Peer; 2] {
    [("one.test:8448", 1), ("two.test:8448", 2)]
        .map(|(name, seed)| Peer::new(&scene.simulation, name, seed))
}

#[test]
fn events_of_several_servers_hold_and_each_server_is_asked_for_its_keys_once() {
    let (scene, version) = (ours(), RoomVersion::of("11").unwrap());
    let [one, two] = two_peers(&scene);
    let pdus =
        [message(&one, version, "a"), message(&two, version, "b"), message(&one, version, "c")];
    let checked = verdicts(&scene, version, &pdus);
    let ids: Vec<String> =
        checked.into_iter().map(|checked| checked.unwrap().event_id.to_string()).collect();
    assert_eq!(ids, pdus.each_ref().map(|pdu| id_of(version, pdu)));
    assert_eq!((one.times_asked("server"), two.times_asked("server")), (1, 1));
}

#[test]
fn an_event_whose_content_was_changed_is_taken_without_it() {
    let (scene, version) = (ours(), RoomVersion::of("11").unwrap());
    let [one, _] = two_peers(&scene);
    let mut pdu = message(&one, version, "said");
    let id = id_of(version, &pdu);
    pdu["content"]["body"] = json!("never said");
    let checked = verdicts(&scene, version, &[pdu]).remove(0).unwrap();
    assert_eq!(checked.event_id, *id);
    let held: Value = serde_json::from_str(checked.json.get()).unwrap();
    assert_eq!(held["content"], json!({}));
}

#[test]
fn what_its_server_did_not_sign_is_dropped_and_nothing_else() {
    let (scene, version) = (ours(), RoomVersion::of("11").unwrap());
    let [one, two] = two_peers(&scene);
    let good = message(&one, version, "good");
    let mut unsigned = message(&one, version, "unsigned");
    unsigned["signatures"] = json!({});
    let mut foreign = message(&one, version, "foreign");
    foreign["signatures"] = json!({});
    let foreign = two.sign(version, &foreign);
    let silent = message(&Peer::unlisted("silent.test:8448", 9), version, "silent");
    let pdus = [unsigned, foreign, silent, good];
    let verdicts = verdicts(&scene, version, &pdus);
    let held: Vec<bool> = verdicts.iter().map(Result::is_ok).collect();
    assert_eq!(held, [false, false, false, true]);
    for (pdu, verdict) in pdus.iter().zip(&verdicts).take(3) {
        let dropped = verdict.as_ref().unwrap_err();
        assert_eq!(dropped.event_id.as_ref().map(ToString::to_string), Some(id_of(version, pdu)));
    }
}
