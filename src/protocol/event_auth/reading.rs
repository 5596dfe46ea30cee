//! Which reading of the rules is ours, where servers differ?
//! ([authorization rules](https://spec.matrix.org/v1.19/rooms/v12/#authorization-rules))
//!
//! Two servers that judge one event differently split the room, so the reading of most servers
//! is taken. ruma's checks are stricter in some places, which are bridged here by showing them an
//! event that says the same in the form they accept:
//!
//! * A room without `m.room.join_rules`, or with such an event without a `join_rule`, has the join
//!   rule `invite`, its default; ruma refuses all joins.
//! * `null` is a value: a `third_party_invite` or `join_authorised_via_users_server` of `null` is
//!   there and wrong, and a `creator` of `null` is there; ruma takes it for absence.
//! * Up to room version 9 a power level may be a boolean, `true` being 1, because servers have
//!   always read levels by converting to an integer; ruma refuses the event.
//! * A room whose create event has an `m.federate` other than `true` does not federate, whatever
//!   it holds; ruma refuses all that happens there. And what is done to a user of another server
//!   is refused there as well, not only what such a user does.
//! * Only a power levels event with an empty state key is held to who may change which level: others are no levels.
//! * Power levels may hold anything beside the levels, at any depth; ruma reads all of it, and
//!   not beyond 128 levels.

use std::borrow::Cow;

use ruma::events::StateEventType;
use serde_json::{Value, value::RawValue};

use crate::{
    canonical_json::write_string,
    event::{Pdu, fields},
    json::parse_value,
    membership::Membership,
    room_version::RoomVersion,
};

/// An event as the rules read it: as it was found, or saying the same in another form.
pub(super) enum Reading<E> {
    Found(E),
    Other(Box<Pdu>),
}

impl<E: AsRef<Pdu>> AsRef<Pdu> for Reading<E> {
    fn as_ref(&self) -> &Pdu {
        match self {
            Self::Found(event) => event.as_ref(),
            Self::Other(event) => event,
        }
    }
}

/// How the rules read what was found in the state for a type and its key.
pub(super) fn of_state<E: AsRef<Pdu>>(
    version: &RoomVersion,
    incoming: &Pdu,
    kind: &StateEventType,
    found: Option<E>,
) -> Option<Reading<E>> {
    let Some(found) = found else {
        // Only the content of join rules is ever looked at, so any event can carry it.
        let invite = matches!(kind, StateEventType::RoomJoinRules).then(default_join_rules)??;
        return Some(Reading::Other(Box::new(incoming.with_content(invite))));
    };
    let content = match kind {
        StateEventType::RoomPowerLevels => {
            numbers(version, found.as_ref()).or_else(|| excerpt(incoming, found.as_ref()))
        }
        StateEventType::RoomCreate => decided_federation(found.as_ref()),
        StateEventType::RoomJoinRules if found.as_ref().content_field("join_rule").is_none() => {
            default_join_rules()
        }
        _ => None,
    };
    Some(match content {
        Some(content) => Reading::Other(Box::new(found.as_ref().with_content(content))),
        None => Reading::Found(found),
    })
}

/// How the rules read the event that is judged.
pub(super) fn of_incoming<'a>(version: &RoomVersion, pdu: &'a Pdu) -> Cow<'a, Pdu> {
    let content = match pdu.kind() {
        "m.room.power_levels" => numbers(version, pdu),
        "m.room.create" => present_creator(pdu),
        _ => None,
    };
    match content {
        Some(content) => Cow::Owned(pdu.with_content(content)),
        None => Cow::Borrowed(pdu),
    }
}

/// The content of a create event whose `creator` is there, but `null`.
fn present_creator(create: &Pdu) -> Option<Box<RawValue>> {
    create.content_field("creator").filter(|creator| creator.get() == "null")?;
    let mut content = parse_value(create.content.get().as_bytes()).ok()?;
    content.as_object_mut()?.insert("creator".to_owned(), Value::String(String::new()));
    serde_json::value::to_raw_value(&content).ok()
}

/// Refuses what is there and `null`, and is nothing that could allow the event.
pub(super) fn check_nulls(version: &RoomVersion, pdu: &Pdu) -> Result<(), String> {
    let field = match pdu.membership() {
        Some(Membership::Invite) => "third_party_invite",
        Some(Membership::Join) if version.rules.authorization.restricted_join_rule => {
            "join_authorised_via_users_server"
        }
        _ => return Ok(()),
    };
    match pdu.content_field(field) {
        Some(value) if value.get() == "null" => Err(format!("`{field}` is null")),
        _ => Ok(()),
    }
}

