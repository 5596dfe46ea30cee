//! In which room is a case set, and how does an event come about there?

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::{OwnedEventId, OwnedRoomId, ServerName};
use serde_json::{Map, Value, json};
use tombolo_protocol::{
    canonical_json::{CanonicalJsonObject, CanonicalJsonValue, to_string},
    event::{Pdu, create_event_id, event_id},
    event_auth::check_state,
    json::canonical_object,
    membership::Membership,
    power_levels::PowerLevels,
    room_version::RoomVersion,
    server_keys::{KeyRing, ServerKeys, VerifyKey},
    signing::SigningKey,
    state_resolution::StateMap,
};
use tombolo_support::{Dice, cited, hashed};

use crate::deeds::Deed;

/// The servers whose users act.
pub const SERVERS: [&str; 3] = ["a.example", "b.example", "c.example:8448"];

/// Who acts. The first creates rooms.
pub const USERS: [&str; 7] = [
    "@alice:a.example",
    "@bob:a.example",
    "@carol:b.example",
    "@dave:b.example",
    "@eve:c.example:8448",
    "@mallory:c.example:8448",
    "@Ünï cödé:b.example",
];

/// Until when keys are valid: after everything that happens.
const KEYS_END: i64 = 9_000_000_000_000;

/// One line of history.
#[derive(Clone)]
pub struct Branch {
    /// What is true at its end.
    pub state: StateMap,
    /// Its forward extremities.
    pub extremities: Vec<OwnedEventId>,
    /// How deep its end is.
    pub depth: u64,
}

/// A room with everything that is known of it, and the dice that decide about it.
pub struct World {
    /// Its version.
    pub version: &'static RoomVersion,
    /// Its dice.
    pub dice: Dice,
    /// Its ID, once it is created.
    pub room_id: Option<OwnedRoomId>,
    /// Every event that was kept, of other rooms too.
    pub events: BTreeMap<OwnedEventId, Rc<Pdu>>,
    /// Events that were refused.
    pub refused: Vec<OwnedEventId>,
    /// Events of another room.
    pub foreign: Vec<OwnedEventId>,
    /// The time.
    pub clock: i64,
    /// Whether nothing happens at which the other side breaks off.
    pub tame: bool,
    keys: Vec<SigningKey>,
}

/// An event before it is hashed and signed.
pub struct Parts {
    /// Its fields, without hashes and signatures.
    pub fields: Map<String, Value>,
    /// The servers that sign it.
    pub signers: Vec<String>,
}

impl World {
    /// A world in which nothing has happened.
    pub fn new(version: &'static RoomVersion, seed: u64) -> Self {
        let key = |index: usize| {
            let seed = [u8::try_from(index).unwrap() + 1; 32];
            SigningKey::from_seed("ed25519:1", seed).unwrap()
        };
        Self {
            version,
            dice: Dice::new(0, seed),
            room_id: None,
            events: BTreeMap::new(),
            refused: Vec::new(),
            foreign: Vec::new(),
            clock: 1_700_000_000_000,
            tame: false,
            keys: (0..SERVERS.len()).map(key).collect(),
        }
    }

    /// The keys of all servers.
    pub fn ring(&self) -> KeyRing {
        let mut ring = KeyRing::new();
        for (server, key) in SERVERS.iter().zip(&self.keys) {
            let verify =
                VerifyKey { key: key.public_key(), valid_until_ts: KEYS_END, retired: false };
            let keys = ServerKeys { keys: [(key.key_id().to_owned(), verify)].into() };
            ring.add(ServerName::parse(server).unwrap(), keys, 0);
        }
        ring
    }

