//! Which tags has the user put on a room?
//! ([room tagging](https://spec.matrix.org/v1.19/client-server-api/#room-tagging))
//!
//! The tags of a room are an item of its account data, which clients may also write whole.

use serde_json::value::{RawValue, to_raw_value};
use tombolo_protocol::json::members;

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
    let held = user.item(room, TAGS)?.map(RawValue::from_string).transpose()?;
    // What clients have written whole may be of any form, and stays as it is.
    let mut content = members(held.as_deref());
    let mut tags = members(content.remove("tags").as_deref());
    let grows = info.is_some();
    match info {
        Some(info) => _ = tags.insert(tag, info),
        // There is nothing to tell of.
        None if tags.remove(&tag).is_none() => return Ok(()),
        None => {}
    }
    content.insert("tags".to_owned(), to_raw_value(&tags)?);
    let content = to_raw_value(&content)?;
    if grows && content.get().len() > MAX_TAGS {
        return Err(Stop::Refused(Refusal::Invalid("the room has too many tags".to_owned())));
    }
    user.set_item(room, TAGS, &content)
}
