//! Of which events do the user's push rules notify?
//! ([push rules](https://spec.matrix.org/v1.19/client-server-api/#push-rules))
//!
//! Each event is judged once, with the news that brings it, so its notice is in the sync that shows it. The rules are
//! those of that moment: a rule that is changed later changes no notice.

use ruma::{
    RoomId, UInt,
    push::{Action, Ruleset},
};
use tombolo_protocol::{
    event::{MAIN_THREAD, fields},
    glob::Pattern,
    json::plain_object,
};

use super::{
    Result, StreamPosition, User,
    conditions::{Judged, RoomContext},
    ignored::{own_member, sender},
    unread::{Notice, Unread},
};
use crate::objects::room::{
    Position,
    messages::{Notifiable, NotifiableEvent, Notify, UserNews},
};

/// The type of encrypted events, as JSON has it.
const ENCRYPTED: &str = "\"m.room.encrypted\"";

/// The longest display name by which a body is searched, in bytes.
const MAX_NAME: usize = 255;

impl User<'_> {
    /// Judges the events of a joined room that came after `told`, and notes what the user has read.
    pub fn note_notices(
        &mut self,
        room: &RoomId,
        news: &UserNews,
        (told, pos): (Position, StreamPosition),
    ) -> Result<()> {
        let Some(notify) = &news.notify else { return Ok(()) };
        let mut unread = self.unread_in(room)?;
        let mut changed = false;
        if let Some(notifiable) = &news.notifiable {
            let mut judge = self.judge(room, notify, notifiable);
            let after = told.max(notify.since);
            for event in notifiable.events.iter().filter(|event| event.pos > after) {
                changed |= self.judge_event(&mut judge, event, &mut unread)?;
            }
        }
        for (thread, upto) in &notify.read {
            changed |= unread.read(thread.as_deref(), *upto);
        }
        if changed { self.set_unread(room, &unread, pos) } else { Ok(()) }
    }

    /// Notifies of an invite, if the rules do.
    pub fn note_invite(
        &mut self,
        room: &RoomId,
        news: &UserNews,
        pos: StreamPosition,
    ) -> Result<()> {
        let (Some(event_id), Some(stripped)) = (&news.invite, &news.stripped) else {
            return Ok(());
        };
        let Some(event) = own_member(stripped.get(), self.name) else { return Ok(()) };
        if self.hides_invite_by(sender(event))? {
            return Ok(());
        }
        let (thread, redacts, event) = (None, None, event.to_owned());
        let event_id = event_id.clone();
        let event = NotifiableEvent { pos: news.to, event_id, event, thread, level: 0, redacts };
        // Nobody tells an invited user how many are in the room, nor how much power who invites has.
        let unknown = Notifiable { room_level: i64::MAX, ..Notifiable::default() };
        let mut judge = self.judge(room, &Notify::default(), &unknown);
        let mut unread = self.unread_in(room)?;
        let changed = self.judge_event(&mut judge, &event, &mut unread)?;
        if changed { self.set_unread(room, &unread, pos) } else { Ok(()) }
    }

    /// Judges one event; answers whether what is unread has changed.
    fn judge_event(
        &mut self,
        judge: &mut Judge,
        event: &NotifiableEvent,
        unread: &mut Unread,
    ) -> Result<bool> {
        let thread = event.thread.as_ref().map_or(MAIN_THREAD, |root| root.as_str());
        let Some(sender) = sender(&event.event) else { return Ok(false) };
        let [state_key, kind] = fields(&event.event, ["state_key", "type"]);
        let redacted = event.redacts.as_ref().is_some_and(|target| unread.redact(target));
        if sender.as_str() == self.name {
            // Who says something has read what was said before. A new name or avatar is nothing said.
            let says = state_key.is_none();
            return Ok((says && unread.read(Some(thread), event.pos)) || redacted);
        }
        if self.ignored()?.contains(&sender) {
            return Ok(redacted);
        }
        let rules = self.rules()?;
        let rules = rules.for_event(&event.event, &mut judge.spent);
        let subscribed = match &event.thread {
            Some(root) if self.config.thread_subscriptions => {
                Some(self.is_subscribed(&judge.room.room_id, root)?)
            }
            _ => None,
        };
        let actions = judge.actions(rules, event, subscribed);
        if !actions.iter().any(Action::should_notify) {
            return Ok(redacted);
        }
        unread.add(Notice {
            number: self.next_notice()?.max(unread.newest() + 1),
            pos: event.pos,
            event_id: event.event_id.clone(),
            thread: thread.to_owned(),
            ts: self.moment.now,
            actions,
            encrypted: kind.is_some_and(|kind| kind.get() == ENCRYPTED),
            read: false,
        });
        Ok(true)
    }

    fn judge(&self, room: &RoomId, notify: &Notify, notifiable: &Notifiable) -> Judge {
        let name = notify.display_name.as_deref().unwrap_or_default();
        // Without a name nothing names the user but their ID. A blank one is in nearly every text.
        let is_name = !name.trim().is_empty() && name.len() <= MAX_NAME;
        let room = RoomContext {
            room_id: room.to_owned(),
            members: UInt::new_saturating(notifiable.members),
            name: Pattern::literal(if is_name { name } else { self.name }),
            room_level: notifiable.room_level,
        };
        Judge { room, spent: 0 }
    }
}

/// Judges the events of a room.
struct Judge {
    room: RoomContext,
    /// What judging the events has cost, in steps.
    spent: u64,
}

impl Judge {
    /// The actions of the rule that matches an event; none where no rule does. `subscribed` says whether the user is
    /// subscribed to the event's thread, if rules ask for that.
    fn actions(
        &self,
        rules: &Ruleset,
        event: &NotifiableEvent,
        subscribed: Option<bool>,
    ) -> Vec<Action> {
        // Of an event that is nested deeper than can be read, no rule can look at anything.
        if plain_object(event.event.get()).is_none() {
            return Vec::new();
        }
        Judged::new(&event.event, event.level, subscribed).actions(rules, &self.room).to_vec()
    }
}
