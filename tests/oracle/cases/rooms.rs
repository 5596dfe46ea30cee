//! What becomes of a room whose branches grew apart, as a RoomObject has it? Its events go in, the state comes out.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::OwnedEventId;
use serde_json::{Value, json};
use tombolo::{
    app::Tombolo,
    objects::room::{RoomClass, messages::*},
};
use tombolo_platform::{Address, Message, Row, Sql, values};
use tombolo_protocol::{
    event::{Pdu, event_id},
    room_version::RoomVersion,
};
use tombolo_support::{LoneObject, Secrets, checked};

use crate::{
    branches::{self, Growth},
    deeds::Deed,
    world::{Branch, SERVERS, USERS, World},
};

/// Branches as a room may hold them.
const GROWTH: Growth = Growth { lax: false, meets_alone: false };

/// A case: the events, the states of the branches, and the state of the room where all of them meet.
pub fn tell(version: &'static RoomVersion, seed: u64) -> String {
    let mut world = World::new(version, seed);
    world.tame = true;
    let first = branches::found(&mut world);
    let branches = branches::grow(&mut world, first, &GROWTH);
    let mut room = Room::open(&world);
    let meeting = meeting(&world, &branches);
    let mut events: Vec<&Pdu> = world.events.values().map(|event| &**event).collect();
    events.sort_by_key(|event| (event.depth, event.event_id.clone()));
    room.begin(&events);
    room.receive(&events, &meeting);
    let sets = branches.iter().map(|branch| branch.state.clone()).collect();
    branches::case(&world, seed, (&[], sets), &room.state_before(&meeting))
}

/// An event that cites the ends of all branches.
fn meeting(world: &World, branches: &[Branch]) -> Pdu {
    let extremities: BTreeSet<OwnedEventId> =
        branches.iter().flat_map(|branch| branch.extremities.clone()).collect();
    let depth = branches.iter().map(|branch| branch.depth).max().unwrap();
    let state = branches[0].state.clone();
    let end = Branch { state, extremities: extremities.into_iter().collect(), depth };
    let deed = Deed {
        aim: "meeting",
        sender: USERS[0].to_owned(),
        kind: "m.room.message".to_owned(),
        state_key: None,
        redacts: None,
        content: json!({}),
        keep: true,
    };
    let object = world.seal(&world.parts(&end, &deed));
    Pdu::from_object(event_id(&object, world.version), &object, world.version).unwrap()
}

/// A RoomObject of the first server.
struct Room {
    version: &'static RoomVersion,
    object: LoneObject,
}

impl Room {
    fn open(world: &World) -> Self {
        let address = Address::<RoomClass>::new(world.room_id.as_ref().unwrap().as_str()).any();
        let secrets = Secrets { signing_key: ("1".to_owned(), [1; 32]), token: [1; 32] };
        let object = LoneObject::new(Rc::new(Tombolo), address, SERVERS[0], &secrets);
        Self { version: world.version, object }
    }

    fn ask<M: Message>(&self, message: M) -> M::Reply {
        self.object.ask(1_800_000_000_000, &message).unwrap()
    }

    /// The creator joins with the create event as the state.
    fn begin(&mut self, events: &[&Pdu]) {
        let (create, join) = (checked(events[0]), checked(events[1]));
        let (version, via) = (self.version.id.to_string(), SERVERS[1].try_into().unwrap());
        let (user, event_id) = (events[1].sender.clone(), join.event_id.clone());
        let until = 1_900_000_000_000;
        self.ask(BeginJoin { version, user, event: join.clone(), via, until });
        let state = BTreeSet::from([create.event_id.clone()]);
        let unverified = Vec::new();
        let state = self.ask(GiveJoin { event_id, events: vec![create], state, unverified });
        self.ask(FinishJoin { event: join, state });
    }

    /// Everything else happens.
    fn receive(&self, events: &[&Pdu], meeting: &Pdu) {
        let events = events.iter().skip(2).chain([&meeting]).map(|event| checked(event)).collect();
        let (origin, purpose) = (SERVERS[0].try_into().unwrap(), Purpose::Live);
        let received = self.ask(Receive { origin, events, purpose, again: Vec::new() });
        for (id, outcome) in received.outcomes {
            let held = matches!(outcome, Outcome::Accepted | Outcome::SoftFailed(_));
            assert!(held || id == meeting.event_id, "{id} is {outcome:?}");
        }
    }

    /// The state before an event, read from the tables: a server that left is not told it.
    fn state_before(&self, event: &Pdu) -> Value {
        let sql: &Sql = &self.object.sql;
        let query = "SELECT at, fork FROM events WHERE id = ?";
        let place = sql.row(query, values![event.event_id.as_str()], |row| {
            Ok((row.int(0)?, row.int_or_null(1)?))
        });
        let (at, mut fork) = place.unwrap().unwrap();
        let query = "SELECT n.type, n.key, e.id FROM (
                         SELECT type, key, sn FROM now WHERE since <= ?1
                         UNION ALL SELECT type, key, sn FROM past WHERE since <= ?1 AND until > ?1
                     ) n JOIN events e ON e.sn = n.sn";
        let read = |row: &Row<'_>| Ok(((row.text(0)?, row.text(1)?), row.text_or_null(2)?));
        let mut state: BTreeMap<_, _> = BTreeMap::new();
        while let Some(current) = fork {
            let query = "SELECT f.type, f.key, e.id FROM forks f LEFT JOIN events e ON e.sn = f.sn WHERE f.fork = ?";
            for (key, value) in sql.rows(query, values![current], read).unwrap() {
                state.entry(key).or_insert(value);
            }
            let query = "SELECT parent FROM fork WHERE fork = ?";
            fork = sql.row(query, values![current], |row| row.int_or_null(0)).unwrap().unwrap();
        }
        for (key, value) in sql.rows(query, values![at], read).unwrap() {
            state.entry(key).or_insert(value);
        }
        json!(state.values().flatten().collect::<Vec<_>>())
    }
}
