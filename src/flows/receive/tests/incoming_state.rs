//! Is what another server gives as a room's state ordered, and what of it does not hold left out and named?

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedEventId, ServerName};
use serde_json::{Value, json};
use tombolo_protocol::room_version::RoomVersion;
use tombolo_support::{Dice, Hosted, Peer, Scene};

use crate::flows::{
    receive::incoming_state::{IncomingState, Slice},
    tests::{PEER, ours, room_id},
};

/// The most events that are given to a room at once.
const SLICE: usize = 400;

/// A room that lies on a peer, and another server whose user is in it.
struct Given {
    scene: Scene,
    peer: Peer,
    hosted: Hosted,
    /// Its state, and what authorises it.
    state: Vec<Value>,
    chain: Vec<Value>,
}

impl Given {
    fn new(version: &str) -> Self {
        let scene = ours();
        let peer = Peer::new(&scene.simulation, PEER, 3);
        let hosted = Hosted::new(&scene, &peer, RoomVersion::of(version).unwrap());
        let mut given = Self { scene, peer, hosted, state: Vec::new(), chain: Vec::new() };
        given.take_answer();
        given
    }

    fn take_answer(&mut self) {
        let mut answer = self.hosted.answer();
        let mut list = |name: &str| answer[name].as_array_mut().map(std::mem::take).unwrap();
        (self.state, self.chain) = (list("state"), list("auth_chain"));
    }

    /// An event of a user of another server, who is in the room.
    fn of_another(&mut self, other: &Peer, (kind, key): (&str, &str), content: &Value) -> String {
        let user = other.user("user");
        let member = ("m.room.member", Some(&*user));
        self.hosted.say(other, &user, member, &json!({ "membership": "join" }));
        let pdu = self.hosted.say(other, &user, (kind, Some(key)), content);
        self.take_answer();
        self.hosted.id(&pdu)
    }

    /// Takes the signatures off the events of the state that these are.
    fn unsign(&mut self, of: impl Fn(&Value) -> bool) -> Vec<String> {
        let lists = self.state.iter_mut().chain(&mut self.chain);
        lists.filter(|pdu| of(pdu)).for_each(|pdu| pdu["signatures"] = json!({}));
        self.state.iter().filter(|pdu| of(pdu)).map(|pdu| self.hosted.id(pdu)).collect()
    }

    /// What is read of it, in the order in which these come: whether as state, and the event.
    fn read_in(&self, order: &[(bool, &Value)]) -> Vec<Slice> {
        let world = self.scene.server.world();
        let giver = <&ServerName>::try_from(PEER).unwrap();
        let room_id = room_id(&self.hosted.room);
        self.scene.simulation.run(async {
            let mut incoming = IncomingState::new(&world, &room_id, self.hosted.version, giver);
            for (is_state, pdu) in order {
                incoming.add(pdu.to_string().as_bytes(), *is_state).await.unwrap();
            }
            let (mut ordered, mut slices) = (incoming.ordered().await.unwrap(), Vec::new());
            while let Some(slice) = ordered.next().await.unwrap() {
                slices.push(slice);
            }
            ordered.forget().await;
            slices
        })
    }

    fn all(&self) -> Vec<(bool, &Value)> {
        let state = self.state.iter().map(|pdu| (true, pdu));
        state.chain(self.chain.iter().map(|pdu| (false, pdu))).collect()
    }

    fn read(&self) -> Vec<Slice> {
        self.read_in(&self.all())
    }

    /// What the events cite, by ID.
    fn citations(&self) -> BTreeMap<String, BTreeSet<String>> {
        let create = |pdu: &Value| pdu["type"] == "m.room.create";
        let create = self.state.iter().find(|pdu| create(pdu)).map(|pdu| self.hosted.id(pdu));
        let cited = |pdu: &Value| {
            let cited = pdu["auth_events"].as_array().unwrap().iter();
            let cited = cited.map(|id| id.as_str().unwrap().to_owned()).chain(create.clone());
            cited.filter(|id| *id != self.hosted.id(pdu)).collect()
        };
        self.all().into_iter().map(|(_, pdu)| (self.hosted.id(pdu), cited(pdu))).collect()
    }
}

fn ids(slices: &[Slice]) -> Vec<String> {
    slices.iter().flat_map(|slice| &slice.events).map(|event| event.event_id.to_string()).collect()
}

fn texts<'a>(ids: impl IntoIterator<Item = &'a OwnedEventId>) -> Vec<String> {
    ids.into_iter().map(ToString::to_string).collect()
}

/// What was left out of the state: that without which there is none, and others.
fn left_out(slices: &[Slice]) -> (Vec<String>, Vec<String>) {
    let lost = slices.iter().filter_map(|slice| slice.lost.as_ref()?.event_id.as_ref());
    (texts(lost), texts(slices.iter().flat_map(|slice| &slice.unverified)))
}

