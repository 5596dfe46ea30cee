//! What has happened in one room, in which order, and what is its state? The RoomObject.
//!
//! A room is a replicated graph of signed events. This object owns our copy. Its folders stand in an order: each may
//! call those below it, none calls one above it, in this list:
//!
//! * [`operator`]: what operators see and do;
//! * [`reading`]: what clients and other servers see;
//! * [`joining`]: how users come in through other servers;
//! * [`arrival`]: events of other servers;
//! * [`sending`]: what users do;
//! * [`followers`]: who is told of what is new;
//! * [`outside`]: what is known while no local user is in the room;
//! * [`graph`]: events, the state that follows, and who is in the room by it.
//!
//! Each table of [`schema`] is written by one file.

mod arrival;
mod cache;
mod followers;
mod graph;
mod joining;
pub mod messages;
mod operator;
mod outside;
mod reading;
mod row;
mod schema;
mod sending;
#[cfg(test)]
mod tests;

use std::{mem, rc::Rc};

use ruma::{OwnedUserId, ServerName, UserId};
use tombolo_platform::{Fault, Moment, Sql, values};

#[cfg(test)]
pub use self::operator::purge::{EMPTIED, KEPT};
use self::{
    arrival::{backfill, kept, parked, receive},
    cache::Cache,
    followers::{listing, news, services, telling},
    joining::{accept, invited, join},
    messages::*,
    operator::{blocking, deletion, media, overview, purge},
    outside::{attempts, invites},
    reading::{
        by_time, context, describe, erasure, federation, look, moves, page, push_details,
        relations, search, service, sliding, threads, transferable, view, window,
    },
    row::{Life, RoomRow, SELECT},
    sending::{create, invite, receipts, send, typing},
};
pub use self::{graph::events::Verdict, messages::Position, schema::STEPS};
use crate::{
    config::Config,
    shell::{Effects, ObjectClass, Question, Stop, class},
};

/// The position of the first live event.
pub const FIRST: Position = 1 << 40;
/// The distance between the positions of two live events; history that comes later takes the positions between.
pub const STEP: Position = 1 << 20;

/// A position after every event, in queries. Below 2^53: SQL's integers cross JavaScript as doubles.
pub const FOREVER: Position = Position::MAX >> 11;

/// An event's number inside the room.
pub type Sn = i64;

/// What a room's function may answer.
pub type Result<T> = std::result::Result<T, Stop<Refusal>>;

/// The class of rooms.
pub struct RoomClass;

impl ObjectClass for RoomClass {
    type Cache = Cache;
    type Object<'a> = Room<'a>;
    type Refusal = Refusal;

    fn open<'a>(
        question: &Question<'a>,
        cache: &'a mut Cache,
        effects: &'a mut Effects,
    ) -> std::result::Result<Room<'a>, Fault> {
        let Question { object, moment, .. } = *question;
        let config = Config::of_object(object)?;
        let (name, sql) = (object.address.name.as_str(), object.sql);
        Ok(Room { name, sql, moment, config, cache, effects, pending: Pending::default() })
    }

    fn finish(room: &mut Room<'_>) -> Result<()> {
        room.finish()
    }
}

/// A room while it answers one message.
pub struct Room<'a> {
    pub name: &'a str,
    pub sql: &'a Sql,
    pub moment: &'a Moment,
    pub config: Rc<Config>,
    cache: &'a mut Cache,
    effects: &'a mut Effects,
    pending: Pending,
}

/// What a message leaves to be done when it has been answered, in the same transaction.
#[derive(Default)]
struct Pending {
    /// The room's row has changed.
    unsaved: bool,
    /// Events whose insertion had the current state resolved, each with the position of that resolution.
    resolved: Vec<(Sn, Position)>,
    /// Local users whose membership has changed.
    moved: Vec<OwnedUserId>,
    /// Where everybody in the room may have come.
    everybody: Option<Position>,
    /// When followers are to be told, if there is news for them.
    telling: Option<Telling>,
}

/// When the alarm tells followers what is new.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Telling {
    /// In two seconds: a request tells them first, and the alarm only makes sure.
    MakeSure,
    Soon,
}

impl<'a> Room<'a> {
    /// The room's row; refused if nothing is known of the room.
    pub fn row(&mut self) -> Result<RoomRow> {
        self.find_row()?.ok_or(Stop::Refused(Refusal::Absent))
    }

    /// The room's row, if anything is known of the room.
    pub fn find_row(&mut self) -> Result<Option<RoomRow>> {
        if self.cache.row.is_none() && self.cache.schema.exists(self.sql, STEPS)? {
            self.cache.row = self.sql.row(SELECT, values![], row::read)?;
        }
        Ok(self.cache.row.clone())
    }

    /// The row of a live room: only there can new events be judged. Refused for any other.
    pub fn live(&mut self) -> Result<RoomRow> {
        let row = self.row()?;
        if row.life == Life::Live { Ok(row) } else { Err(Stop::Refused(Refusal::Absent)) }
    }

