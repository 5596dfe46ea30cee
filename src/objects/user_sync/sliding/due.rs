//! Why is a room sent, and how much does that bring?

use super::{
    connections::SentRoom,
    wanted::{InScope, RoomConfig, Shown},
};
use crate::objects::{
    room::messages::{RequiredState, StateElement},
    user_sync::{SlidRoom, pull::MAX_STRIPPED},
};

/// The most rooms of one response, and the most events that are wanted of them together: a Worker asks so many objects,
/// and holds their answers. The others follow in the next one.
const MOST_ROOMS: usize = 200;
const MOST_EVENTS: u32 = 4_000;
/// For how many events all members of a room are taken, or all of its state.
const MUCH_STATE: u32 = 200;
/// The longest wishes of one response together (bytes).
const MAX_WISHES: usize = 4 << 20;
/// For how much an element of a wish is taken beside what it names (bytes).
const ELEMENT: usize = 64;

/// What the client was sent of a room, and by which wish.
pub type Known<'a> = Option<(&'a SentRoom, &'a RoomConfig)>;

/// Why a room is due.
pub struct Due<'a> {
    pub shown: Shown<'a>,
    /// Whether there may be news that the room itself, or its invite, tells.
    pub asks: bool,
    /// Whether the client wants more events than it was sent.
    pub expanded: bool,
    /// Whether it became a direct message, or is none any more.
    pub turned: bool,
}

impl<'a> Due<'a> {
    pub fn of(room: &InScope<'_>, known: Known<'_>, shown: Shown<'a>) -> Self {
        let Some((before, config)) = known else {
            return Self { shown, asks: true, expanded: false, turned: false };
        };
        let membership = room.last.membership;
        let moved = before.upto < room.last.upto || before.membership != membership;
        let expanded = shown.wish.limit > config.limit;
        let more_state = || shown.wish.wants_more_state(before.config, config);
        let wants_more = || expanded || shown.receipts && !before.receipts || more_state();
        // An invite says what it says, whatever is wanted.
        let asks = moved || !membership.is_waiting() && wants_more();
        let turned = before.is_dm != shown.is_dm && !membership.is_out();
        Self { asks, expanded, turned, shown }
    }

    pub fn is_none(&self) -> bool {
        !self.asks && !self.turned
    }
}

/// How much one response is to bring.
#[derive(Default)]
pub struct Load {
    rooms: usize,
    events: u32,
    stripped: usize,
    wishes: usize,
}

impl Load {
    pub fn add(&mut self, due: &Due<'_>, known: Known<'_>, shown: &SlidRoom) {
        self.rooms += 1;
        self.stripped += shown.stripped.as_ref().map_or(0, |stripped| stripped.get().len());
        let Some(window) = &shown.window else { return };
        let wish = &due.shown.wish;
        let state = wish.beyond(known.map(|(_, config)| config)).map(RequiredState::weight);
        let events = state.fold(wish.limit, u32::saturating_add);
        self.events = self.events.saturating_add(events);
        let wishes = window.required.iter().chain(&window.required_before);
        self.wishes += wishes.map(RequiredState::size).sum::<usize>();
    }

    pub fn is_full(&self) -> bool {
        self.rooms >= MOST_ROOMS
            || self.events >= MOST_EVENTS
            || self.stripped >= MAX_STRIPPED
            || self.wishes >= MAX_WISHES
    }
}

impl RequiredState {
    /// How many events this is taken for.
    fn weight(&self) -> u32 {
        // What has no type is looked for in all of the state.
        let is_much = |StateElement { kind, state_key }: &StateElement| match kind.as_deref() {
            None => true,
            Some(kind) => kind == "m.room.member" && state_key.is_none() && !self.lazy_members,
        };
        let of_each = self.include.iter().map(|element| match is_much(element) {
            true => MUCH_STATE,
            false => 1,
        });
        of_each.fold(0, u32::saturating_add)
    }

    /// About how long this is (bytes).
    pub fn size(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let elements = self.include.iter().chain(&self.exclude);
        elements.map(|of| ELEMENT + length(&of.kind) + length(&of.state_key)).sum()
    }
}