#[test]
fn each_event_comes_once_after_those_it_cites_in_whatever_order_they_were_given() {
    for (version, seed) in
        ["6", "11", "12"].into_iter().flat_map(|id| (0..10).map(move |n| (id, n)))
    {
        let (given, dice) = (Given::new(version), Dice::new(seed, 0));
        let mut order = given.all();
        for place in (1..order.len()).rev() {
            order.swap(place, dice.below(place + 1));
        }
        let slices = given.read_in(&order);
        let (ids, citations) = (ids(&slices), given.citations());
        for (place, id) in ids.iter().enumerate() {
            let before: BTreeSet<String> = ids[..place].iter().cloned().collect();
            assert!(citations[id].is_subset(&before), "{version} {seed}");
        }
        assert_eq!(ids.iter().collect::<BTreeSet<_>>(), citations.keys().collect());
        assert_eq!(ids.len(), citations.len());
        let state: BTreeSet<String> = given.state.iter().map(|pdu| given.hosted.id(pdu)).collect();
        assert_eq!(texts(slices.iter().flat_map(|slice| &slice.state)), Vec::from_iter(state));
        assert_eq!(left_out(&slices), Default::default());
    }
}

#[test]
fn what_is_no_event_is_passed_over() {
    let given = Given::new("11");
    let junk = [json!(5), json!("x"), json!({}), json!({ "type": "m.room.name" })];
    let mut order = given.all();
    order.extend(junk.iter().flat_map(|junk| [(true, junk), (false, junk)]));
    let slices = given.read_in(&order);
    assert_eq!(ids(&slices).len(), given.citations().len());
    assert_eq!(left_out(&slices), Default::default());
}

#[test]
fn an_event_that_cannot_be_verified_is_left_out_and_named_if_it_is_of_the_state() {
    let mut given = Given::new("11");
    let silent = Peer::unlisted("silent.test:8448", 9);
    let name = given.of_another(&silent, ("m.room.name", ""), &json!({ "name": "silent" }));
    let slices = given.read();
    let (lost, mut unverified) = left_out(&slices);
    assert!(lost.is_empty());
    let member = |pdu: &&Value| pdu["sender"] == silent.user("user");
    let mut expected: Vec<String> =
        given.state.iter().filter(member).map(|pdu| given.hosted.id(pdu)).collect();
    assert!(expected.contains(&name) && expected.len() == 2);
    unverified.sort();
    expected.sort();
    assert_eq!(unverified, expected);
    assert_eq!(ids(&slices).len(), given.citations().len() - 2);
    // What only authorises is not missed.
    let chain: Vec<(bool, &Value)> = given.all().into_iter().map(|(_, pdu)| (false, pdu)).collect();
    assert_eq!(left_out(&given.read_in(&chain)), Default::default());
}

#[test]
fn without_who_may_do_what_and_who_comes_in_there_is_no_state() {
    for (kind, content) in [
        ("m.room.power_levels", json!({ "users": {} })),
        ("m.room.join_rules", json!({ "join_rule": "public" })),
    ] {
        let mut given = Given::new("11");
        let silent = Peer::unlisted("silent.test:8448", 9);
        let needed = given.of_another(&silent, (kind, ""), &content);
        assert_eq!(left_out(&given.read()).0, [needed], "{kind}");
    }
    for kind in ["m.room.create", "m.room.power_levels", "m.room.join_rules"] {
        let mut given = Given::new("11");
        let needed = given.unsign(|pdu| pdu["type"] == kind);
        assert_eq!(left_out(&given.read()), (needed, Vec::new()), "{kind}");
    }
}

#[test]
fn events_that_the_giver_itself_did_not_sign_are_left_out_like_others() {
    for kind in ["m.room.member", "m.room.history_visibility"] {
        let mut given = Given::new("11");
        let unsigned = given.unsign(|pdu| pdu["type"] == kind);
        assert_eq!(left_out(&given.read()), (Vec::new(), unsigned), "{kind}");
    }
}

#[test]
fn events_of_another_server_hold_where_it_says_its_keys() {
    let mut given = Given::new("11");
    let other = Peer::new(&given.scene.simulation, "other.test:8448", 9);
    let name = given.of_another(&other, ("m.room.name", ""), &json!({ "name": "other" }));
    let slices = given.read();
    assert_eq!(left_out(&slices), Default::default());
    assert!(ids(&slices).contains(&name));
    assert_eq!((other.times_asked("server"), given.peer.times_asked("server")), (1, 1));
}

#[test]
fn a_large_state_comes_in_parts_that_are_not_too_large() {
    let mut given = Given::new("11");
    let (peer, mallory) = (given.peer.clone(), given.hosted.creator.clone());
    for (count, bytes) in [(600, 10), (40, 50_000)] {
        for number in 0..count {
            let (key, content) = (format!("{bytes} {number}"), json!({ "x": "x".repeat(bytes) }));
            let of = ("org.example.many", Some(&*key));
            let pdu = given.hosted.event(&peer, &mallory, of, &content);
            given.state.push(pdu);
        }
    }
    let slices = given.read();
    assert_eq!(ids(&slices).len(), given.citations().len());
    for slice in &slices {
        let bytes: usize = slice.events.iter().map(|event| event.json.get().len()).sum();
        assert!(slice.events.len() <= SLICE && bytes <= 512 << 10, "{}", slice.events.len());
    }
    assert!((6..10).contains(&slices.len()), "{}", slices.len());
}
