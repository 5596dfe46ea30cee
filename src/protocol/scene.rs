//! What does a test need to set a scene? A room that grows event by event.

use std::{collections::BTreeMap, rc::Rc};

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, UserId};
use serde_json::{Value, json};

use crate::{
    canonical_json::CanonicalJsonObject,
    event::{Draft, Links, Pdu, build_deep},
    event_auth::auth_types,
    json::canonical_object,
    room_version::RoomVersion,
    signing::SigningKey,
    state_resolution::StateMap,
};

pub const SERVER: &str = "example.org";

pub fn version(id: &str) -> &'static RoomVersion {
    RoomVersion::of(id).unwrap()
}

pub fn key() -> SigningKey {
    SigningKey::from_seed("ed25519:1", [7; 32]).unwrap()
}

pub fn object(value: Value) -> CanonicalJsonObject {
    canonical_object(value).unwrap()
}

pub fn user(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:{SERVER}")).unwrap()
}

pub struct Room {
    pub version: &'static RoomVersion,
    pub events: BTreeMap<OwnedEventId, Rc<Pdu>>,
    pub id: Option<OwnedRoomId>,
    pub clock: i64,
}

impl Room {
    /// A room created by Alice, who has joined.
    pub fn new(version_id: &str) -> (Self, StateMap) {
        let version = version(version_id);
        let legacy_id = format!("!room:{SERVER}").try_into().ok();
        let id = if version.room_id_is_create_hash() { None } else { legacy_id };
        let mut room = Self { version, events: BTreeMap::new(), id, clock: 1_000 };
        let mut state = StateMap::new();
        let mut content = json!({ "room_version": version_id });
        if !version.rules.authorization.use_room_create_sender {
            content["creator"] = user("alice").as_str().into();
        }
        let create = room.send(&mut state, "alice", ("m.room.create", ""), content);
        room.id = Some(create.room_id.clone());
        room.join(&mut state, "alice");
        (room, state)
    }

    /// Sends a state event, citing what the state has, and puts it into the state.
    pub fn send(
        &mut self,
        state: &mut StateMap,
        sender: &str,
        (kind, state_key): (&str, &str),
        content: Value,
    ) -> Rc<Pdu> {
        let pdu = self.draft(state, sender, (kind, Some(state_key)), content);
        state.insert((kind.to_owned(), state_key.to_owned()), pdu.event_id.clone());
        self.events.insert(pdu.event_id.clone(), pdu.clone());
        pdu
    }

    /// An event that cites what the state has; it becomes no part of the room.
    pub fn draft(
        &mut self,
        state: &StateMap,
        sender: &str,
        (kind, state_key): (&str, Option<&str>),
        content: Value,
    ) -> Rc<Pdu> {
        let raw = serde_json::value::to_raw_value(&content).unwrap();
        let sender = user(sender);
        let cited = auth_types(self.version, kind, &sender, state_key, &raw).unwrap();
        let cited: Vec<_> = cited.iter().filter_map(|key| state.get(key).cloned()).collect();
        let draft = Draft {
            sender,
            event_type: kind.to_owned(),
            state_key: state_key.map(ToOwned::to_owned),
            content: object(content),
            redacts: None,
        };
        self.clock += 1_000;
        let last: Vec<_> =
            state.get(&("m.room.create".into(), "".into())).cloned().into_iter().collect();
        let links = Links {
            room_id: self.id.as_deref(),
            prev_events: &last,
            auth_events: &cited,
            depth: 1,
            origin_server_ts: self.clock,
        };
        Rc::new(build_deep(self.version, draft, links, &key(), SERVER).unwrap())
    }

    pub fn join(&mut self, state: &mut StateMap, name: &str) -> Rc<Pdu> {
        self.member(state, name, name, "join")
    }

    pub fn member(
        &mut self,
        state: &mut StateMap,
        sender: &str,
        target: &str,
        membership: &str,
    ) -> Rc<Pdu> {
        let target = user(target);
        let content = json!({ "membership": membership });
        self.send(state, sender, ("m.room.member", target.as_str()), content)
    }

    /// The event that a state has for a type and key.
    pub fn at(&self, state: &StateMap, kind: &str, key: &str) -> Option<Rc<Pdu>> {
        self.events.get(state.get(&(kind.to_owned(), key.to_owned()))?).cloned()
    }
}