    /// The row of a room whose events we hold, live or left.
    pub fn graph(&mut self) -> Result<RoomRow> {
        let row = self.row()?;
        if matches!(row.life, Life::Live | Life::Left) || !row.extremities.is_empty() {
            return Ok(row);
        }
        Err(Stop::Refused(Refusal::Absent))
    }

    /// Changes the room's row, which is written when the message has been answered. Creates the tables if nothing was
    /// known of the room.
    pub fn set_row(&mut self, row: RoomRow) -> Result<()> {
        self.cache.schema.create(self.sql, STEPS)?;
        self.cache.row = Some(row);
        self.pending.unsaved = true;
        Ok(())
    }

    /// Has the alarm tell followers what is new. Of two calls the sooner one wins.
    fn tell(&mut self, when: Telling) {
        self.pending.telling = self.pending.telling.max(Some(when));
    }

    /// Does what the message left to be done.
    fn finish(&mut self) -> Result<()> {
        self.merge_extremities()?;
        for user in mem::take(&mut self.pending.moved) {
            self.forget_out_of_band(&user)?;
        }
        if self.cache.schema.was_raised() {
            // A step may have left something to be told.
            self.tell(Telling::Soon);
        }
        if self.find_row()?.is_some() {
            self.note_older_relations()?;
        }
        self.arm();
        if mem::take(&mut self.pending.unsaved) {
            let row = self.row()?;
            row.write(self.sql)?;
        }
        Ok(())
    }

    /// Makes the alarm fire at this time at the latest.
    pub fn wake_at(&mut self, at: u64) {
        self.effects.alarm_at(at);
    }

    pub fn is_local(&self, server: &ServerName) -> bool {
        server == self.config.server_name
    }

    pub fn is_ours(&self, user: &UserId) -> bool {
        self.is_local(user.server_name())
    }
}

class!(RoomClass = "room" {
    Create => create::create,
    Send => send::send,
    Receive => receive::receive,
    Connect => receive::connect,
    History => backfill::history,
    Reconsider => parked::reconsider,
    Unknown => receive::unknown,
    Describe => describe::describe,
    Template => accept::template,
    Accept => accept::accept,
    Invited => invited::invited,
    Knocked => invites::knocked,
    OutOfBand => invites::out_of_band,
    Withdraw => invites::withdraw,
    Withdrawn => invites::withdrawn,
    BeginJoin => join::begin,
    AbandonJoin => attempts::abandon,
    DueJoin => attempts::due,
    Keep => kept::keep,
    Kept => kept::kept,
    ForgetKept => kept::forget,
    GiveJoin => join::give,
    FinishJoin => join::finish,
    Erase => erasure::erase,
    EventById => view::event_by_id,
    PushDetails => push_details::push_details,
    StateBefore => federation::state_before,
    Bodies => federation::bodies,
    AuthChain => federation::auth_chain,
    MissingEvents => federation::missing_events,
    Backfill => federation::backfill,
    State => view::state,
    Members => view::members,
    Transferable => transferable::transferable,
    Participants => describe::participants,
    MembershipOf => describe::membership,
    ServerAllowed => describe::server_allowed,
    Publish => listing::publish,
    IsPublished => listing::is_published,
    Look => look::look,
    HasServer => look::has_server,
    NamesOf => look::names_of,
    MaySend => describe::may_send,
    MayRead => describe::may_read,
    Window => window::window,
    SlidingWindow => sliding::sliding_window,
    TraitsOf => sliding::traits_of,
    Moves => moves::moves,
    Sharing => moves::sharing,
    Page => page::page,
    Context => context::context,
    Related => relations::related,
    Threads => threads::threads,
    ThreadPlace => threads::place,
    EventByTime => by_time::event_by_time,
    Search => search::search,
    Hits => search::hits,
    Receipt => receipts::receipt,
    Typing => typing::typing,
    ExpireTyping => typing::expire,
    LocalNews => news::local_news,
    LocalsTold => news::locals_told,
    Undelivered => telling::undelivered,
    Told => telling::told,
    Outbound => telling::outbound,
    NewsForServices => services::news_for_services,
    ForService => service::for_service,
    InviteFor => invite::invite_for,
    DraftInvite => invite::draft,
    SendInvite => invite::send,
    DueLeave => invites::due_leave,
    Block => blocking::block,
    BlockedBy => blocking::blocked_by,
    Overview => overview::overview,
    JoinedMembers => overview::joined_members,
    WholeState => overview::whole_state,
    Extremities => overview::extremities,
    Granting => overview::granting,
    Delete => deletion::delete,
    Deletions => deletion::deletions,
    DueDeletion => deletion::due,
    Settled => deletion::settled,
    Purge => purge::purge,
    MediaNamed => media::named,
});

/// The refusal of a request that makes no sense.
pub fn invalid(reason: impl Into<String>) -> Stop<Refusal> {
    Stop::Refused(Refusal::Invalid(reason.into()))
}

/// The refusal of a request by somebody who is not in the room.
pub fn not_in_room() -> Stop<Refusal> {
    Stop::Refused(Refusal::Forbidden("you are not in the room".to_owned()))
}
