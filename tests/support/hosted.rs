//! What is a room that a peer hosts, and how is it given to those who join?

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use serde_json::{Value, json};
use tombolo_protocol::room_version::RoomVersion;

use crate::{
    client::{Answer, User, encode},
    event::{Place, cited, draft, id_of},
    peer::{Asked, Peer, ok, refusal},
    scene::Scene,
};

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
    /// A public room.
    pub fn new(scene: &Scene, peer: &Peer, version: &'static RoomVersion) -> Self {
        Self::claiming(scene, peer, version, version.id.as_str())
    }

    /// A room whose create event claims another version than its events have.
    pub fn claiming(
        scene: &Scene,
        peer: &Peer,
        version: &'static RoomVersion,
        claimed: &str,
    ) -> Self {
        let (number, now) = (scene.number(), scene.simulation.now());
        let (room, creator) = (format!("!h{number}:{}", peer.name()), peer.user("mallory"));
        let mut hosted = Self { room, version, creator, events: Rc::default(), now };
        let content =
            json!({ "room_version": claimed, "creator": hosted.creator, "number": number });
        let create = hosted.create(peer, &content);
        if version.room_id_is_create_hash() {
            hosted.room = id_of(version, &create).replacen('$', "!", 1);
        }
        hosted.events.borrow_mut().push(create);
        let mallory = hosted.creator.clone();
        let users =
            if version.room_id_is_create_hash() { json!({}) } else { json!({ &mallory: 100 }) };
        for (kind, key, content) in [
            ("m.room.member", &*mallory, json!({ "membership": "join" })),
            ("m.room.power_levels", "", json!({ "users": users, "ban": 50, "state_default": 50 })),
            ("m.room.join_rules", "", json!({ "join_rule": "public" })),
            ("m.room.history_visibility", "", json!({ "history_visibility": "shared" })),
        ] {
            hosted.say(peer, &mallory, (kind, Some(key)), &content);
        }
        hosted.say(peer, &mallory, ("m.room.message", None), &json!({ "body": "welcome" }));
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
    pub fn event(
        &self,
        peer: &Peer,
        sender: &str,
        of: (&str, Option<&str>),
        content: &Value,
    ) -> Value {
        let state = self.state();
        let events = self.events.borrow();
        let last = events.last().unwrap();
        let place = Place {
            room_id: &self.room,
            prev_events: &[self.id(last)],
            auth_events: &cited(self.version, sender, of, content, |key| {
                state.get(key).map(|pdu| self.id(pdu))
            }),
            depth: last["depth"].as_u64().unwrap() + 1,
            origin_server_ts: self.now,
        };
        peer.seal(self.version, &draft(&place, sender, of, content))
    }

    /// Adds an event.
    pub fn say(
        &self,
        peer: &Peer,
        sender: &str,
        of: (&str, Option<&str>),
        content: &Value,
    ) -> Value {
        let pdu = self.event(peer, sender, of, content);
        self.events.borrow_mut().push(pdu.clone());
        pdu
    }

    pub fn id(&self, pdu: &Value) -> String {
        id_of(self.version, pdu)
    }

    /// By type and state key.
    pub fn state(&self) -> BTreeMap<(String, String), Value> {
        let events = self.events.borrow();
        let key = |pdu: &Value| {
            Some((pdu["type"].as_str()?.to_owned(), pdu["state_key"].as_str()?.to_owned()))
        };
        events.iter().filter_map(|pdu| Some((key(pdu)?, pdu.clone()))).collect()
    }

    /// The template of a user's membership.
    pub fn template(&self, user: &str, content: &Value) -> Value {
        let (peer, member) = (Peer::unlisted("nobody.test", 0), ("m.room.member", Some(user)));
        let mut event = self.event(&peer, user, member, content);
        for gone in ["hashes", "signatures"] {
            event.as_object_mut().unwrap().remove(gone);
        }
        json!({ "room_version": self.version.id, "event": event })
    }

    /// The honest answer to a join.
    pub fn answer(&self) -> Value {
        let mut all = self.events.borrow().clone();
        all.retain(|pdu| pdu["state_key"].is_string());
        let state: Vec<Value> = self.state().into_values().collect();
        json!({ "origin": self.room, "state": state, "auth_chain": all, "members_omitted": false })
    }

    /// From now on the peer gives the room to whoever asks.
    pub fn give(&self, peer: &Peer) {
        self.give_altered(peer, |_, answer| answer);
    }

    /// The same, but for what becomes of the answer to a join; given are what was asked and the honest answer.
    pub fn give_altered(&self, peer: &Peer, alter: impl Fn(&Asked, Value) -> Value + 'static) {
        for (endpoint, membership) in [("make_join", "join"), ("make_leave", "leave")] {
            let (hosted, content) = (self.clone(), json!({ "membership": membership }));
            peer.on(endpoint, move |asked| ok(&hosted.template(&asked.arguments[1], &content)));
        }
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

    /// A user asks to join through these peers.
    pub fn join(&self, scene: &Scene, user: &User, peers: &[&Peer]) -> Answer {
        let via = |peer: &&Peer| format!("server_name={}", encode(peer.name()));
        let via = peers.iter().map(via).collect::<Vec<_>>().join("&");
        let line = format!("POST /_matrix/client/v3/join/{}?{via}", encode(&self.room));
        scene.call(Some(user), &line, &json!({}))
    }
}
