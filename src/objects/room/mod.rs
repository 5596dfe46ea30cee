//! What has happened in one room, in which order, and what is its state? The RoomObject.
//!
//! A room is a replicated graph of signed events. This object owns our copy: every event, local or remote, passes the
//! one judgement of [`judge`] and is written by the one insert of [`insert`]. Around them: [`timeline`] (which events
//! we hold), [`state`] (what the state is at a position, and on forks), [`resolution`] (what it is where forks meet),
//! [`membership`] (who follows the room), and one file per kind of question.

mod accept;
mod audience;
mod create;
mod describe;
mod entitlement;
mod ephemeral;
mod federation;
mod history;
mod insert;
mod invite;
mod join;
mod judge;
mod left_out;
mod membership;
mod merge;
pub mod messages;
mod out_of_band;
mod page;
mod parked;
mod parting;
mod power;
mod receive;
mod redaction;
mod relations;
mod resolution;
mod schema;
mod send;
mod state;
mod tell;
#[cfg(test)]
mod tests;
mod timeline;
mod view;
mod window;

use std::{collections::BTreeMap, mem, rc::Rc};

use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, ServerName, UserId};
use tombolo_platform::{Answer, Fault, Moment, Row, Sql, SqlError, values};
use tombolo_protocol::room_version::RoomVersion;

use self::{audience::Audience, history::Holes, messages::*, timeline::Stored};
pub use self::{messages::Position, schema::STEPS};
use crate::{
    config::Config,
    objects::Stop,
    shell::{self, Effects, Question, Schema, dispatch},
};

/// The position of the first live event.
pub const FIRST: Position = 1 << 40;
/// How far apart live events stand; late history takes the numbers between.
pub const STEP: Position = 1 << 20;

/// A position after every event, in queries. Below 2^53: SQL's integers cross JavaScript as doubles.
pub const FOREVER: Position = Position::MAX >> 11;

/// An event's number inside the room.
pub type Sn = i64;

/// What a room's function may answer.
pub type Result<T> = std::result::Result<T, Stop<Refusal>>;

/// Where a room stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Invites or knocks of local users to a room we are not in.
    OutOfBand,
    /// A join through another server is under way, and no local user is joined.
    Joining,
    /// At least one local user is joined (or was the last to leave a moment ago).
    Live,
    /// No local user is joined any more.
    Left,
}

impl Life {
    const ALL: [Self; 4] = [Self::OutOfBand, Self::Joining, Self::Live, Self::Left];

    fn name(self) -> &'static str {
        match self {
            Self::OutOfBand => "out_of_band",
            Self::Joining => "joining",
            Self::Live => "live",
            Self::Left => "left",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|life| life.name() == name)
    }
}

/// The one row that says what the room is.
#[derive(Clone, Debug)]
pub struct Head {
    pub id: OwnedRoomId,
    pub version: &'static RoomVersion,
    pub life: Life,
    /// The forward extremities.
    pub tips: Vec<Sn>,
    /// The last position given out.
    pub pos: Position,
    /// Every follower was told everything up to here, but for those in `lagging`.
    pub told: Position,
    /// How many users are joined now, of all servers.
    pub joined: i64,
    /// How many users are invited now, of all servers.
    pub invited: i64,
    /// The depth of the join by which we are here; what is below it is history. 0 where the room began here.
    pub floor: u64,
    /// The server through which we joined last.
    pub resident: Option<OwnedServerName>,
}

/// What a room remembers between messages; all of it can be read again.
#[derive(Default)]
pub struct Hot {
    schema: Schema,
    head: Option<Head>,
    next_sn: Option<Sn>,
    events: BTreeMap<Sn, Rc<Stored>>,
    ids: BTreeMap<OwnedEventId, Sn>,
    /// Values of the current state, also known absences; as much as was asked for.
    now: BTreeMap<(String, String), Option<Sn>>,
    /// See [`Room::settled`].
    settled: Option<Position>,
    audience: Option<Audience>,
    holes: Option<Holes>,
    /// See [`Room::has_gaps`].
    gaps: Option<bool>,
    /// Requests told all local users everything up to here.
    locals_told: Position,
    /// When followers were last told.
    told_at: u64,
    /// When servers in the room last sent something.
    heard: BTreeMap<OwnedServerName, u64>,
    /// When servers that count us in were last told that we left.
    retold: BTreeMap<String, u64>,
}

