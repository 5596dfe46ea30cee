//! Which events follow the create event of a new room, and in which order?
//! ([`createRoom`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom))

use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value, json, value::to_raw_value};
use tombolo_protocol::membership::Membership;

use super::{NewRoom, POWER_LEVELS, Preset, Unmade, is_key, power::levels};
use crate::objects::room::messages::Draft;

/// The events, in the order the specification gives. `creator` and `invited` hold the content of the users' member
/// events.
pub fn after_create(
    new: &NewRoom,
    creator: Map<String, Value>,
    invited: Vec<(OwnedUserId, Map<String, Value>)>,
) -> Result<Vec<Draft>, Unmade> {
    let mut drafts = vec![member(&new.creator, Membership::Join, creator)?];
    drafts.push(state(POWER_LEVELS, &Value::Object(levels(new)?))?);
    if let Some(alias) = &new.alias {
        drafts.push(state("m.room.canonical_alias", &json!({ "alias": alias }))?);
    }
    for (event_type, content) in preset(new.preset) {
        if !is_given(new, event_type) {
            drafts.push(state(event_type, &content)?);
        }
    }
    for initial in new.initial_state.iter().filter(|initial| !is_key(initial, POWER_LEVELS)) {
        drafts.push(Draft {
            event_type: initial.event_type.clone(),
            state_key: Some(initial.state_key.clone()),
            content: initial.content.clone(),
            redacts: None,
        });
    }
    if let Some(name) = &new.name {
        drafts.push(state("m.room.name", &json!({ "name": name }))?);
    }
    if let Some(topic) = &new.topic {
        drafts.push(state(
            "m.room.topic",
            &json!({ "topic": topic, "m.topic": { "m.text": [{ "body": topic }] } }),
        )?);
    }
    for (user, content) in invited {
        drafts.push(invite(new, &user, content)?);
    }
    Ok(drafts)
}

/// The invite of a user; `content` holds their display name and avatar, if known.
pub fn invite(
    new: &NewRoom,
    user: &UserId,
    mut content: Map<String, Value>,
) -> serde_json::Result<Draft> {
    if new.is_direct {
        content.insert("is_direct".to_owned(), json!(true));
    }
    member(user, Membership::Invite, content)
}

/// Whether the client gives this event itself, which then replaces ours.
fn is_given(new: &NewRoom, event_type: &str) -> bool {
    new.initial_state.iter().any(|initial| is_key(initial, event_type))
}

/// The rules a preset stands for. Without a word on guests there are none.
fn preset(preset: Preset) -> Vec<(&'static str, Value)> {
    let (join_rule, guests) = match preset {
        Preset::PrivateChat | Preset::TrustedPrivateChat => ("invite", true),
        Preset::PublicChat => ("public", false),
    };
    let mut rules = vec![
        ("m.room.join_rules", json!({ "join_rule": join_rule })),
        ("m.room.history_visibility", json!({ "history_visibility": "shared" })),
    ];
    if guests {
        rules.push(("m.room.guest_access", json!({ "guest_access": "can_join" })));
    }
    rules
}

fn state(event_type: &str, content: &Value) -> serde_json::Result<Draft> {
    let content = to_raw_value(content)?;
    Ok(Draft {
        event_type: event_type.to_owned(),
        state_key: Some(String::new()),
        content,
        redacts: None,
    })
}

fn member(
    user: &UserId,
    membership: Membership,
    mut content: Map<String, Value>,
) -> serde_json::Result<Draft> {
    content.insert("membership".to_owned(), json!(membership));
    let draft = state("m.room.member", &Value::Object(content))?;
    Ok(Draft { state_key: Some(user.to_string()), ..draft })
}
