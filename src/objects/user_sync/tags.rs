//! Which tags has the user put on a room?
//! ([room tagging](https://spec.matrix.org/v1.19/client-server-api/#room-tagging))
//!
//! The tags of a room are an item of its account data, which clients may also write whole.

use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use tombolo_protocol::json::plain_object;

use super::{ChangeTag, Refusal, Result, User};
use crate::shell::Stop;

/// The account data type of the tags.
pub const TAGS: &str = "m.tag";

/// The longest list of a room's tags, in bytes.
const MAX_TAGS: usize = 64 << 10;

/// Puts a tag on a room, or takes it away.
pub fn change(user: &mut User<'_>, message: ChangeTag) -> Result<()> {
    user.exists()?;
    user.must_be_active()?;
    let ChangeTag { room_id, tag, info } = message;
    let room = room_id.as_str();
    let held = user.item(room, TAGS)?;
    // What clients have written whole may be of any form.
    let mut content: Map<String, Value> =
        held.as_deref().and_then(plain_object).unwrap_or_default();
    let mut tags = match content.remove("tags") {
        Some(Value::Object(tags)) => tags,
        _ => Map::new(),
    };
    match info {
        Some(info) => {
            tags.insert(tag, serde_json::from_str(info.get())?);
        }
        // There is nothing to tell of.
        None if tags.remove(&tag).is_none() => return Ok(()),
        None => {}
    }
    content.insert("tags".to_owned(), Value::Object(tags));
    let content: Box<RawValue> = to_raw_value(&content)?;
    let invalid = |why: &str| Err(Stop::Refused(Refusal::Invalid(why.to_owned())));
    if content.get().len() > MAX_TAGS {
        return invalid("the room has too many tags");
    }
    // What is said of a tag stands deeper here.
    if plain_object(content.get()).is_none() {
        return invalid("the tag is nested too deep");
    }
    user.set_item(room, TAGS, &content)
}
