//! What is new for a client over a sliding sync? This gathers it; `http/client/sync/sliding` reads and writes it.
//! ([MSC4186](https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md))
//!
//! The user's object says which rooms are shown and from where to where; each of them is asked once.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use ruma::{OwnedRoomId, OwnedUserId};
use serde_json::value::RawValue;
use tombolo_platform::{AskError, Waited, World};

pub use super::spaces::List;
use super::{
    Claim, Data, DeviceLists, LONGEST, Polling, ROOMS_AT_ONCE, Result, Unsynced, devices, spaces,
};
use crate::{
    flows::{ours::Ours, presence},
    objects::{
        room::messages::{Detail, Refusal, SlidingWindow, SlidingWindowReply, Traits, TraitsOf},
        room_object,
        user_keys::messages::KeyCounts,
        user_object,
        user_sync::messages::{
            ConnectionPos, Extensions, KeepSent, ListWanted, NoteTraits, PresencePoll,
            Refusal as UserRefusal, RoomWanted, Slid, SlidRoom, Slide, StreamPosition,
            Subscriptions,
        },
    },
};

/// How often a request that waits reads the spaces of its lists (ms).
const SPACES_READ_EVERY: u64 = 5_000;

/// What the client asks for.
#[derive(Debug)]
pub struct Request {
    /// How the client calls the connection.
    pub connection: String,
    /// `None` for a connection that begins.
    pub pos: Option<ConnectionPos>,
    /// How long the client waits for news (ms).
    pub timeout: u64,
    pub lists: BTreeMap<String, List>,
    pub subscriptions: BTreeMap<OwnedRoomId, RoomWanted>,
    pub extensions: Extensions,
    /// Whether the client's form does not say what is unread.
    pub without_counts: bool,
    /// `None` where there is no presence.
    pub presence: Option<Polling>,
}

/// What is new for a client.
#[derive(Debug)]
pub struct Updates {
    pub pos: ConnectionPos,
    /// How many rooms each list has.
    pub counts: BTreeMap<String, u64>,
    pub rooms: Vec<Update>,
    pub account_data: Vec<Data>,
    pub account_data_of_rooms: BTreeMap<OwnedRoomId, Vec<Data>>,
    pub receipts: BTreeMap<OwnedRoomId, Data>,
    pub typing: BTreeMap<OwnedRoomId, Data>,
    pub device_lists: DeviceLists,
    pub messages: Vec<Box<RawValue>>,
    /// Up to where the messages are.
    pub messages_upto: StreamPosition,
    pub key_counts: KeyCounts,
    /// Subscriptions to threads that changed.
    pub subscriptions: Subscriptions,
    /// What the client asked for beside rooms.
    pub wanted: Extensions,
}

/// What is new of a room.
#[derive(Debug)]
pub struct Update {
    pub room: SlidRoom,
    /// What the room shows, where it was asked.
    pub window: Option<SlidingWindowReply>,
}

impl Update {
    /// Whether the client is told more than that somebody read something.
    fn is_news(&self) -> bool {
        let SlidRoom { initial, moved, counted, is_dm, .. } = &self.room;
        let beside = *initial || *moved || *counted || is_dm.is_some();
        let Some(window) = &self.window else { return true };
        beside
            || window.anew
            || window.limited
            || !window.timeline.is_empty()
            || !window.state.is_empty()
            || !window.removed.is_empty()
            || window.members.is_some()
            || !window.heroes.is_empty()
            || [&window.name, &window.avatar].into_iter().any(|text| *text != Detail::Unchanged)
    }
}

impl Updates {
    fn are_none(&self) -> bool {
        self.rooms.is_empty()
            && self.account_data.is_empty()
            && self.account_data_of_rooms.is_empty()
            && self.receipts.is_empty()
            && self.typing.is_empty()
            && self.device_lists.is_empty()
            && self.messages.is_empty()
            && self.subscriptions.changed.is_empty()
    }
}

/// Gathers what is new; waits while there is nothing.
pub async fn gather(world: &World, claim: Claim, request: Request) -> Result<Updates> {
    let until = world.now().saturating_add(request.timeout.min(LONGEST));
    let (lists, read_at, wait_ends, goes_on) = (BTreeMap::new(), None, u64::MAX, false);
    Gathering { world, claim, request, until, lists, read_at, wait_ends, goes_on }.run().await
}

