//! Which push rule matches an event?
//! ([conditions](https://spec.matrix.org/v1.19/client-server-api/#conditions-1))
//!
//! The rules are ruma's, and so is the order in which they count. Ruma's own judgement makes a regular expression of
//! each pattern, which costs more than all the rest of it, in time and in the size of the Worker.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap, ops::RangeBounds};

use ruma::{
    EventId, OwnedRoomId, UInt,
    events::AnySyncTimelineEvent,
    push::{
        Action, AnyPushRuleRef, ConditionalPushRule, FlattenedJson, FlattenedJsonValue,
        PushCondition, Ruleset,
    },
    serde::Raw,
};
use serde_json::value::RawValue;
use tombolo_protocol::glob::{Pattern, folded};

/// The text in which words are looked for.
const BODY: &str = "content.body";
/// The default rules for names in a text, which do not count where a message says whom it means.
const BY_NAME: [&str; 3] =
    [".m.rule.contains_display_name", ".m.rule.roomnotif", ".m.rule.contains_user_name"];

/// What the rules ask of a room.
pub struct RoomContext {
    pub room_id: OwnedRoomId,
    pub members: UInt,
    /// The user's name, by which a text is searched.
    pub name: Pattern,
    /// The level for notifying everybody.
    pub room_level: i64,
}

/// An event that is judged.
pub struct Judged {
    fields: FlattenedJson,
    /// Its texts without regard to case, as far as a rule asked for them.
    folded: BTreeMap<String, String>,
    /// Whether the body has the user's name, as far as a rule asked for it: many may.
    named: Option<bool>,
    /// The sender's power level.
    level: i64,
    /// Whether the user is subscribed to its thread, if rules ask for that.
    subscribed: Option<bool>,
}

impl Judged {
    /// Reads an event, which is not nested deeper than can be read.
    pub fn new(event: &RawValue, level: i64, subscribed: Option<bool>) -> Self {
        let event: Raw<AnySyncTimelineEvent> = Raw::from_json(event.to_owned());
        let fields = FlattenedJson::from_raw(&event);
        Self { fields, folded: BTreeMap::new(), named: None, level, subscribed }
    }

    /// The actions of the first rule that matches; none where no rule does.
    pub fn actions<'a>(&mut self, rules: &'a Ruleset, room: &RoomContext) -> &'a [Action] {
        let found = rules.iter().find(|rule| self.meets(rule, room));
        found.map_or(&[], |rule| rule.actions())
    }

    fn meets(&mut self, rule: &AnyPushRuleRef<'_>, room: &RoomContext) -> bool {
        if !rule.enabled() || BY_NAME.contains(&rule.rule_id()) && self.fields.contains_mentions() {
            return false;
        }
        match rule {
            AnyPushRuleRef::Override(rule)
            | AnyPushRuleRef::Underride(rule)
            | AnyPushRuleRef::PostContent(rule) => self.meets_all(rule, room),
            AnyPushRuleRef::Content(rule) => self.matches(BODY, &rule.pattern, room),
            // These name one room and one user, in whose IDs case counts and `*` is a character.
            AnyPushRuleRef::Room(rule) => rule.rule_id == room.room_id,
            AnyPushRuleRef::Sender(rule) => {
                self.fields.get_str("sender") == Some(rule.rule_id.as_str())
            }
            _ => false,
        }
    }

    fn meets_all(&mut self, rule: &ConditionalPushRule, room: &RoomContext) -> bool {
        rule.conditions.iter().all(|condition| self.meets_one(condition, room))
    }

    fn meets_one(&mut self, condition: &PushCondition, room: &RoomContext) -> bool {
        match condition {
            PushCondition::EventMatch(of) => self.matches(&of.key, &of.pattern, room),
            #[expect(deprecated, reason = "clients of before still have it in their rules")]
            PushCondition::ContainsDisplayName => self.is_named(room),
            PushCondition::RoomMemberCount(of) => of.is.contains(&room.members),
            PushCondition::SenderNotificationPermission(of) => {
                of.key.as_str() == "room" && self.level >= room.room_level
            }
            PushCondition::EventPropertyIs(of) => {
                self.fields.get(&path(&of.key)).is_some_and(|value| *value == of.value)
            }
            PushCondition::EventPropertyContains(of) => {
                let value = self.fields.get(&path(&of.key));
                let values = value.and_then(FlattenedJsonValue::as_array);
                values.is_some_and(|values| values.contains(&of.value))
            }
            PushCondition::ThreadSubscription(of) => {
                self.is_of_thread() && self.subscribed == Some(of.subscribed)
            }
            // What is not known is never met.
            _ => false,
        }
    }

    /// Whether a text of the event matches a pattern: the body by its words, every other as a whole.
    fn matches(&mut self, key: &str, pattern: &str, room: &RoomContext) -> bool {
        let pattern = Pattern::new(pattern);
        match &*path(key) {
            "room_id" => pattern.matches(&folded(room.room_id.as_str())),
            BODY => self.folded(BODY).is_some_and(|body| pattern.matches_words(body)),
            key => self.folded(key).is_some_and(|text| pattern.matches(text)),
        }
    }

    fn is_named(&mut self, room: &RoomContext) -> bool {
        if let Some(named) = self.named {
            return named;
        }
        let named = self.folded(BODY).is_some_and(|body| room.name.matches_words(body));
        self.named = Some(named);
        named
    }

    fn folded(&mut self, key: &str) -> Option<&str> {
        if !self.folded.contains_key(key) {
            let text = folded(self.fields.get_str(key)?);
            self.folded.insert(key.to_owned(), text);
        }
        self.folded.get(key).map(String::as_str)
    }

    fn is_of_thread(&self) -> bool {
        let text = |name: &str| self.fields.get_str(&format!(r"content.m\.relates_to.{name}"));
        text("rel_type") == Some("m.thread")
            && text("event_id").is_some_and(|root| <&EventId>::try_from(root).is_ok())
    }
}

/// A [path](https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths) with every backslash of a name escaped,
/// as ruma has them: one that escapes nothing stands for itself.
fn path(key: &str) -> Cow<'_, str> {
    if !key.contains('\\') {
        return Cow::Borrowed(key);
    }
    let mut path = String::with_capacity(key.len());
    let mut rest = key.chars().peekable();
    while let Some(character) = rest.next() {
        path.push(character);
        if character == '\\' {
            path.push(rest.next_if(|next| matches!(next, '\\' | '.')).unwrap_or('\\'));
        }
    }
    Cow::Owned(path)
}
