//! What is a room that lies on another server, which a local user is to join?

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join;
use serde_json::Value;
use tombolo_platform::{Unreachable, values};
use tombolo_protocol::room_version::RoomVersion;
use tombolo_support::{Answer, Hosted, Peer, Scene, User, ask, encode};

use crate::{
    flows::tests::{PEER, ours, room_id},
    objects::room_object,
};

/// By type and state key: the IDs of a room's state.
pub type State = BTreeMap<(String, String), String>;

/// A public room that lies on a peer, and alice, who is to join it.
pub struct Elsewhere {
    pub scene: Scene,
    pub alice: User,
    pub peer: Peer,
    pub hosted: Hosted,
}

impl Elsewhere {
    pub fn new() -> Self {
        let scene = ours();
        let (alice, peer) = (scene.register("alice"), Peer::new(&scene.simulation, PEER, 3));
        let hosted = Hosted::new(&scene, &peer, RoomVersion::of("11").unwrap());
        hosted.give(&peer);
        Self { scene, alice, peer, hosted }
    }

    /// One more server that gives the room.
    pub fn another(&self) -> Peer {
        let first = Peer::new(&self.scene.simulation, "first.test:8448", 4);
        self.hosted.give(&first);
        first
    }

    pub fn join(&self) -> Answer {
        self.hosted.join(&self.scene, &self.alice, &[&self.peer])
    }

    /// Alice asks to join, and as soon as the peer got the join, something happens.
    pub fn join_while(&self, happens: impl Future<Output = ()>) -> Result<Answer, Unreachable> {
        let (room, via) = (encode(&self.hosted.room), encode(PEER));
        let path = format!("/_matrix/client/v3/join/{room}?server_name={via}");
        let asked = ask(&self.scene.server, self.alice.request(("POST", &path), "{}"));
        let world = self.scene.server.world();
        let meanwhile = async {
            while self.peer.times_asked("send_join") == 0 {
                world.sleep(Duration::from_millis(1)).await;
            }
            happens.await;
        };
        self.scene.simulation.run(join(asked, meanwhile)).0
    }

    /// The ID of the join that the peer was given last.
    pub fn sent(&self) -> String {
        self.hosted.id(&self.peer.asked("send_join").last().unwrap().body)
    }

    /// The room's state as a user is shown it.
    pub fn shown(&self, user: &User) -> Option<State> {
        let path = format!("/_matrix/client/v3/rooms/{}/state", self.hosted.room);
        let answer = self.scene.get(user, &path);
        let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
        let entry = |event: &Value| {
            ((text(event, "type"), text(event, "state_key")), text(event, "event_id"))
        };
        answer.body.as_array().map(|events| events.iter().map(entry).collect())
    }

    /// The state that the peer has, with alice's join.
    pub fn expected(&self) -> State {
        let state = self.hosted.state();
        let mut state: State =
            state.iter().map(|(key, pdu)| (key.clone(), self.hosted.id(pdu))).collect();
        state.insert(("m.room.member".to_owned(), self.alice.id.clone()), self.sent());
        state
    }

    #[track_caller]
    pub fn is_in(&self) {
        assert_eq!(self.shown(&self.alice), Some(self.expected()));
        assert!(self.scene.sync(&self.alice, "")["rooms"]["join"][&self.hosted.room].is_object());
    }

    #[track_caller]
    pub fn is_out(&self) {
        assert_eq!(self.shown(&self.alice), None);
        let rooms = &self.scene.sync(&self.alice, "")["rooms"];
        assert!(!rooms.to_string().contains(&self.hosted.room), "{rooms}");
    }

    /// From now on the peer gives the room so.
    pub fn gives(&self, alter: impl Fn(&mut Value) + 'static) {
        self.hosted.give_altered(&self.peer, move |_, mut answer| {
            alter(&mut answer);
            answer
        });
    }

    /// The membership event of a user that our server holds.
    pub fn member(&self, user: &User) -> Value {
        let tables = self.scene.server.sql(&room_object(&room_id(&self.hosted.room))).unwrap();
        let query = "SELECT e.json FROM now n JOIN events e ON e.sn = n.sn WHERE n.key = ?";
        let json = tables.row(query, values![user.id.as_str()], |row| row.text(0)).unwrap();
        serde_json::from_str(&json.unwrap()).unwrap()
    }

    /// Who signed it.
    pub fn signers(&self, user: &User) -> Vec<String> {
        self.member(user)["signatures"].as_object().unwrap().keys().cloned().collect()
    }
}