struct Gathering<'a> {
    world: &'a World,
    claim: Claim,
    request: Request,
    until: u64,
    /// With the rooms of their spaces.
    lists: BTreeMap<String, ListWanted>,
    /// When the spaces were read, and until when a wait may last before they are read again.
    read_at: Option<u64>,
    wait_ends: u64,
    /// Whether the poll was noted.
    goes_on: bool,
}

impl Gathering<'_> {
    async fn run(mut self) -> Result<Updates> {
        let user = self.claim.user.clone();
        let mut pos = self.request.pos;
        loop {
            self.read_spaces().await?;
            let mut slid = match self.ask(pos).await {
                // An object of an older build does not begin again by itself.
                Err(Unsynced::User(UserRefusal::UnknownPos)) if pos != self.request.pos => {
                    pos = self.begin_again();
                    continue;
                }
                asked => asked?,
            };
            if slid.lost {
                pos = self.begin_again();
            }
            if let Some(tell) = slid.tell.take() {
                presence::tell_meanwhile(self.world, tell);
            }
            if !slid.unknown.is_empty() {
                find_out(self.world, &user, slid.unknown).await?;
                continue;
            }
            self.goes_on = true;
            let (is_draft, wanted) = (slid.is_draft, self.request.extensions.clone());
            let mut updates = of_all(self.world, &user, (slid, wanted)).await?;
            if self.waits_on() && updates.are_none() {
                // What the client is not shown is no reason to answer.
                pos = Some(updates.pos);
                continue;
            }
            if !is_draft || self.keep(&mut updates.pos).await? {
                return Ok(updates);
            }
            pos = self.begin_again();
        }
    }

    /// What was noted for this request is lost: it is answered what is new since where the client is, whatever that is.
    fn begin_again(&mut self) -> Option<ConnectionPos> {
        self.until = 0;
        self.request.pos
    }

    /// Reads which rooms the spaces of lists name. While the client waits, they may come to name others; but not whatever
    /// wakes it has all of them asked again at once.
    async fn read_spaces(&mut self) -> Result<()> {
        let now = self.world.now();
        let has_spaces = self.request.lists.values().any(|list| list.spaces.is_some());
        let next = self.read_at.map(|at| at + SPACES_READ_EVERY);
        let next = next.filter(|next| !has_spaces || now < *next);
        self.wait_ends = next.filter(|_| has_spaces).unwrap_or(u64::MAX);
        if next.is_none() {
            self.read_at = Some(now);
            self.lists = spaces::lists(self.world, &self.claim.user, &self.request.lists).await?;
        }
        Ok(())
    }

    /// Whether the request goes on waiting where there is nothing to show.
    fn waits_on(&self) -> bool {
        self.request.pos.is_some() && self.world.now() < self.until
    }

    /// Asks the user's object; waits there while there is nothing.
    async fn ask(&mut self, pos: Option<ConnectionPos>) -> Result<Slid> {
        let (world, address) = (self.world, user_object(&self.claim.user));
        let mut slide = self.slide(pos);
        if slide.hold {
            match world.wait(&address, &slide, self.until.min(self.wait_ends)).await? {
                Waited::Answered(slid) => return Ok(slid),
                Waited::Refused(refusal) => return Err(Unsynced::User(refusal)),
                Waited::Woken | Waited::TimedOut => self.goes_on = true,
            }
            slide = Slide { hold: false, ..self.slide(pos) };
        }
        Ok(world.ask(&address, &slide).await?)
    }

    fn slide(&self, pos: Option<ConnectionPos>) -> Slide {
        let Request { connection, subscriptions, extensions, presence, .. } = &self.request;
        Slide {
            session: self.claim.session.clone(),
            connection: connection.clone(),
            pos,
            kept: self.request.pos,
            hold: self.waits_on(),
            waits_on: self.waits_on(),
            lists: self.lists.clone(),
            subscriptions: subscriptions.clone(),
            extensions: extensions.clone(),
            without_counts: self.request.without_counts,
            goes_on: self.goes_on,
            presence: presence.as_ref().map(|polling| PresencePoll {
                says: polling.says,
                until: self.until.max(self.world.now()),
                since: None,
                watched: false,
            }),
        }
    }

    /// Has a draft written down, since something is answered. The user's object may have forgotten it.
    async fn keep(&self, pos: &mut ConnectionPos) -> Result<bool> {
        let Some(kept) = self.request.pos else { return Ok(false) };
        let (session, connection) = (self.claim.session.clone(), self.request.connection.clone());
        let keep = KeepSent { session, connection, kept: kept.id, id: pos.id };
        match self.world.ask(&user_object(&self.claim.user), &keep).await {
            Ok(id) => pos.id = id,
            Err(AskError::Refused(UserRefusal::UnknownPos)) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }
}

