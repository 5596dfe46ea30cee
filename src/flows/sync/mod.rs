//! What is new for a client? This gathers it; `http/client/sync/response.rs` writes it.
//!
//! The user's object says which rooms have news and up to which position; each room is asked once for its window. While
//! there is no news, the Worker waits on a socket to the user's object: a timer runs only here.

mod devices;
mod filter;
mod outside;
mod presence;
pub mod sliding;
mod spaces;
#[cfg(test)]
mod tests;
mod unsynced;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tombolo_platform::{AskError, Waited, World};
use tombolo_protocol::{event::MAIN_THREAD, membership::Membership};

pub use self::{
    devices::{DeviceLists, between as changes_between},
    filter::{RoomFilter, SyncFilter},
    presence::{Polling, PresenceUpdate},
    unsynced::Unsynced,
};
use crate::objects::{
    room::messages::{EventFilter, Refusal, Window, WindowReply},
    room_object,
    user_keys::messages::KeyCounts,
    user_object,
    user_sync::messages::{Pull, Pulled, RoomNews, RoomUnread, StreamPosition, UnreadCounts},
};

type Result<T> = std::result::Result<T, Unsynced>;

/// How many rooms are asked at once.
const ROOMS_AT_ONCE: usize = 16;
/// The longest wait (ms).
const LONGEST: u64 = 60_000;

/// The user a valid token names; the session may have ended.
pub struct Claim {
    pub user: OwnedUserId,
    pub session: String,
}

/// What the client asks for.
#[derive(Debug, Default)]
pub struct Request {
    pub since: Option<StreamPosition>,
    /// Up to where the device has got its messages.
    pub messages_since: Option<StreamPosition>,
    /// How long the client waits for news (ms).
    pub timeout: u64,
    pub full_state: bool,
    /// Whether the client wants the state after the timeline, not before it.
    pub state_after: bool,
    /// `None` where there is no presence.
    pub presence: Option<Polling>,
    pub filter: Rc<SyncFilter>,
}

/// What is new for a client, after its filter.
#[derive(Debug)]
pub struct Updates {
    /// Where the client's next request begins.
    pub next: StreamPosition,
    /// A room may be listed twice: with a stay that ended, and with an invite that came after it.
    pub rooms: Vec<RoomUpdate>,
    pub account_data: Vec<Data>,
    pub device_lists: DeviceLists,
    /// Messages to the device, which no filter hides.
    pub messages: Vec<Box<RawValue>>,
    /// Up to which position they are, if there are more.
    pub messages_upto: Option<StreamPosition>,
    /// What the device has left of one-time keys.
    pub key_counts: KeyCounts,
    pub presence: PresenceUpdate,
}

impl Updates {
    fn are_none(&self) -> bool {
        self.rooms.is_empty()
            && self.account_data.is_empty()
            && self.device_lists.is_empty()
            && self.messages.is_empty()
            && self.presence.presences.is_empty()
    }
}

/// What is new of a room.
#[derive(Debug)]
pub struct RoomUpdate {
    pub room_id: OwnedRoomId,
    /// The user's membership in the room.
    pub membership: Membership,
    pub content: Content,
}

#[derive(Debug)]
pub enum Content {
    /// The stripped state of a room to which the user is invited or at which they knock; `None` where the stripped
    /// states of all rooms were too much to load.
    Stripped(Option<Box<RawValue>>),
    /// The user is in the room, or was.
    Stay(Box<Stay>),
}

/// What a user is shown of a room that they are in, or were.
#[derive(Debug, Default)]
pub struct Stay {
    pub timeline: Vec<Box<RawValue>>,
    /// Whether there is more before the timeline that the client does not know.
    pub limited: bool,
    /// Where `/messages` goes on before the timeline; `None` for a room that the user was never in.
    pub prev_batch: Option<i64>,
    /// The state events that the client needs and that the timeline does not give; or, where it asked for it, all that
    /// changed up to the timeline's end.
    pub state: Vec<Box<RawValue>>,
    pub account_data: Vec<Data>,
    /// What only a joined user is told.
    pub inside: Option<Inside>,
}

/// What only a joined user is told.
#[derive(Debug)]
pub struct Inside {
    pub joined_members: u32,
    pub invited_members: u32,
    pub heroes: Vec<OwnedUserId>,
    /// Receipts and who types.
    pub ephemeral: Vec<Data>,
    /// What is unread, and what of other threads than the main one is not counted there.
    pub unread: UnreadCounts,
    pub unread_threads: BTreeMap<String, UnreadCounts>,
}

