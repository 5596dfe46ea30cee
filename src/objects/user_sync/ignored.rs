//! Whom does the user ignore?
//! ([ignoring users](https://spec.matrix.org/v1.19/client-server-api/#ignoring-users))
//!
//! The list is an item of account data. Rooms get it with each question and leave out the messages of these users; this
//! object leaves out their invites, and those that the user does not want (`invite_rules.rs`).

use std::{collections::BTreeSet, rc::Rc};

use ruma::{OwnedRoomId, OwnedUserId};
use serde_json::value::RawValue;
use tombolo_protocol::event::fields;

use super::{Result, User, invite_rules::InviteRule};

/// The account data type of the list.
pub const IGNORED_USERS: &str = "m.ignored_user_list";

impl User<'_> {
    /// Whom the user ignores, read once per stay in memory. Nobody ignores themselves, or what the server has to say.
    pub fn ignored(&mut self) -> Result<Rc<BTreeSet<OwnedUserId>>> {
        if let Some(ignored) = &self.cache.ignored {
            return Ok(Rc::clone(ignored));
        }
        let content = self.item("", IGNORED_USERS)?;
        let mut ignored = content.as_deref().map(read).unwrap_or_default();
        ignored.retain(|user| user.as_str() != self.name);
        if let Some(sender) = &self.config.server_notices {
            ignored.remove(sender);
        }
        let ignored = Rc::new(ignored);
        self.cache.ignored = Some(Rc::clone(&ignored));
        Ok(ignored)
    }

    /// Whether an invite is not to be shown: it comes from somebody the user ignores, or is not wanted by the user's
    /// rules. `shown` is its stripped state, if it was loaded.
    pub fn hides_invite(&mut self, room: &OwnedRoomId, shown: Option<&RawValue>) -> Result<bool> {
        if self.ignored()?.is_empty() && self.wants_all_invites()? {
            return Ok(false);
        }
        if let Some(shown) = shown {
            return self.hides_invite_by(inviter(shown.get(), self.name));
        }
        // With many invites, not every stripped state was loaded: it is read here.
        let pos = self.loaded()?.rooms.get(room).map(|last| last.pos);
        let shown = match pos {
            Some(pos) => self.stripped_at(pos)?,
            None => None,
        };
        self.hides_invite_by(shown.and_then(|shown| inviter(&shown, self.name)))
    }

    /// Whether an invite by this user is not to be shown.
    pub fn hides_invite_by(&mut self, inviter: Option<OwnedUserId>) -> Result<bool> {
        let Some(inviter) = inviter else {
            // Whose it is cannot be read: it is shown to who wants all.
            return Ok(!self.ignored()?.is_empty() || !self.wants_all_invites()?);
        };
        let is_ignored = self.ignored()?.contains(&inviter);
        Ok(is_ignored || self.invite_rule(Some(&inviter))? != InviteRule::Allow)
    }
}

/// The users of the list; entries that are no user IDs have no effect.
fn read(content: &str) -> BTreeSet<OwnedUserId> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct List {
        ignored_users: std::collections::BTreeMap<String, serde::de::IgnoredAny>,
    }
    let list: List = serde_json::from_str(content).unwrap_or_default();
    list.ignored_users.into_keys().filter_map(|user| user.try_into().ok()).collect()
}

/// This user's member event in a stripped state.
pub fn own_member<'a>(shown: &'a str, user: &str) -> Option<&'a RawValue> {
    let events: Vec<&RawValue> = serde_json::from_str(shown).ok()?;
    let is_own = |event: &&RawValue| {
        let [kind, key] = fields(event, ["type", "state_key"]);
        text(kind).is_some_and(|kind| kind == "m.room.member")
            && text(key).is_some_and(|key| key == user)
    };
    events.into_iter().rev().find(is_own)
}

/// Who sent this user's member event in a stripped state.
fn inviter(shown: &str, user: &str) -> Option<OwnedUserId> {
    sender(own_member(shown, user)?)
}

/// Who sent an event.
pub fn sender(event: &RawValue) -> Option<OwnedUserId> {
    text(fields(event, ["sender"])[0])?.try_into().ok()
}

fn text(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(value?.get()).ok()
}