/// Events kept parsed; beyond, the cache starts anew.
const HOT_EVENTS: usize = 4096;

/// A room while it answers one message.
pub struct Room<'a> {
    pub name: &'a str,
    pub sql: &'a Sql,
    pub moment: &'a Moment,
    pub config: Rc<Config>,
    hot: &'a mut Hot,
    effects: &'a mut Effects,
    pending: Pending,
}

/// What a message leaves to be done when it has been answered, in the same transaction.
#[derive(Default)]
struct Pending {
    /// The room's row has changed.
    unsaved: bool,
    /// Events whose insertion resolved the state, and the position at which it did.
    resolved: Vec<(Sn, Position)>,
    /// Local users whose membership has changed.
    moved: Vec<OwnedUserId>,
    /// Followers have something to be told.
    telling: Option<Telling>,
}

/// When the alarm tells followers what is new.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Telling {
    /// Later than a request needs that tells them itself.
    MakeSure,
    Soon,
}

impl Head {
    /// The row of a room of which we hold no events yet.
    pub fn new(id: OwnedRoomId, version: &'static RoomVersion, life: Life) -> Self {
        let (tips, pos, told) = (Vec::new(), FIRST, FIRST);
        Self { id, version, life, tips, pos, told, joined: 0, invited: 0, floor: 0, resident: None }
    }

    fn write(&self, sql: &Sql) -> Result<()> {
        sql.run(
            "INSERT INTO room (one, id, version, life, tips, pos, told, joined, invited, floor, resident)
             VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET version = excluded.version, life = excluded.life, tips = excluded.tips, pos = excluded.pos,
             told = excluded.told, joined = excluded.joined, invited = excluded.invited, floor = excluded.floor,
             resident = excluded.resident",
            values![
                self.id.as_str(),
                self.version.id.as_str(),
                self.life.name(),
                pack(&self.tips)?.as_slice(),
                self.pos,
                self.told,
                self.joined,
                self.invited,
                self.floor,
                self.resident.as_ref().map(|server| server.as_str())
            ],
        )?;
        Ok(())
    }
}

impl<'a> Room<'a> {
    /// The room's row; refused where there is no such room here.
    pub fn head(&mut self) -> Result<Head> {
        self.find_head()?.ok_or(Stop::Refused(Refusal::Absent))
    }

    /// The room's row, if anything is known of the room.
    pub fn find_head(&mut self) -> Result<Option<Head>> {
        if self.hot.head.is_none() && self.hot.schema.exists(self.sql, STEPS)? {
            self.hot.head = self.sql.row(HEAD, values![], read_head)?;
        }
        Ok(self.hot.head.clone())
    }

    /// The row of a room in which events can be judged.
    pub fn live(&mut self) -> Result<Head> {
        let head = self.head()?;
        if head.life == Life::Live { Ok(head) } else { Err(Stop::Refused(Refusal::Absent)) }
    }

    /// The row of a room whose graph we hold, though maybe no longer live.
    pub fn graph(&mut self) -> Result<Head> {
        let head = self.head()?;
        if matches!(head.life, Life::Live | Life::Left) || !head.tips.is_empty() {
            return Ok(head);
        }
        Err(Stop::Refused(Refusal::Absent))
    }

    /// Changes the room's row, which is written when the message has been answered. A room of which nothing was known
    /// gets its tables.
    pub fn set_head(&mut self, head: Head) -> Result<()> {
        self.hot.schema.create(self.sql, STEPS)?;
        self.hot.head = Some(head);
        self.pending.unsaved = true;
        Ok(())
    }

    /// Has followers told of what is new.
    fn tell(&mut self, when: Telling) {
        self.pending.telling = self.pending.telling.max(Some(when));
    }