/// An item that is no event of the room: account data, receipts, typing.
#[derive(Debug, Serialize)]
pub struct Data {
    #[serde(rename = "type")]
    pub kind: String,
    pub content: Box<RawValue>,
}

impl Data {
    fn of((kind, content): (String, Box<RawValue>)) -> Self {
        Self { kind, content }
    }

    fn receipts(content: Box<RawValue>) -> Self {
        Self { kind: "m.receipt".to_owned(), content }
    }

    fn typing(user_ids: Vec<OwnedUserId>) -> serde_json::Result<Self> {
        let content = to_raw_value(&Typing { user_ids })?;
        Ok(Self { kind: "m.typing".to_owned(), content })
    }
}

#[derive(Serialize)]
struct Typing {
    user_ids: Vec<OwnedUserId>,
}

/// Gathers what is new; waits while there is nothing.
pub async fn gather(world: &World, claim: Claim, request: Request) -> Result<Updates> {
    let until = world.now() + request.timeout.min(LONGEST);
    let mut request = request;
    loop {
        let mut pulled = pull(world, &claim, &request, until).await?;
        presence::tell(world, &mut pulled);
        let updates = of_all(world, &claim.user, &request, pulled).await?;
        let done = request.since.is_none() || request.full_state || world.now() >= until;
        if done || !updates.are_none() {
            return Ok(updates);
        }
        // News that the filter hides is no reason to answer.
        request.since = Some(updates.next);
        request.messages_since = Some(updates.next);
        if let Some(polling) = &mut request.presence {
            polling.go_on(&updates.presence);
        }
    }
}

/// Pulls the news from the user's object; waits there while there is none.
async fn pull(world: &World, claim: &Claim, request: &Request, until: u64) -> Result<Pulled> {
    let address = user_object(&claim.user);
    let hold = request.since.is_some() && !request.full_state && until > world.now();
    let mut pull = Pull {
        session: claim.session.clone(),
        since: request.since,
        hold,
        include_leave: request.filter.room.include_leave,
        full_state: request.full_state,
        messages_since: request.messages_since,
        presence: presence::poll(request, if hold { until } else { world.now() }, false),
        goes_on: presence::goes_on(request),
    };
    if hold {
        // One that was woken may have been cut off: then something may have been missed.
        let watched = match world.wait(&address, &pull, until).await? {
            Waited::Answered(pulled) => return Ok(pulled),
            Waited::Refused(refusal) => return Err(Unsynced::User(refusal)),
            Waited::Woken => false,
            Waited::TimedOut => true,
        };
        (pull.hold, pull.goes_on) = (false, true);
        pull.presence = presence::poll(request, world.now(), watched);
    }
    Ok(world.ask(&address, &pull).await?)
}

/// What is new of all rooms that the filter shows.
async fn of_all(
    world: &World,
    user: &OwnedUserId,
    request: &Request,
    pulled: Pulled,
) -> Result<Updates> {
    let Pulled { device_id: device, next, rooms, account_data, ignored, .. } = pulled;
    let Pulled { shares, devices_changed, messages, messages_upto, key_counts, .. } = pulled;
    let polled = pulled.presence;
    let viewer = &Viewer { user: user.clone(), device, ignored };
    let shown = rooms.into_iter().filter(|room| request.filter.shows(&room.room_id));
    let updates: Vec<Vec<RoomUpdate>> = stream::iter(shown)
        .map(|news| of_room(world, viewer, request, news))
        .buffered(ROOMS_AT_ONCE)
        .try_collect()
        .await?;
    let account_data = passing(account_data, &request.filter.account_data);
    let device_lists = devices::device_lists(world, user, shares, devices_changed).await?;
    let rooms = updates.into_iter().flatten().collect();
    let presence = PresenceUpdate::default();
    let mut updates = Updates {
        next,
        rooms,
        account_data,
        device_lists,
        messages,
        messages_upto,
        key_counts,
        presence,
    };
    presence::add(world, user, request, (polled, &viewer.ignored), &mut updates).await;
    Ok(updates)
}

/// The user and device for whom rooms are asked.
struct Viewer {
    user: OwnedUserId,
    device: String,
    ignored: BTreeSet<OwnedUserId>,
}

/// What is new of one room. Besides an invite or knock, a stay that ended since the last request is reported too.
async fn of_room(
    world: &World,
    viewer: &Viewer,
    request: &Request,
    news: RoomNews,
) -> Result<Vec<RoomUpdate>> {
    if !news.membership.is_waiting() {
        return Ok(stay(world, viewer, request, (news, false)).await?.into_iter().collect());
    }
    let mut updates = Vec::new();
    if request.since.is_some() && news.from > 0 {
        let past = RoomNews::of(news.room_id.clone(), Membership::Leave, news.from, news.to);
        updates.extend(stay(world, viewer, request, (past, true)).await?);
    }
    if !news.hidden {
        let RoomNews { room_id, membership, stripped, .. } = news;
        updates.push(RoomUpdate { room_id, membership, content: Content::Stripped(stripped) });
    }
    Ok(updates)
}