    /// Who stands above all levels.
    pub fn creators(&self) -> BTreeSet<String> {
        let create = self.room_id.as_deref().and_then(create_event_id);
        match create.and_then(|id| self.events.get(&id)) {
            Some(create) if self.version.room_id_is_create_hash() => {
                PowerLevels::of(self.version, create, None).creators().clone()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Some user.
    pub fn user(&self) -> &'static str {
        *self.dice.one(&USERS)
    }

    /// The event that a state has for a type and key.
    pub fn at(&self, state: &StateMap, kind: &str, key: &str) -> Option<Rc<Pdu>> {
        self.events.get(state.get(&(kind.to_owned(), key.to_owned()))?).cloned()
    }

    /// Whether a user has joined at the end of a branch.
    pub fn is_joined(&self, branch: &Branch, user: &str) -> bool {
        let member = self.at(&branch.state, "m.room.member", user);
        member.is_some_and(|member| member.membership() == Some(Membership::Join))
    }

    /// The content of a state event.
    pub fn content(&self, state: &StateMap, kind: &str, key: &str) -> Option<Map<String, Value>> {
        let event = self.at(state, kind, key)?;
        serde_json::from_str(event.content.get()).ok()
    }

    /// What would become an event at the end of a branch.
    pub fn parts(&self, branch: &Branch, deed: &Deed) -> Parts {
        let mut fields = Map::new();
        fields.insert("type".to_owned(), deed.kind.as_str().into());
        fields.insert("sender".to_owned(), deed.sender.as_str().into());
        fields.insert("content".to_owned(), deed.content.clone());
        fields.insert("depth".to_owned(), branch.depth.into());
        fields.insert("origin_server_ts".to_owned(), self.clock.into());
        fields.insert("prev_events".to_owned(), json!(branch.extremities));
        fields.insert("auth_events".to_owned(), json!(self.citations(branch, deed)));
        if let Some(state_key) = &deed.state_key {
            fields.insert("state_key".to_owned(), state_key.clone());
        }
        if let Some(redacts) = &deed.redacts {
            fields.insert("redacts".to_owned(), redacts.clone());
        }
        if let Some(room_id) = &self.room_id {
            fields.insert("room_id".to_owned(), room_id.as_str().into());
        }
        Parts { fields, signers: signers(deed) }
    }

    fn citations(&self, branch: &Branch, deed: &Deed) -> Vec<OwnedEventId> {
        let of = (&*deed.kind, deed.state_key.as_ref().and_then(Value::as_str));
        let state = |key: &(String, String)| branch.state.get(key).cloned();
        cited(self.version, &deed.sender, of, &deed.content, state)
    }

    /// The event as its sender's server would send it.
    pub fn seal(&self, parts: &Parts) -> CanonicalJsonObject {
        self.signed(parts, self.hashed(parts))
    }

    /// The event with other hashes than its own, signed all the same.
    pub fn seal_with(&self, parts: &Parts, hashes: Value) -> CanonicalJsonObject {
        let mut object = self.hashed(parts);
        object.insert("hashes".to_owned(), hashes.try_into().unwrap());
        self.signed(parts, object)
    }

    fn signed(&self, parts: &Parts, mut object: CanonicalJsonObject) -> CanonicalJsonObject {
        for (server, key) in SERVERS.iter().zip(&self.keys) {
            if parts.signers.iter().any(|signer| signer == server) {
                key.sign_event(self.version, &mut object, server);
            }
        }
        let none = || CanonicalJsonValue::Object(CanonicalJsonObject::new());
        object.entry("signatures".to_owned()).or_insert_with(none);
        object
    }

    fn hashed(&self, parts: &Parts) -> CanonicalJsonObject {
        hashed(canonical_object(Value::Object(parts.fields.clone())).unwrap())
    }

    /// Whether a deed would be allowed at the end of a branch.
    pub fn allows(&self, branch: &Branch, deed: &Deed) -> bool {
        let object = self.hashed(&self.parts(branch, deed));
        let id = event_id(&object, self.version);
        let Ok(pdu) = Pdu::from_object(id, &object, self.version) else { return false };
        check_state(self.version, &pdu, |kind, key| self.at(&branch.state, kind, key)).is_ok()
    }

    /// Does something at the end of a branch, allowed or not.
    pub fn happen(&mut self, branch: &mut Branch, deed: &Deed) -> Rc<Pdu> {
        let object = self.seal(&self.parts(branch, deed));
        let id = event_id(&object, self.version);
        let pdu = Rc::new(Pdu::from_object(id, &object, self.version).unwrap());
        self.follow(branch, &pdu);
        pdu
    }

    /// Lets a branch go on with an event.
    pub fn follow(&mut self, branch: &mut Branch, pdu: &Rc<Pdu>) {
        if let Some((kind, key)) = pdu.key() {
            branch.state.insert((kind.to_owned(), key.to_owned()), pdu.event_id.clone());
        }
        branch.extremities = vec![pdu.event_id.clone()];
        branch.depth += 1;
        self.events.insert(pdu.event_id.clone(), pdu.clone());
        self.clock += [0, 1, 1000, -700][self.dice.below(4)];
    }

    /// Text with everything that a hash must get right, now and then.
    pub fn text(&self) -> String {
        let odd =
            ["\u{e000}", "\u{10000}", "\u{0}", "\u{7f}", "\u{2028}", "/", "\"\\", "\u{1b}", "é"];
        let count = self.dice.below(4);
        (0..count).map(|_| *self.dice.one(&odd)).collect()
    }
}

/// The object as text.
pub fn text_of(object: &CanonicalJsonObject) -> String {
    to_string(object)
}

fn signers(deed: &Deed) -> Vec<String> {
    let server_of = |user: &str| user.split_once(':').map(|(_, server)| server.to_owned());
    let authoriser = deed.content.get("join_authorised_via_users_server").and_then(Value::as_str);
    server_of(&deed.sender).into_iter().chain(authoriser.and_then(server_of)).collect()
}
