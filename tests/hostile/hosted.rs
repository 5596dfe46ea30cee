//! What is a room that a peer hosts, and how is it given to those who join?

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use http::Method;
use serde_json::{Value, json};
use tombolo_protocol::room_version::RoomVersion;
use tombolo_support::{Answer, Asked, Peer, Place, draft, encode, id_of, ok, refusal};

use crate::scene::Scene;

/// By type and state key.
pub type Events = BTreeMap<(String, String), Value>;

/// A room that lies on a peer, made by its user mallory. Cheap to clone.
#[derive(Clone)]
pub struct Hosted {
    pub room: String,
    pub version: &'static RoomVersion,
    pub creator: String,
    /// Oldest first.
    pub events: Rc<RefCell<Vec<Value>>>,
    now: u64,
}

impl Hosted {
    pub fn new(scene: &Scene, peer: &Peer) -> Self {
        Self::claiming(scene, peer, scene.version.id.as_str())
    }

    /// A room whose create event claims this version, whatever its events are.
    pub fn claiming(scene: &Scene, peer: &Peer, claimed: &str) -> Self {
        let room = format!("!h{}:{}", scene.number(), peer.name());
        let (version, creator) = (scene.version, peer.user("mallory"));
        let now = scene.simulation.now();
        let mut hosted = Self { room, version, creator, events: Rc::default(), now };
        let content =
            json!({ "room_version": claimed, "creator": hosted.creator, "number": scene.number() });
        let create = hosted.create(peer, &content);
        if version.room_id_is_create_hash() {
            hosted.room = id_of(version, &create).replacen('$', "!", 1);
        }
        hosted.events.borrow_mut().push(create);
        let mallory = hosted.creator.clone();
        hosted.say(
            peer,
            &mallory,
            "m.room.member",
            Some(&mallory),
            &json!({ "membership": "join" }),
        );
        let users =
            if version.room_id_is_create_hash() { json!({}) } else { json!({ &mallory: 100 }) };
        let power = json!({ "users": users, "ban": 50, "state_default": 50 });
        hosted.say(peer, &mallory, "m.room.power_levels", Some(""), &power);
        hosted.say(
            peer,
            &mallory,
            "m.room.join_rules",
            Some(""),
            &json!({ "join_rule": "public" }),
        );
        hosted.say(
            peer,
            &mallory,
            "m.room.history_visibility",
            Some(""),
            &json!({ "history_visibility": "shared" }),
        );
        hosted.say(peer, &mallory, "m.room.message", None, &json!({ "body": "welcome" }));
        hosted
    }

    /// A create event for this room.
    pub fn create(&self, peer: &Peer, content: &Value) -> Value {
        let mut create = json!({
            "type": "m.room.create", "state_key": "", "sender": self.creator, "content": content,
            "depth": 1, "origin_server_ts": self.now, "prev_events": [], "auth_events": [],
        });
        if !self.version.room_id_is_create_hash() {
            create["room_id"] = json!(self.room);
        }
        peer.seal(self.version, &create)
    }

    /// An event after the newest one, which the room does not have yet.
    #[expect(clippy::too_many_arguments, reason = "an event has so many parts")]
    pub fn event(
        &self,
        peer: &Peer,
        sender: &str,
        kind: &str,
        key: Option<&str>,
        content: &Value,
    ) -> Value {
        let state = self.state();
        let events = self.events.borrow();
        let last = events.last().unwrap();
        let mut wanted = vec![("m.room.power_levels", ""), ("m.room.member", sender)];
        if !self.version.room_id_is_create_hash() {
            wanted.push(("m.room.create", ""));
        }
        if kind == "m.room.member" {
            wanted.push(("m.room.join_rules", ""));
            wanted.extend(key.filter(|key| *key != sender).map(|key| ("m.room.member", key)));
        }
        let id = |(kind, key): &(&str, &str)| {
            state.get(&((*kind).to_owned(), (*key).to_owned())).map(|pdu| id_of(self.version, pdu))
        };
        let auth: Vec<String> = wanted.iter().filter_map(id).collect();
        let place = Place {
            room_id: &self.room,
            prev_events: &[self.id(last)],
            auth_events: &auth,
            depth: last["depth"].as_u64().unwrap() + 1,
            origin_server_ts: self.now,
        };
        peer.seal(self.version, &draft(&place, sender, (kind, key), content))
    }

    /// Adds an event.
    #[expect(clippy::too_many_arguments, reason = "an event has so many parts")]
    pub fn say(
        &self,
        peer: &Peer,
        sender: &str,
        kind: &str,
        key: Option<&str>,
        content: &Value,
    ) -> Value {
        let pdu = self.event(peer, sender, kind, key, content);
        self.events.borrow_mut().push(pdu.clone());
        pdu
    }