/// The update of a room that the user is in, or was in. With `stay_only`, `None` for a room that the user was not in
/// since the last request.
async fn stay(
    world: &World,
    viewer: &Viewer,
    request: &Request,
    (news, stay_only): (RoomNews, bool),
) -> Result<Option<RoomUpdate>> {
    let (room_id, membership) = (news.room_id.clone(), news.membership);
    let update =
        |stay| Ok(Some(RoomUpdate { room_id, membership, content: Content::Stay(Box::new(stay)) }));
    let window = Window {
        user: viewer.user.clone(),
        device: viewer.device.clone(),
        from: news.from,
        to: news.to,
        full_state: request.full_state,
        stay_only,
        state_after: request.state_after,
        timeline: request.filter.timeline(&news.room_id, &viewer.ignored),
        state: request.filter.room.state.of_room(&news.room_id),
    };
    let window = match world.ask(&room_object(&news.room_id), &window).await {
        Ok(window) => window,
        // We were never in this room: only its invite ended.
        Err(AskError::Refused(Refusal::Absent)) if stay_only => return Ok(None),
        Err(AskError::Refused(Refusal::Absent)) => {
            return update(outside::ended(request, viewer, &news)?);
        }
        Err(error) => return Err(error.into()),
    };
    if has_news(request, &news, &window, stay_only) {
        update(shown(request, news, window)?)
    } else {
        Ok(None)
    }
}

/// Whether there is anything to report of a room. That the user left is news by itself, except with `stay_only`.
fn has_news(request: &Request, news: &RoomNews, window: &WindowReply, stay_only: bool) -> bool {
    let counts_changed = news.unread.as_ref().is_some_and(|unread| unread.changed);
    let beside = !news.account_data.is_empty() || news.typing.is_some() || counts_changed;
    if beside || request.full_state && !stay_only {
        return true;
    }
    let has_left = !stay_only && news.membership != Membership::Join;
    // A `limited` timeline is news even when empty: `/messages` has the rest. So is a room that is new to the client.
    let has_content = window.anew
        || window.limited
        || !window.timeline.is_empty()
        || !window.state.is_empty()
        || window.receipts.is_some();
    news.from != news.to && (has_left || request.since.is_none() || has_content)
}

/// What the filter shows of a room's window.
fn shown(request: &Request, news: RoomNews, window: WindowReply) -> Result<Stay> {
    let filter = &request.filter.room;
    let mut stay = Stay {
        timeline: window.timeline,
        limited: window.limited,
        prev_batch: Some(window.prev_batch),
        state: window.state,
        account_data: passing(news.account_data, &filter.account_data.of_room(&news.room_id)),
        inside: None,
    };
    if news.membership == Membership::Join {
        let typing = news.typing.map(Data::typing).transpose()?;
        let ephemeral = window.receipts.map(Data::receipts).into_iter().chain(typing);
        let ephemeral = ephemeral.map(|data| (data.kind, data.content));
        let (unread, unread_threads) =
            unread(news.unread.unwrap_or_default(), filter.unread_threads);
        stay.inside = Some(Inside {
            joined_members: window.joined_members,
            invited_members: window.invited_members,
            heroes: window.heroes,
            ephemeral: passing(ephemeral, &filter.ephemeral.of_room(&news.room_id)),
            unread,
            unread_threads,
        });
    }
    Ok(stay)
}

/// What is unread: of the main thread and of each other one, or of all together.
fn unread(unread: RoomUnread, by_thread: bool) -> (UnreadCounts, BTreeMap<String, UnreadCounts>) {
    let (mut all, mut threads) = (UnreadCounts::default(), BTreeMap::new());
    for (thread, counts) in unread.threads {
        if by_thread && thread != MAIN_THREAD {
            threads.insert(thread, counts);
        } else {
            all.add(counts);
        }
    }
    (all, threads)
}

/// The items that pass a filter. They have no sender, so a filter with a list of `senders` lets none pass.
fn passing(
    items: impl IntoIterator<Item = (String, Box<RawValue>)>,
    filter: &EventFilter,
) -> Vec<Data> {
    let passing = items
        .into_iter()
        .filter(|(kind, content)| filter.senders.is_none() && filter.passes_content(kind, content));
    passing.map(Data::of).collect()
}
