//! What is kept for one local user: sessions, devices, stream, account data, filters? The UserSyncObject.
//!
//! A room tells this object that there is news up to a position ([`stream::news`]); a device asks what is new since its
//! token ([`pull`]). What the news says is asked of the room: this object holds no events.

mod account_data;
mod checkpoint;
mod conditions;
mod deactivation;
mod dehydrated_device;
mod delayed_events;
mod device_changes;
mod filters;
mod forget;
mod heard;
mod ignored;
mod invite_rules;
mod key_counts;
mod login_tokens;
pub mod messages;
mod moderation;
mod notice_room;
mod notify;
mod presence;
mod pull;
mod push_rules;
mod pushers;
mod rate_limit;
mod refreshes;
mod removed;
mod replaced;
mod schema;
mod sessions;
mod shares;
mod sliding;
mod stream;
mod subscriptions;
mod tags;
#[cfg(test)]
mod tests;
mod to_device;
mod unread;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::{OwnedRoomId, OwnedUserId};
use tombolo_platform::{Fault, Moment, Row, Sql, values};

pub use self::{
    delayed_events::MAX_SCHEDULED,
    push_rules::{PUSH_RULES, as_shown},
    schema::STEPS,
    tags::TAGS,
};
use self::{messages::*, rate_limit::Users, stream::Last};
use crate::{
    config::Config,
    objects::user_keys::messages::KeyCounts,
    shell::{Effects, ObjectClass, Question, Schema, Stop, class},
};

/// What a user's function may answer.
pub type Result<T> = std::result::Result<T, Stop<Refusal>>;

/// What a user's object remembers between messages; all of it can be read again.
#[derive(Default)]
pub struct Cache {
    schema: Schema,
    loaded: Option<Loaded>,
    sessions: BTreeMap<String, sessions::Alive>,
    /// When the `last_seen` of each device was last written (ms).
    seen: BTreeMap<String, u64>,
    ignored: Option<Rc<BTreeSet<OwnedUserId>>>,
    invite_rules: Option<Rc<invite_rules::InviteRules>>,
    /// How much waits for each device, as far as it was counted.
    waiting: BTreeMap<String, to_device::Amount>,
    key_counts: BTreeMap<String, KeyCounts>,
    /// What was sent over connections, as far as it was read.
    connections: BTreeMap<i64, Rc<sliding::Sent>>,
    /// What is sent over connections if something is answered.
    drafts: BTreeMap<i64, sliding::Draft>,
    marks: sliding::Marks,
    unread: Option<BTreeMap<OwnedRoomId, unread::Tally>>,
    rules: Option<Rc<push_rules::Rules>>,
    /// Whether there are pushers.
    pushes: Option<bool>,
    /// How many threads the user is or was subscribed to.
    threads: Option<i64>,
    moderation: Option<Moderation>,
    /// Which rate limit was set for the user, if one was.
    rate_limit: Option<Option<RateLimit>>,
    presence: presence::Remembered,
    heard: heard::Heard,
}

/// Where the stream ends.
struct Loaded {
    /// The last position given out.
    pos: StreamPosition,
    /// The highest position any token may have named: rows at or below it never change.
    issued: StreamPosition,
    /// The positions of the last change of typing, of account data, of the devices of others, and of subscriptions to
    /// threads.
    typing: StreamPosition,
    account_data: StreamPosition,
    device_changes: StreamPosition,
    subscriptions: StreamPosition,
    rooms: BTreeMap<OwnedRoomId, Last>,
}

/// The class of local users' objects.
pub struct UserSyncClass;

impl ObjectClass for UserSyncClass {
    type Cache = Cache;
    type Object<'a> = User<'a>;
    type Refusal = Refusal;

    fn open<'a>(
        question: &Question<'a>,
        cache: &'a mut Cache,
        effects: &'a mut Effects,
    ) -> std::result::Result<User<'a>, Fault> {
        let Question { object, moment, .. } = *question;
        let (config, limits) = (Config::of_object(object)?, object.isolate(Users::default));
        let (name, sql) = (object.address.name.as_str(), object.sql);
        Ok(User { name, limits, sql, moment, config, cache, effects })
    }
}

/// A user, while their object answers one message.
pub struct User<'a> {
    name: &'a str,
    limits: Rc<Users>,
    sql: &'a Sql,
    moment: &'a Moment,
    config: Rc<Config>,
    cache: &'a mut Cache,
    effects: &'a mut Effects,
}