    pub fn id(&self, pdu: &Value) -> String {
        id_of(self.version, pdu)
    }

    pub fn state(&self) -> Events {
        let mut state = Events::new();
        for pdu in self.events.borrow().iter() {
            if let Some(key) = pdu["state_key"].as_str() {
                state.insert(
                    (pdu["type"].as_str().unwrap().to_owned(), key.to_owned()),
                    pdu.clone(),
                );
            }
        }
        state
    }

    /// The template of a membership.
    pub fn template(&self, user: &str, membership: &str) -> Value {
        let peer = Peer::unlisted("nobody.test", 0);
        let content = json!({ "membership": membership });
        let mut event = self.event(&peer, user, "m.room.member", Some(user), &content);
        for gone in ["hashes", "signatures"] {
            event.as_object_mut().unwrap().remove(gone);
        }
        json!({ "room_version": self.version.id, "event": event })
    }

    /// The honest answer to a join.
    pub fn answer(&self) -> Value {
        let all: Vec<Value> = self
            .events
            .borrow()
            .iter()
            .filter(|pdu| pdu["state_key"].is_string())
            .cloned()
            .collect();
        let state: Vec<Value> = self.state().into_values().collect();
        json!({ "origin": self.room, "state": state, "auth_chain": all, "members_omitted": false })
    }

    /// From now on the peer gives the room to whoever asks.
    pub fn give(&self, peer: &Peer) {
        self.give_altered(peer, |_, answer| answer);
    }

    /// The same, but for what becomes of the answer to a join; given are what was asked and the honest answer.
    pub fn give_altered(&self, peer: &Peer, alter: impl Fn(&Asked, Value) -> Value + 'static) {
        let hosted = self.clone();
        peer.on("make_join", move |asked| ok(&hosted.template(&asked.arguments[1], "join")));
        let hosted = self.clone();
        peer.on("make_leave", move |asked| ok(&hosted.template(&asked.arguments[1], "leave")));
        let hosted = self.clone();
        peer.on("send_join", move |asked| {
            let mut answer = hosted.answer();
            answer["event"] = asked.body.clone();
            ok(&alter(asked, answer))
        });
        peer.on("send_leave", |_| ok(&json!({})));
        let hosted = self.clone();
        peer.on("event", move |asked| {
            let events = hosted.events.borrow();
            match events.iter().find(|pdu| hosted.id(pdu) == asked.arguments[0]) {
                Some(pdu) => ok(&json!({ "pdus": [pdu] })),
                None => refusal(404, "M_NOT_FOUND"),
            }
        });
        let hosted = self.clone();
        peer.on("event_auth", move |_| ok(&json!({ "auth_chain": hosted.answer()["auth_chain"] })));
    }

    /// Alice asks to join through a peer.
    pub fn join(&self, scene: &Scene, peer: &Peer) -> Answer {
        let (room, via) = (encode(&self.room), encode(peer.name()));
        let path = format!("/_matrix/client/v3/join/{room}?server_name={via}");
        scene.alice(&Method::POST, &path, &json!({}))
    }

    /// Now that the peer is honest, alice comes in, and hears what is said.
    pub fn comes_right(&self, scene: &Scene, peer: &Peer) {
        self.give(peer);
        scene.simulation.settle(600_000);
        let joined = self.join(scene, peer);
        assert_eq!(joined.status, 200, "an honest join fails: {joined:?}");
        self.hears(scene, peer);
        let alice = format!("@alice:{}", crate::scene::OURS);
        let members = scene.state_of(&self.room);
        for member in [&alice, &self.creator] {
            assert!(members.contains_key(&("m.room.member".to_owned(), member.clone())));
        }
    }

    /// A message of the creator, after alice's join, comes in.
    pub fn hears(&self, scene: &Scene, peer: &Peer) {
        let tips = self.tips(scene);
        let content = json!({ "body": format!("to all {}", scene.number()) });
        let mut pdu = self.event(peer, &self.creator, "m.room.message", None, &content);
        pdu["prev_events"] = json!(tips);
        pdu["depth"] = json!(1000 + scene.number());
        let pdu = peer.seal(self.version, &pdu);
        let answer = scene.send(peer, std::slice::from_ref(&pdu), &[]);
        assert_eq!(answer.body["pdus"][self.id(&pdu)], json!({}), "{answer:?}");
        let held = scene.held_in(&self.room, &self.id(&pdu));
        assert!(held.is_some_and(|held| held.pos.is_some()), "a good event is lost: {answer:?}");
    }

    /// The newest events at our server.
    pub fn tips(&self, scene: &Scene) -> Vec<String> {
        let sql = scene.tables(&self.room).unwrap();
        let query = "SELECT id FROM events WHERE pos IS NOT NULL ORDER BY pos DESC LIMIT 1";
        sql.rows(query, &[], |row| row.text(0)).unwrap()
    }
}
