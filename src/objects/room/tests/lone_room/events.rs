//! What do the events of a scenario look like?

use ruma::{OwnedUserId, UserId};
use serde_json::{Value, json, value::RawValue};
use tombolo_protocol::{
    event::{self, Links, Pdu},
    json::parse_object,
    room_version::RoomVersion,
    signing::SigningKey,
};

use super::OURS;
use crate::objects::room::messages::*;

pub fn user(localpart: &str, server: &str) -> OwnedUserId {
    UserId::parse(format!("@{localpart}:{server}")).unwrap()
}

/// What a local user is to send.
pub fn draft(kind: &str, key: Option<&str>, content: &Value) -> Draft {
    let content = serde_json::value::to_raw_value(content).unwrap();
    Draft { event_type: kind.to_owned(), state_key: key.map(str::to_owned), content, redacts: None }
}

/// The events' IDs, for comparing timelines.
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

/// An event, signed by its sender's server.
pub fn built(
    version: &RoomVersion,
    sender: &UserId,
    (kind, key, content): (&str, Option<&str>, &Value),
    links: Links<'_>,
) -> Pdu {
    let draft = event::Draft {
        sender: sender.to_owned(),
        event_type: kind.to_owned(),
        state_key: key.map(str::to_owned),
        content: parse_object(content.to_string().as_bytes()).unwrap(),
        redacts: None,
    };
    let server = sender.server_name().as_str();
    event::build(version, draft, links, &signing_key(server), server).unwrap()
}

fn signing_key(server: &str) -> SigningKey {
    SigningKey::from_seed("ed25519:k", if server == OURS { [1; 32] } else { [2; 32] }).unwrap()
}
