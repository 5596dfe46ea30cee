//! What does a scenario stand on? One object, its database, and two servers' keys.

mod events;
mod joins;

use std::{cell::Cell, rc::Rc};

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};
use tombolo_platform::{AnyAddress, Message};
use tombolo_protocol::{
    event::{Links, Pdu},
    room_version::RoomVersion,
};
pub use tombolo_support::checked;
use tombolo_support::{LoneObject, Secrets, cited};

use crate::{app::Tombolo, objects::room::messages::*};

pub use self::events::*;

pub const OURS: &str = "ours.test";
pub const THEIRS: &str = "theirs.test";

/// A room object and what surrounds it.
pub struct LoneRoom {
    pub version: &'static RoomVersion,
    pub room_id: OwnedRoomId,
    object: LoneObject,
    now: Cell<u64>,
}

impl LoneRoom {
    /// A public room of this version, made by `@alice:ours.test`, with her join and power levels.
    pub fn new(version: &str) -> Self {
        let version = RoomVersion::of(version).unwrap();
        let alice = user("alice", OURS);
        let content = if version.rules.authorization.use_room_create_sender {
            json!({ "room_version": version.id })
        } else {
            json!({ "room_version": version.id, "creator": alice })
        };
        let fixed = RoomId::parse("!room:ours.test").unwrap();
        let named = (!version.room_id_is_create_hash()).then_some(&*fixed);
        let links = Links {
            room_id: named,
            prev_events: &[],
            auth_events: &[],
            depth: 1,
            origin_server_ts: 1,
        };
        let create = built(version, &alice, ("m.room.create", Some(""), &content), links);
        let room = Self::of(version, create.room_id.clone());
        let events = vec![
            draft("m.room.member", Some(alice.as_str()), &json!({ "membership": "join" })),
            draft("m.room.power_levels", Some(""), &levels(version, &alice)),
            draft("m.room.join_rules", Some(""), &json!({ "join_rule": "public" })),
        ];
        let (version, create, published) = (version.id.to_string(), checked(&create), false);
        room.ask(Create { version, create, creator: alice, events, published }).unwrap();
        room
    }

    /// An object that was never asked.
    pub fn empty() -> Self {
        Self::of(RoomVersion::of("11").unwrap(), RoomId::parse("!room:ours.test").unwrap())
    }

    /// The object of a room, never asked.
    fn of(version: &'static RoomVersion, room_id: OwnedRoomId) -> Self {
        let address = AnyAddress::new("room", room_id.as_str());
        let secrets = Secrets { signing_key: ("k".to_owned(), [1; 32]), token: [1; 32] };
        let object = LoneObject::new(Rc::new(Tombolo), address, OURS, &secrets);
        Self { version, room_id, object, now: Cell::new(1_000_000) }
    }

    /// Whether the object holds anything.
    pub fn has_tables(&self) -> bool {
        self.object.sql.exists().unwrap()
    }

    /// Asks the room.
    pub fn ask<M: Message>(&self, message: M) -> Result<M::Reply, M::Refusal> {
        self.now.set(self.now.get() + 1000);
        self.object.ask(self.now.get(), &message)
    }

    /// How long after the last message the alarm is to fire that it asked for (ms).
    pub fn alarm(&self) -> Option<u64> {
        self.object.alarm.get().map(|at| at - self.now.get())
    }

    /// Has the next message come in the same moment as the last.
    pub fn rewind(&self) {
        self.now.set(self.now.get() - 1000);
    }

    /// Lets a local user join.
    pub fn join(&self, localpart: &str) {
        let member = user(localpart, OURS);
        self.send(
            localpart,
            "m.room.member",
            Some(member.as_str()),
            &json!({ "membership": "join" }),
        )
        .unwrap();
    }

    /// Forgets everything that is not in the database.
    pub fn evict(&self) {
        self.object.evict();
    }

    /// Sends as a local user.
    pub fn send(
        &self,
        sender: &str,
        kind: &str,
        key: Option<&str>,
        content: &Value,
    ) -> Result<OwnedEventId, Refusal> {
        self.ask(Send::of(user(sender, OURS), draft(kind, key, content))).map(|sent| sent.event_id)
    }

    /// An event of `@bob:theirs.test`, built on these events and allowed by the room's state now.
    pub fn theirs(
        &self,
        kind: &str,
        key: Option<&str>,
        content: &Value,
        prev: &[OwnedEventId],
    ) -> Pdu {
        let bob = user("bob", THEIRS);
        let auth = cited(self.version, bob.as_str(), (kind, key), content, |(kind, key)| {
            self.state_id(kind, key)
        });
        self.now.set(self.now.get() + 1);
        let links = Links {
            room_id: Some(&self.room_id),
            prev_events: prev,
            auth_events: &auth,
            depth: 20,
            origin_server_ts: i64::try_from(self.now.get()).unwrap(),
        };
        built(self.version, &bob, (kind, key, content), links)
    }

    /// Bob's invite of one of our users to a room that is not here.
    pub fn invite_to_theirs(&self, localpart: &str) -> Pdu {
        let invited = user(localpart, OURS);
        let content = json!({ "membership": "invite" });
        self.elsewhere(
            &user("bob", THEIRS),
            ("m.room.member", Some(invited.as_str())),
            &content,
            &[],
        )
    }