impl User<'_> {
    /// Refuses if this object is empty: there is no such user.
    fn exists(&mut self) -> Result<()> {
        if self.cache.schema.exists(self.sql, STEPS)? {
            Ok(())
        } else {
            Err(Stop::Refused(Refusal::NoSession))
        }
    }

    fn create(&mut self) -> Result<()> {
        Ok(self.cache.schema.create(self.sql, STEPS)?)
    }

    /// Where the stream ends, read once per stay in memory.
    fn loaded(&mut self) -> Result<&mut Loaded> {
        if self.cache.loaded.is_none() {
            let query = "SELECT (SELECT max(pos) FROM stream), (SELECT max(pos) FROM typing), (SELECT max(pos) FROM account_data), (SELECT max(pos) FROM device_changes), (SELECT max(pos) FROM shares), (SELECT max(pos) FROM thread_subscriptions)";
            let last = |row: &Row<'_>, column| row.int_or_null(column).map(|pos| pos.unwrap_or(0));
            let ends = self.sql.row(query, values![], |row| {
                let mut ends = [0; 6];
                for (column, end) in ends.iter_mut().enumerate() {
                    *end = last(row, column)?;
                }
                Ok(ends)
            })?;
            let ends = ends.unwrap_or_default();
            let [_, typing, account_data, device_changes, _, subscriptions] = ends;
            let last_message = self.last_message()?;
            let pos = ends.into_iter().fold(last_message, StreamPosition::max);
            let rooms = self.last_rows()?;
            // Which tokens were issued is not stored, but none can be above the end of the stream.
            self.cache.loaded = Some(Loaded {
                pos,
                issued: pos,
                typing,
                account_data,
                device_changes,
                subscriptions,
                rooms,
            });
        }
        self.cache.loaded.as_mut().ok_or_else(|| Stop::broken("the stream was not loaded"))
    }

    /// Notes that a token for a position is given out: rows up to there never change any more.
    fn issue(&mut self, pos: StreamPosition) -> Result<()> {
        let loaded = self.loaded()?;
        loaded.issued = loaded.issued.max(pos);
        Ok(())
    }

    /// The next position of the stream.
    fn next_pos(&mut self) -> Result<StreamPosition> {
        let loaded = self.loaded()?;
        loaded.pos += 1;
        let pos = loaded.pos;
        self.checkpoint()?;
        Ok(pos)
    }
}

class!(UserSyncClass = "user_sync" {
    Login => sessions::login,
    NewLoginToken => login_tokens::note,
    SpendLoginToken => login_tokens::spend,
    Refresh => refreshes::refresh,
    Authorise => sessions::authorise,
    AuthoriseAs => sessions::authorise_as,
    AttemptLogin => sessions::attempt_login,
    Logout => sessions::logout,
    LogoutOthers => sessions::logout_others,
    RemoveDevices => sessions::remove_devices,
    MakeDevice => sessions::make_device,
    RenameDevice => sessions::rename_device,
    Deactivate => deactivation::deactivate,
    DueDeparture => deactivation::due,
    Departed => deactivation::departed,
    Devices => sessions::devices,
    RemovedDevices => removed::removed,
    KeysDropped => removed::dropped,
    NoteKeyCounts => key_counts::note,
    Deposit => to_device::deposit,
    DevicesChanged => device_changes::changed,
    AddDevice => dehydrated_device::add,
    Dehydrate => dehydrated_device::dehydrate,
    AbandonDevice => dehydrated_device::abandon,
    DehydratedDevice => dehydrated_device::dehydrated,
    DeleteDehydratedDevice => dehydrated_device::delete,
    DehydratedMessages => dehydrated_device::messages,
    News => stream::news,
    MayInvite => stream::may_invite,
    TypingNews => stream::typing_news,
    Shares => shares::shares,
    Pull => pull::pull,
    Slide => sliding::slide,
    KeepSent => sliding::keep_sent,
    NoteTraits => stream::note_traits,
    ChangesBetween => shares::changes_between,
    JoinedRooms => stream::joined_rooms,
    ReadableRooms => stream::readable_rooms,
    RoomPosition => stream::room_position,
    Forget => forget::forget,
    Forgotten => forget::forgotten,
    SetAccountData => account_data::set,
    AccountData => account_data::account_data,
    ChangeTag => tags::change,
    ChangePushRules => push_rules::change,
    SetPusher => pushers::set,
    RemovePusher => pushers::remove,
    Pushers => pushers::pushers,
    DuePushes => pushers::due,
    Pushed => pushers::pushed,
    Notices => unread::notices,
    Moderate => moderation::moderate,
    ModerationOf => moderation::moderation,
    NoticeRoom => notice_room::notice_room,
    Memberships => stream::memberships,
    AllAccountData => account_data::all,
    OverrideRateLimit => rate_limit::set_override,
    RateLimitOf => rate_limit::rate_limit_of,
    Subscribe => subscriptions::subscribe,
    Unsubscribe => subscriptions::unsubscribe,
    SubscriptionTo => subscriptions::subscription,
    SubscriptionsBetween => subscriptions::between,
    SetPresence => presence::set,
    PresenceNow => presence::now,
    DuePresence => presence::due,
    PresenceUntold => presence::untold,
    PresenceNews => heard::news,
    SetFilter => filters::set,
    Filter => filters::filter,
    Schedule => delayed_events::schedule,
    CancelDelayed => delayed_events::cancel,
    RestartDelayed => delayed_events::restart,
    TakeDelayed => delayed_events::take,
    TakeDue => delayed_events::take_due,
    NoteDelayed => delayed_events::note,
    DelayedEvents => delayed_events::scheduled,
    OneDelayedEvent => delayed_events::one,
});
