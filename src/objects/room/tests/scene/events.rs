//! What do the events of a scenario look like?

use ruma::{OwnedUserId, UserId};
use serde_json::{Value, json, value::RawValue};
use std::collections::BTreeMap;
use tombolo_protocol::{
    admission::Checked,
    canonical_json::CanonicalJsonObject,
    event::{self, Pdu},
    json::parse_object,
    room_version::RoomVersion,
    signing::SigningKey,
};

use super::{OURS, THEIRS};
use crate::objects::room::messages::*;

pub fn user(localpart: &str, server: &str) -> OwnedUserId {
    UserId::parse(format!("@{localpart}:{server}")).unwrap()
}

pub fn wish(kind: &str, key: Option<&str>, content: &Value) -> Draft {
    let content = serde_json::value::to_raw_value(content).unwrap();
    Draft { event_type: kind.to_owned(), state_key: key.map(str::to_owned), content, redacts: None }
}

pub fn checked(pdu: &Pdu) -> Checked {
    Checked {
        event_id: pdu.event_id.clone(),
        json: RawValue::from_string(pdu.json.clone()).unwrap(),
    }
}

/// The event's body, for comparing timelines.
pub fn ids(events: &[Box<RawValue>]) -> Vec<String> {
    let id = |event: &RawValue| {
        serde_json::from_str::<Value>(event.get()).unwrap()["event_id"].as_str().unwrap().to_owned()
    };
    events.iter().map(|event| id(event)).collect()
}

pub fn levels(version: &RoomVersion, alice: &UserId) -> Value {
    let users = if version.rules.authorization.explicitly_privilege_room_creators {
        json!({})
    } else {
        json!({ alice.as_str(): 100 })
    };
    json!({ "users": users, "state_default": 50 })
}

pub fn draft(sender: &UserId, kind: &str, key: Option<&str>, content: &Value) -> event::Draft {
    let content: CanonicalJsonObject = parse_object(content.to_string().as_bytes()).unwrap();
    event::Draft {
        sender: sender.to_owned(),
        event_type: kind.to_owned(),
        state_key: key.map(str::to_owned),
        content,
        redacts: None,
    }
}

pub fn key(server: &str) -> SigningKey {
    SigningKey::from_seed("ed25519:k", if server == OURS { [1; 32] } else { [2; 32] }).unwrap()
}

pub fn key_of_theirs() -> SigningKey {
    key(THEIRS)
}

pub fn variables() -> BTreeMap<String, String> {
    let seed = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    [
        ("SERVER_NAME", OURS.to_owned()),
        ("SIGNING_KEY", format!("ed25519 k {seed}")),
        ("TOKEN_SECRET", seed.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
