//! How do local users come into a room of the other server, and Bob into ours?

use ruma::{OwnedEventId, RoomId};
use serde_json::json;
use tombolo_protocol::{admission::Checked, event::Pdu};

use super::*;
use crate::objects::room::messages::*;

impl LoneRoom {
    /// A room of Bob's, from which Carl is banned and in which we are not, and its state.
    pub fn of_bob() -> (Self, Vec<Pdu>) {
        let room_id = RoomId::parse("!room:theirs.test").unwrap();
        let room = Self::of(RoomVersion::of("11").unwrap(), room_id);
        let (bob, carl) = (user("bob", THEIRS), user("carl", OURS));
        let mut state: Vec<Pdu> = Vec::new();
        for (kind, key, content) in [
            ("m.room.create", "", json!({ "room_version": "11" })),
            ("m.room.member", bob.as_str(), json!({ "membership": "join" })),
            ("m.room.power_levels", "", json!({ "users": { bob.as_str(): 100 } })),
            ("m.room.join_rules", "", json!({ "join_rule": "public" })),
            ("m.room.member", carl.as_str(), json!({ "membership": "ban" })),
            ("m.room.name", "", json!({ "name": "Bob's" })),
        ] {
            let auth: Vec<_> = state.iter().map(|pdu| pdu.event_id.clone()).take(3).collect();
            state.push(room.elsewhere(&bob, (kind, Some(key)), &content, &auth));
        }
        (room, state)
    }

    /// Alice begins to join a room of this state.
    pub fn begin_join(&self, state: &[Pdu]) -> Checked {
        self.begin_join_of("alice", state)
    }

    /// A local user begins to join a room of this state.
    pub fn begin_join_of(&self, localpart: &str, state: &[Pdu]) -> Checked {
        let (user, content) = (user(localpart, OURS), json!({ "membership": "join" }));
        let auth = [0, 2, 3].map(|index: usize| state[index].event_id.clone());
        let join = self.elsewhere(&user, ("m.room.member", Some(user.as_str())), &content, &auth);
        let (event, via) = (checked(&join), THEIRS.try_into().unwrap());
        let version = self.version.id.to_string();
        self.ask(BeginJoin { version, user, event: event.clone(), via, until: 2_000_000 }).unwrap();
        event
    }

    /// Gives a room that is being joined its state; answers how many events were noted as state.
    pub fn give(&self, join: &Checked, state: &[Pdu]) -> u64 {
        self.give_without(join, state, Vec::new()).unwrap()
    }

    /// The same, where some of the state could not be verified.
    pub fn give_without(
        &self,
        join: &Checked,
        state: &[Pdu],
        unverified: Vec<OwnedEventId>,
    ) -> Result<u64, Refusal> {
        let events = state.iter().map(checked).collect();
        let state = state.iter().map(|pdu| pdu.event_id.clone()).collect();
        let event_id = join.event_id.clone();
        self.ask(GiveJoin { event_id, events, state, unverified })
    }

    /// Has the room take in Bob's join; answers its ID.
    pub fn join_bob(&self) -> OwnedEventId {
        let join = self.theirs(
            "m.room.member",
            Some("@bob:theirs.test"),
            &json!({ "membership": "join" }),
            &self.extremities(),
        );
        assert_eq!(self.outcome(&join), Outcome::Accepted);
        join.event_id
    }
}
