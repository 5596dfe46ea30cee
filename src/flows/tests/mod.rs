//! What do the tests of flows share? Servers of ours, a scripted peer, and users in rooms.

mod due;

use std::{collections::BTreeMap, rc::Rc};

use ruma::{OwnedRoomId, RoomId};
use serde_json::{Value, json};
use tombolo_protocol::room_version::RoomVersion;
use tombolo_support::{
    Pair, Peer, Place, Scene, User, cited, draft, encode, id_of, ok, refusal, text,
};

use crate::app::Tombolo;

pub const OURS: &str = "ours.test:8448";
pub const OTHER: &str = "other.test:8448";
pub const PEER: &str = "peer.test:8448";

/// A server of ours.
pub fn ours() -> Scene {
    Scene::new(Rc::new(Tombolo), OURS, &[])
}

/// Two servers of ours; alice is on the first, bob on the other.
pub fn two_servers() -> Pair {
    Pair::new(Rc::new(Tombolo), [OURS, OTHER])
}

/// A public room of alice that bob has joined, of which everybody has heard.
pub fn meet(two: &Pair) -> String {
    let room = two.meet(json!({}));
    two.scene.simulation.settle(60_000);
    room
}

/// A public room of alice that a user of a peer has joined.
pub struct Guest {
    pub scene: Scene,
    pub alice: User,
    pub peer: Peer,
    pub user: String,
    pub room: String,
    pub version: &'static RoomVersion,
    /// By type and state key: the IDs of the room's state.
    pub state: BTreeMap<(String, String), String>,
    /// The guest's join.
    pub joined: String,
}

impl Guest {
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// The same; `variables` are of our server.
    pub fn with(variables: &[(&str, &str)]) -> Self {
        let scene = Scene::new(Rc::new(Tombolo), OURS, variables);
        let (alice, peer) = (scene.register("alice"), Peer::new(&scene.simulation, PEER, 3));
        let room = scene.room(&alice, &json!({ "preset": "public_chat" }));
        let (user, version) = (peer.user("guest"), RoomVersion::of("11").unwrap());
        let (at, who) = (encode(&room), encode(&user));
        let make = format!("GET /_matrix/federation/v1/make_join/{at}/{who}?ver=11");
        let join = peer.seal(version, &scene.signed(&peer, &make, None).ok()["event"]);
        let joined = id_of(version, &join);
        let send = format!("PUT /_matrix/federation/v2/send_join/{at}/{}", encode(&joined));
        let answer = scene.signed(&peer, &send, Some(&join)).ok();
        let state = answer["state"].as_array().unwrap().iter().chain([&join]);
        let state =
            state.map(|pdu| ((text(&pdu["type"]), text(&pdu["state_key"])), id_of(version, pdu)));
        let state = state.collect();
        scene.simulation.settle(60_000);
        Self { scene, alice, peer, user, room, version, state, joined }
    }

    /// An event of the guest with these prev events.
    pub fn event(&self, of: (&str, Option<&str>), content: &Value, prev: &[String]) -> Value {
        let state = |key: &(String, String)| self.state.get(key).cloned();
        let place = Place {
            room_id: &self.room,
            prev_events: prev,
            auth_events: &cited(self.version, &self.user, of, content, state),
            depth: 100,
            origin_server_ts: self.scene.simulation.now(),
        };
        self.peer.seal(self.version, &draft(&place, &self.user, of, content))
    }

    /// Messages of the guest, each on the one before, the first on their join.
    pub fn messages(&self, bodies: &[&str]) -> Vec<Value> {
        let mut last = self.joined.clone();
        let message = |body: &&str| {
            let content = json!({ "msgtype": "m.text", "body": body });
            let pdu = self.event(("m.room.message", None), &content, std::slice::from_ref(&last));
            last = self.id(&pdu);
            pdu
        };
        bodies.iter().map(message).collect()
    }

    pub fn id(&self, pdu: &Value) -> String {
        id_of(self.version, pdu)
    }

    /// Sends a transaction of the peer; returns the answer for each event.
    pub fn transaction(&self, pdus: &[Value], edus: &[Value]) -> Value {
        let line = format!("PUT /_matrix/federation/v1/send/{}", self.scene.simulation.now());
        let body = json!({ "origin": PEER, "origin_server_ts": 1, "pdus": pdus, "edus": edus });
        self.scene.signed(&self.peer, &line, Some(&body)).ok()["pdus"].clone()
    }

    /// From now on the peer answers `/event` with these events.
    pub fn gives(&self, pdus: &[Value]) {
        let (version, pdus) = (self.version, pdus.to_vec());
        self.peer.on("event", move |asked| {
            match pdus.iter().find(|pdu| id_of(version, pdu) == asked.arguments[0]) {
                Some(pdu) => ok(&json!({ "pdus": [pdu] })),
                None => refusal(404, "M_NOT_FOUND"),
            }
        });
    }

    /// The messages in alice's initial sync.
    pub fn heard(&self) -> Vec<String> {
        heard(&self.scene, &self.alice, &self.room)
    }
}

/// The messages of a room in a user's initial sync.
pub fn heard(scene: &Scene, user: &User, room: &str) -> Vec<String> {
    let sync = scene.sync(user, "");
    let events = sync["rooms"]["join"][room]["timeline"]["events"].as_array().cloned();
    let bodies = events.into_iter().flatten();
    bodies.filter_map(|event| Some(event["content"]["body"].as_str()?.to_owned())).collect()
}

/// A user's membership as another sees it.
pub fn membership(scene: &Scene, viewer: &User, room: &str, user: &str) -> Option<String> {
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", encode(user));
    scene.get(viewer, &path).text("membership")
}

pub fn room_id(room: &str) -> OwnedRoomId {
    RoomId::parse(room).unwrap()
}