    /// An event in a room that is not here; its parent is the last event that it cites.
    pub fn elsewhere(
        &self,
        sender: &UserId,
        key: (&str, Option<&str>),
        content: &Value,
        auth: &[OwnedEventId],
    ) -> Pdu {
        let prev = auth.last().map_or(&[][..], std::slice::from_ref);
        self.elsewhere_after(sender, key, content, (auth, prev))
    }

    /// The same, after these events.
    pub fn elsewhere_after(
        &self,
        sender: &UserId,
        (kind, state_key): (&str, Option<&str>),
        content: &Value,
        (auth, prev): (&[OwnedEventId], &[OwnedEventId]),
    ) -> Pdu {
        let links = Links {
            room_id: Some(&self.room_id),
            prev_events: prev,
            auth_events: auth,
            depth: 20,
            origin_server_ts: 1,
        };
        built(self.version, sender, (kind, state_key, content), links)
    }

    /// Gives the room events of the other server.
    pub fn receive(&self, pdus: &[&Pdu]) -> Received {
        self.receive_from(THEIRS, pdus)
    }

    /// Gives the room events of any server.
    pub fn receive_from(&self, origin: &str, pdus: &[&Pdu]) -> Received {
        let (origin, purpose) = (origin.try_into().unwrap(), Purpose::Live);
        let events = pdus.iter().map(|pdu| checked(pdu)).collect();
        self.ask(Receive { origin, events, purpose, again: Vec::new() }).unwrap()
    }

    /// Has Bob's server give the current state as the state before a parked event, with some events named as missing
    /// and one key, or type, left out; answers the outcomes.
    pub fn connect(
        &self,
        child: &Pdu,
        missing: &[OwnedEventId],
        without: Option<&str>,
    ) -> Vec<(OwnedEventId, Outcome)> {
        let members = ["@alice:ours.test", "@bob:theirs.test"].map(|user| ("m.room.member", user));
        let keys =
            ["m.room.create", "m.room.power_levels", "m.room.join_rules"].map(|kind| (kind, ""));
        let keys = keys
            .into_iter()
            .chain(members)
            .filter(|(kind, key)| Some(*kind) != without && Some(*key) != without);
        let state = keys.filter_map(|(kind, key)| self.state_id(kind, key)).collect();
        let (origin, event_id) = (THEIRS.try_into().unwrap(), child.event_id.clone());
        self.ask(Connect { origin, event_id, state, missing: missing.to_vec() }).unwrap().outcomes
    }

    /// How many rows a table has.
    pub fn count(&self, table: &str) -> i64 {
        let query = format!("SELECT count(*) FROM {table}");
        self.object.sql.row(&query, &[], |row| row.int(0)).unwrap().unwrap()
    }

    /// Runs a statement on the tables.
    pub fn run(&self, statement: &str) {
        self.object.sql.run(statement, &[]).unwrap();
    }

    /// Lets time pass (ms).
    pub fn pass(&self, time: u64) {
        self.now.set(self.now.get() + time);
    }

    /// Gives the room an event of the other server; answers what became of it.
    pub fn outcome(&self, pdu: &Pdu) -> Outcome {
        let received = self.receive(&[pdu]);
        received.outcomes.into_iter().find(|(id, _)| *id == pdu.event_id).unwrap().1
    }

    /// The extremities.
    pub fn extremities(&self) -> Vec<OwnedEventId> {
        self.receive(&[]).extremities
    }

    /// The event ID of a value of the current state, as Alice sees it.
    pub fn state_id(&self, kind: &str, key: &str) -> Option<OwnedEventId> {
        let ask = State {
            user: user("alice", OURS),
            event_type: Some(kind.to_owned()),
            state_key: Some(key.to_owned()),
        };
        let events = self.ask(ask).ok()?;
        let event: Value = serde_json::from_str(events.first()?.get()).unwrap();
        Some(event["event_id"].as_str()?.try_into().unwrap())
    }

    /// Sends as a local user; answers the position.
    pub fn send_at(
        &self,
        sender: &str,
        kind: &str,
        key: Option<&str>,
        content: &Value,
    ) -> Position {
        self.send(sender, kind, key, content).unwrap();
        self.ask(Undelivered {}).unwrap().to
    }

    /// What Alice's next sync shows above a position, up to the end.
    pub fn window(&self, from: Position, limit: u32) -> WindowReply {
        self.window_to(from, self.ask(Undelivered {}).unwrap().to, limit)
    }

    /// What Alice's next sync shows above a position, up to another.
    pub fn window_to(&self, from: Position, to: Position, limit: u32) -> WindowReply {
        let timeline = EventFilter { limit: Some(limit), ..EventFilter::default() };
        self.ask(Window { timeline, ..asked(user("alice", OURS), (from, to)) }).unwrap()
    }
}

/// What a user's sync asks a room for, between two positions, without a filter.
pub fn asked(user: OwnedUserId, (from, to): (Position, Position)) -> Window {
    Window {
        user,
        device: "D".to_owned(),
        from,
        to,
        full_state: false,
        stay_only: false,
        state_after: false,
        timeline: EventFilter::default(),
        state: EventFilter::default(),
    }
}