    /// Does what the message left to be done.
    fn finish(&mut self) -> Result<()> {
        self.merge_extremities()?;
        for user in mem::take(&mut self.pending.moved) {
            self.forget_out_of_band(&user)?;
        }
        self.arm();
        if mem::take(&mut self.pending.unsaved) {
            let head = self.head()?;
            head.write(self.sql)?;
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

const HEAD: &str =
    "SELECT id, version, life, tips, pos, told, joined, invited, floor, resident FROM room";

fn read_head(row: &Row<'_>) -> std::result::Result<Head, SqlError> {
    let broken = |what: &str| SqlError::Database(format!("the room's row holds an unknown {what}"));
    let (version, life) = (row.text(1)?, row.text(2)?);
    Ok(Head {
        id: OwnedRoomId::try_from(row.text(0)?).map_err(|_| broken("room ID"))?,
        version: RoomVersion::of(&version).ok_or_else(|| broken("version"))?,
        life: Life::of(&life).ok_or_else(|| broken("life"))?,
        tips: unpack(&row.blob(3)?),
        pos: row.int(4)?,
        told: row.int(5)?,
        joined: row.int(6)?,
        invited: row.int(7)?,
        floor: u64::try_from(row.int(8)?).map_err(|_| broken("floor"))?,
        resident: row
            .text_or_null(9)?
            .map(|server| server.try_into().map_err(|_| broken("resident")))
            .transpose()?,
    })
}

/// Numbers of events as bytes, four each, little-endian. A room of more events than that holds no further ones.
fn pack(sns: &[Sn]) -> Result<Vec<u8>> {
    let mut packed = Vec::with_capacity(sns.len() * 4);
    for sn in sns {
        let number = u32::try_from(*sn).map_err(|_| Stop::broken("the room is full"))?;
        packed.extend(number.to_le_bytes());
    }
    Ok(packed)
}

fn unpack(bytes: &[u8]) -> Vec<Sn> {
    bytes.as_chunks::<4>().0.iter().map(|chunk| Sn::from(u32::from_le_bytes(*chunk))).collect()
}

/// Answers one message to a room.
#[expect(clippy::too_many_lines, reason = "the table of what a room can be asked")]
pub fn answer(question: &Question<'_>) -> std::result::Result<Answer, Fault> {
    let config = Config::of_object(question.object)?;
    question.object.memory.with(|hot: &mut Hot| {
        let Question { object, moment, message, body } = *question;
        let mut effects = Effects::default();
        macro_rules! answer {
            ($message:ident, $function:path) => {
                shell::reply::<$message>(body, &mut effects, |message, effects| {
                    let (name, sql) = (object.address.name.as_str(), object.sql);
                    let pending = Pending::default();
                    let room = &mut Room { name, sql, moment, config, hot, effects, pending };
                    let reply = $function(room, message)?;
                    room.finish()?;
                    Ok(reply)
                })
            };
        }
        dispatch!(message, answer, {
            Create => create::create,
            Send => send::send,
            Receive => receive::receive,
            Connect => receive::connect,
            History => history::history,
            Reconsider => parked::reconsider,
            Unknown => receive::unknown,
            Describe => describe::describe,
            Template => accept::template,
            Accept => accept::accept,
            Invited => out_of_band::invited,
            Knocked => out_of_band::knocked,
            OutOfBand => out_of_band::out_of_band,
            Withdraw => out_of_band::withdraw,
            Withdrawn => out_of_band::withdrawn,
            BeginJoin => join::begin,
            AbandonJoin => join::abandon,
            DueJoin => join::due,
            GiveJoin => join::give,
            FinishJoin => join::finish,
            EventById => view::event_by_id,
            StateBefore => federation::state_before,
            AuthChain => federation::auth_chain,
            MissingEvents => federation::missing_events,
            Backfill => federation::backfill,
            State => view::state,
            Members => view::members,
            Participants => describe::participants,
            Membership => describe::membership,
            ServerAllowed => describe::server_allowed,
            MaySend => describe::may_send,
            MayRead => describe::may_read,
            Window => window::window,
            Page => page::page,
            Receipt => ephemeral::receipt,
            Typing => ephemeral::typing,
            ExpireTyping => ephemeral::expire,
            LocalNews => tell::local_news,
            LocalsTold => tell::locals_told,
            Undelivered => tell::undelivered,
            Told => tell::told,
            Outbound => tell::outbound,
            InviteFor => invite::invite_for,
            DraftInvite => invite::draft,
            SendInvite => invite::send,
            DueLeave => out_of_band::due_leave,
        })
    })
}