/// The content of a create event with a boolean `m.federate`, if it has another.
fn decided_federation(create: &Pdu) -> Option<Box<RawValue>> {
    let federate = create.content_field("m.federate")?;
    if matches!(federate.get(), "true" | "false") {
        return None;
    }
    let mut content = parse_value(create.content.get().as_bytes()).ok()?;
    content.as_object_mut()?.insert("m.federate".to_owned(), Value::Bool(false));
    serde_json::value::to_raw_value(&content).ok()
}

/// Whether the room is open to the server of the user to whom a member event does something.
pub(super) fn federates_with_target(pdu: &Pdu, create: &Pdu) -> bool {
    let target = pdu.state_key.as_deref().filter(|_| pdu.kind() == "m.room.member");
    let Some(target) = target.filter(|target| *target != pdu.sender.as_str()) else { return true };
    // The one join that someone else can send is that of the room's creator.
    let is_join = pdu.membership() == Some(Membership::Join);
    let server = target.split_once(':').map(|(_, server)| server);
    is_join
        || server == Some(create.sender.server_name().as_str())
        || create.content_field("m.federate").is_none_or(|federate| federate.get() == "true")
}

fn default_join_rules() -> Option<Box<RawValue>> {
    RawValue::from_string("{\"join_rule\":\"invite\"}".to_owned()).ok()
}

/// The keys of power levels that the rules look at.
const LEVELS: [&str; 10] = [
    "ban",
    "events",
    "events_default",
    "invite",
    "kick",
    "notifications",
    "redact",
    "state_default",
    "users",
    "users_default",
];

/// More brackets than power levels of any use have.
const MANY_BRACKETS: usize = 100;

/// The content of power levels in the form that ruma reads, if theirs is another.
fn numbers(version: &RoomVersion, levels: &Pdu) -> Option<Box<RawValue>> {
    let text = levels.content.get();
    let booleans = !version.rules.authorization.integer_power_levels
        && (text.contains("true") || text.contains("false"));
    let deep = text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count() > MANY_BRACKETS;
    if !booleans && !deep {
        return None;
    }
    let mut content = parse_value(text.as_bytes()).ok()?;
    let members = content.as_object_mut()?;
    members.retain(|key, _| LEVELS.contains(&key.as_str()));
    for value in members.values_mut().filter(|_| booleans) {
        match value {
            Value::Object(levels) => levels.values_mut().for_each(boolean_to_number),
            other => boolean_to_number(other),
        }
    }
    serde_json::value::to_raw_value(&content).ok()
}

/// From this size on, power levels are shown in excerpts.
const LARGE: usize = 2048;

/// The content of large power levels, with no other users and types than an event concerns: the
/// checks would read, and hold, each entry for every event.
///
/// An event that changes the levels concerns all of them.
fn excerpt(incoming: &Pdu, levels: &Pdu) -> Option<Box<RawValue>> {
    if levels.content.get().len() < LARGE || incoming.kind() == "m.room.power_levels" {
        return None;
    }
    let target = incoming.state_key.as_deref().filter(|_| incoming.kind() == "m.room.member");
    let authoriser = incoming.content_str("join_authorised_via_users_server");
    // What users do to themselves is mostly decided without levels, which are then not read at all.
    if target == Some(incoming.sender.as_str()) && authoriser.is_none() {
        return None;
    }
    let users = [Some(incoming.sender.as_str()), target, authoriser.as_deref()];
    let mut text = String::from("{");
    for (name, value) in LEVELS.into_iter().zip(fields(&levels.content, LEVELS)) {
        let Some(value) = value else { continue };
        let wanted = match name {
            "users" => users,
            "events" => [Some(incoming.kind()), None, None],
            _ => {
                push(&mut text, name, value.get());
                continue;
            }
        };
        push(&mut text, name, &entries(value, wanted));
    }
    text.push('}');
    RawValue::from_string(text).ok()
}

/// Those entries of an object that are wanted; one that is wanted twice stands there twice, which
/// says the same. What is no object stays as it is.
fn entries(object: &RawValue, wanted: [Option<&str>; 3]) -> String {
    if !object.get().starts_with('{') {
        return object.get().to_owned();
    }
    let values = fields(object, wanted.map(Option::unwrap_or_default));
    let mut text = String::from("{");
    for (name, value) in wanted.into_iter().zip(values) {
        if let (Some(name), Some(value)) = (name, value) {
            push(&mut text, name, value.get());
        }
    }
    text.push('}');
    text
}

fn push(text: &mut String, name: &str, value: &str) {
    if !text.ends_with('{') {
        text.push(',');
    }
    write_string(text, name);
    text.push(':');
    text.push_str(value);
}

fn boolean_to_number(level: &mut Value) {
    if let Value::Bool(level_is_one) = level {
        *level = Value::from(u8::from(*level_is_one));
    }
}
