//! What of a room goes over to the one that replaces it, when the user joins that?
//! ([room upgrades](https://spec.matrix.org/v1.19/client-server-api/#room-upgrades))
//!
//! Tags, the mark as a direct chat and the push rules of the room are copied, as other servers do; what the user has
//! set for the new room stays.

use ruma::{
    RoomId,
    events::push_rules::PushRulesEventContent,
    push::{NewPushRule, NewSimplePushRule, RuleKind},
};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use super::{PUSH_RULES, Result, TAGS, User};

/// The account data type of the list of direct chats.
const DIRECT: &str = "m.direct";

impl User<'_> {
    /// Copies what the user has set for a room to the one that replaces it.
    pub fn take_over(&mut self, old: &RoomId, new: &RoomId) -> Result<()> {
        if old == new || !self.loaded()?.rooms.contains_key(old) {
            return Ok(());
        }
        if self.item(new.as_str(), TAGS)?.is_none()
            && let Some(tags) = self.item(old.as_str(), TAGS)?
        {
            self.set_item(new.as_str(), TAGS, &RawValue::from_string(tags)?)?;
        }
        self.take_over_direct(old, new)?;
        self.take_over_rule(old, new)
    }

    fn take_over_direct(&mut self, old: &RoomId, new: &RoomId) -> Result<()> {
        let Some(held) = self.item("", DIRECT)? else { return Ok(()) };
        // Clients may have written anything: what is no list of rooms stays as it is.
        let Ok(Value::Object(mut users)) = serde_json::from_str(&held) else { return Ok(()) };
        let names =
            |rooms: &[Value], room: &RoomId| rooms.iter().any(|named| named == room.as_str());
        let mut changed = false;
        for rooms in users.values_mut().filter_map(Value::as_array_mut) {
            if names(rooms, old) && !names(rooms, new) {
                rooms.push(Value::String(new.to_string()));
                changed = true;
            }
        }
        if changed { self.set_item("", DIRECT, &to_raw_value(&users)?) } else { Ok(()) }
    }

    fn take_over_rule(&mut self, old: &RoomId, new: &RoomId) -> Result<()> {
        let mut rules = self.rules()?.all.clone();
        let held = rules.get(RuleKind::Room, old.as_str());
        let Some((actions, enabled)) = held.map(|rule| (rule.actions().to_vec(), rule.enabled()))
        else {
            return Ok(());
        };
        if rules.get(RuleKind::Room, new.as_str()).is_some() {
            return Ok(());
        }
        let rule = NewPushRule::Room(NewSimplePushRule::new(new.to_owned(), actions));
        let is_added = rules.insert(rule, None, None).is_ok()
            && rules.set_enabled(RuleKind::Room, new.as_str(), enabled).is_ok();
        if !is_added {
            return Ok(());
        }
        let content = to_raw_value(&PushRulesEventContent::new(self.changed(rules)?))?;
        self.set_item("", PUSH_RULES, &content)
    }
}
