//! Where does a large answer wait until its events can be verified?
//!
//! A Worker has 128 MB for everything. It holds the first megabytes itself; the room keeps the rest, in parts of a few
//! events each.

use ruma::RoomId;
use tombolo_platform::{Address, AskError, World};

use crate::objects::{
    room::{
        RoomClass,
        messages::{ForgetKept, Keep, Kept, Place, Refusal},
    },
    room_object,
};

/// How large a part grows (bytes), unless one text is larger.
const PART: usize = 64 << 10;
/// How many parts the Worker holds itself.
const HERE: usize = 64;
/// How many parts go to the room at once.
const TOGETHER: usize = 8;
/// How long the room keeps the parts (ms).
const LIFE: u64 = 900_000;

/// The texts of one answer.
pub struct Texts<'a> {
    world: &'a World,
    room: Address<RoomClass>,
    /// A random number under which the room keeps the parts of this answer.
    answer: i64,
    /// The parts that the Worker holds itself.
    here: Vec<String>,
    /// How many parts the room has.
    there: usize,
    /// The parts that go to the room next.
    leaving: Vec<String>,
    /// The part that still grows.
    open: String,
}

impl<'a> Texts<'a> {
    pub fn new(world: &'a World, room_id: &RoomId) -> Self {
        let [a, b, c, d, e, f, ..] = world.random();
        let answer = i64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        let (here, leaving) = (Vec::new(), Vec::new());
        Self {
            world,
            room: room_object(room_id),
            answer,
            here,
            there: 0,
            leaving,
            open: String::new(),
        }
    }

    /// Keeps a text; answers where.
    pub async fn keep(&mut self, text: &str) -> Result<Place, AskError<Refusal>> {
        if !self.open.is_empty() && self.open.len() + text.len() > PART {
            self.close();
            if self.leaving.len() == TOGETHER {
                self.send().await?;
            }
        }
        let (part, start) = (self.here.len() + self.there + self.leaving.len(), self.open.len());
        self.open.push_str(text);
        Ok(Place { part: number(part)?, start: number(start)?, length: number(text.len())? })
    }

    /// Closes the last part. From now on texts are only read.
    pub async fn end(&mut self) -> Result<(), AskError<Refusal>> {
        self.close();
        self.send().await
    }

    /// The texts at these places.
    pub async fn read(&self, places: &[Place]) -> Result<Vec<String>, AskError<Refusal>> {
        let here = |place: &Place| self.here.get(place.part as usize);
        let places_there: Vec<Place> =
            places.iter().filter(|place| here(place).is_none()).copied().collect();
        let mut there = Vec::new();
        if !places_there.is_empty() {
            let ask = Kept { answer: self.answer, places: places_there };
            there = self.world.ask(&self.room, &ask).await?;
        }
        let mut there = there.into_iter();
        let text = |place: &Place| match here(place) {
            Some(part) => {
                let start = place.start as usize;
                part.get(start..start + place.length as usize).map(str::to_owned)
            }
            None => there.next(),
        };
        let texts: Option<Vec<String>> = places.iter().map(text).collect();
        texts.ok_or(AskError::Refused(Refusal::NotFound))
    }

    /// Has the room delete its parts; if that fails, they expire by themselves.
    pub async fn forget(&self) {
        if self.there > 0 {
            self.world.ask(&self.room, &ForgetKept { answer: self.answer }).await.ok();
        }
    }

    fn close(&mut self) {
        let part = std::mem::take(&mut self.open);
        if self.here.len() < HERE { self.here.push(part) } else { self.leaving.push(part) }
    }

    async fn send(&mut self) -> Result<(), AskError<Refusal>> {
        if self.leaving.is_empty() {
            return Ok(());
        }
        let keep = Keep {
            answer: self.answer,
            until: self.world.now() + LIFE,
            first: number(self.here.len() + self.there)?,
            parts: std::mem::take(&mut self.leaving),
        };
        self.there += keep.parts.len();
        self.world.ask(&self.room, &keep).await
    }
}

fn number(of: usize) -> Result<u32, AskError<Refusal>> {
    let too_large = || AskError::Refused(Refusal::TooLarge("the answer is too large".to_owned()));
    u32::try_from(of).map_err(|_| too_large())
}