/// Finds out what rooms are that were told to the user before rooms said so.
async fn find_out(world: &World, user: &OwnedUserId, unknown: Vec<OwnedRoomId>) -> Result<()> {
    let rooms: BTreeMap<OwnedRoomId, Traits> = stream::iter(unknown)
        .map(|room_id| async move {
            let of = TraitsOf { user: user.clone() };
            let traits = match world.ask(&room_object(&room_id), &of).await {
                Ok(traits) => traits,
                // Of a room that we were never in is known what its invite says.
                Err(AskError::Refused(Refusal::Absent)) => Traits::default(),
                Err(error) => return Err(Unsynced::from(error)),
            };
            Ok((room_id, traits))
        })
        .buffer_unordered(ROOMS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(world.ask(&user_object(user), &NoteTraits { rooms }).await?)
}

async fn of_all(
    world: &World,
    user: &OwnedUserId,
    (slid, wanted): (Slid, Extensions),
) -> Result<Updates> {
    let (device, ignored) = (&slid.device_id, &slid.ignored);
    let asks = slid.rooms.into_iter().map(|room| update(world, (user, device, ignored), room));
    let rooms: Vec<Update> = stream::iter(asks).buffered(ROOMS_AT_ONCE).try_collect().await?;
    let (mut receipts, mut shown) = (BTreeMap::new(), Vec::new());
    for mut update in rooms {
        let of_room = update.window.as_mut().and_then(|window| window.receipts.take());
        if let Some(content) = of_room {
            receipts.insert(update.room.room_id.clone(), Data::receipts(content));
        }
        if update.is_news() {
            shown.push(update);
        }
    }
    let mut typing = BTreeMap::new();
    for (room, users) in slid.typing {
        typing.insert(room, Data::typing(users)?);
    }
    let of_rooms = slid.account_data_of_rooms.into_iter();
    let of_rooms = of_rooms.map(|(room, items)| (room, items.into_iter().map(Data::of).collect()));
    Ok(Updates {
        pos: slid
            .pos
            .ok_or_else(|| Ours::Unreachable("a connection has no position".to_owned()))?,
        counts: slid.counts,
        rooms: shown,
        account_data: slid.account_data.into_iter().map(Data::of).collect(),
        account_data_of_rooms: of_rooms.collect(),
        receipts,
        typing,
        device_lists: devices::device_lists(world, user, slid.shares, slid.devices_changed).await?,
        messages: slid.messages,
        messages_upto: slid.messages_upto,
        key_counts: slid.key_counts,
        subscriptions: slid.subscriptions,
        wanted,
    })
}

/// Asks a room for what is new of it, where there may be more than what the user's object knows.
async fn update(
    world: &World,
    (user, device, ignored): (&OwnedUserId, &str, &BTreeSet<OwnedUserId>),
    mut room: SlidRoom,
) -> Result<Update> {
    let Some(wanted) = room.window.take() else { return Ok(Update { room, window: None }) };
    let window = SlidingWindow {
        user: user.clone(),
        device: device.to_owned(),
        from: wanted.from,
        to: wanted.to,
        live_from: wanted.live_from,
        limit: wanted.limit,
        expanded: wanted.expanded,
        required: wanted.required,
        required_before: wanted.required_before,
        receipts_from: wanted.receipts_from,
        ignored: ignored.clone(),
    };
    let window = match world.ask(&room_object(&room.room_id), &window).await {
        Ok(window) => window,
        // We were never in this room: only its invite ended, by the event that is kept of it.
        Err(AskError::Refused(Refusal::Absent)) => {
            let ended = room.stripped.as_ref().map(|events| serde_json::from_str(events.get()));
            let state = ended.transpose()?.unwrap_or_default();
            SlidingWindowReply { state, ..Default::default() }
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Update { room, window: Some(window) })
}
