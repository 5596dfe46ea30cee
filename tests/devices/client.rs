//! What does one client know, as the specification has it keep it?
//! ([tracking the device list](https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user))
//!
//! It tracks the users with whom its own user shares a room, and keeps one outdated until an answer came to a question
//! that was asked after the last change it was told of. Every room counts as encrypted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Whom a client tracks.
#[derive(Default)]
pub struct Tracked {
    /// The number of the last change that no answer covers.
    pub outdated: Option<usize>,
    /// What the last answer said of the user.
    pub keys: Value,
}

/// What a client knows.
pub struct Client {
    user: String,
    /// The tokens of its first and its last sync.
    pub first: Option<String>,
    pub since: Option<String>,
    /// By room that the user has joined: the membership of each user.
    rooms: BTreeMap<String, BTreeMap<String, String>>,
    pub tracked: BTreeMap<String, Tracked>,
    /// Whom it tracked after its first sync, and what it was first told of each user's keys.
    pub initial: BTreeSet<String>,
    pub first_keys: BTreeMap<String, Value>,
    /// What its syncs after the first one said of each user last, and of whom they ever said something.
    pub told: BTreeMap<String, &'static str>,
    /// The contents of messages, in the order in which they came, with their senders.
    pub received: Vec<(String, Value)>,
    /// How many users' keys it was given.
    pub answered: usize,
    changes: usize,
}

impl Client {
    pub fn new(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            first: None,
            since: None,
            rooms: BTreeMap::new(),
            tracked: BTreeMap::new(),
            initial: BTreeSet::new(),
            first_keys: BTreeMap::new(),
            told: BTreeMap::new(),
            received: Vec::new(),
            answered: 0,
            changes: 0,
        }
    }

    /// Learns from a sync; answers whether it said anything.
    pub fn take(&mut self, body: &Value) -> bool {
        let initial = self.since.is_none();
        self.since = body["next_batch"].as_str().map(str::to_owned);
        for event in list(&body["to_device"]["events"]) {
            let sender = event["sender"].as_str().unwrap_or_default().to_owned();
            self.received.push((sender, event["content"].clone()));
        }
        for room in object(&body["rooms"]["leave"]) {
            self.rooms.remove(room.0);
        }
        for (room, news) in object(&body["rooms"]["join"]) {
            let members = self.rooms.entry(room.clone()).or_default();
            for event in list(&news["state"]["events"]).chain(list(&news["timeline"]["events"])) {
                if let (Some("m.room.member"), Some(user)) =
                    (event["type"].as_str(), event["state_key"].as_str())
                {
                    let membership = event["content"]["membership"].as_str().unwrap_or_default();
                    members.insert(user.to_owned(), membership.to_owned());
                }
            }
        }
        if initial {
            self.first.clone_from(&self.since);
            let users: BTreeSet<String> = self.rooms.values().flat_map(sharers).cloned().collect();
            users.iter().for_each(|user| self.outdate(user));
            self.outdate(&self.user.clone());
            self.initial = self.tracked.keys().cloned().collect();
        }
        self.take_lists(&body["device_lists"]);
        ["to_device", "device_lists", "rooms"].iter().any(|part| body.get(part).is_some())
    }

    fn take_lists(&mut self, lists: &Value) {
        for user in list(&lists["changed"]).filter_map(Value::as_str) {
            self.told.insert(user.to_owned(), "changed");
            // A change may be told late of a user who is gone: `changed` is no reason to track anybody.
            if *user == self.user
                || self.rooms.values().any(|room| sharers(room).any(|of| of == user))
            {
                self.outdate(user);
            }
        }
        for user in list(&lists["left"]).filter_map(Value::as_str) {
            self.told.insert(user.to_owned(), "left");
            self.tracked.remove(user);
        }
    }

    fn outdate(&mut self, user: &str) {
        self.changes += 1;
        self.tracked.entry(user.to_owned()).or_default().outdated = Some(self.changes);
    }

    /// The users whose keys have to be asked for, each with the number of the last change.
    pub fn outdated(&self) -> BTreeMap<String, usize> {
        let outdated = self.tracked.iter();
        outdated.filter_map(|(user, of)| Some((user.clone(), of.outdated?))).collect()
    }

    /// Learns from the answer to a question after these users. Who changed since it was asked stays outdated, and so do
    /// the users of a server that failed.
    pub fn learn(&mut self, asked: &BTreeMap<String, usize>, body: &Value) {
        for (user, change) in asked {
            let Some(tracked) = self.tracked.get_mut(user) else { continue };
            let server = user.split_once(':').map(|(_, server)| server).unwrap_or_default();
            if body["failures"].get(server).is_some() {
                continue;
            }
            self.answered += 1;
            tracked.keys = keys_of(body, user);
            self.first_keys.entry(user.clone()).or_insert_with(|| tracked.keys.clone());
            if tracked.outdated == Some(*change) {
                tracked.outdated = None;
            }
        }
    }
}

/// What an answer to `/keys/query` says of a user, but for what only the user is shown.
pub fn keys_of(body: &Value, user: &str) -> Value {
    let [devices, master, self_signing] =
        ["device_keys", "master_keys", "self_signing_keys"].map(|kind| body[kind][user].clone());
    json!({ "devices": devices, "master": master, "self_signing": self_signing })
}

/// Who shares a room with those who have joined it.
fn sharers(room: &BTreeMap<String, String>) -> impl Iterator<Item = &String> {
    room.iter().filter(|(_, of)| matches!(of.as_str(), "join" | "invite")).map(|(user, _)| user)
}

/// The members of an array; anything else has none.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The members of an object; anything else has none.
pub fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
