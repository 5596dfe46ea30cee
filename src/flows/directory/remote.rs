//! What does another server say of a room?
//!
//! Each field is taken if it has the form of the specification: one room must not spoil an answer, and nothing reaches a
//! client that it could not read.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use ruma::{MxcUri, OwnedRoomId, OwnedServerName, RoomAliasId, RoomId, UserId};
use serde::Deserialize;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use tombolo_platform::{Limits, World};
use tombolo_protocol::space::{CHILD, Link, SPACE};

use crate::{
    objects::room::messages::{Child, Summary},
    remote::{
        RemoteError, api,
        client::{self, Ask},
    },
};

/// How long a text may be, in bytes; a longer one is left out.
const MAX_TEXT: usize = 16 << 10;
/// How long a name of something may be, in bytes.
const MAX_NAME: usize = 255;
/// How many rooms one may name whose members may join it.
const MAX_ALLOWED: usize = 100;

/// The room of an answer; `None` if it says no room ID.
pub fn summary(said: &Value) -> Option<Summary> {
    let text = |name: &str, most: usize| {
        let text = said.get(name)?.as_str()?;
        (!text.is_empty() && text.len() <= most).then(|| text.to_owned())
    };
    let is = |name: &str| said.get(name).and_then(Value::as_bool).unwrap_or_default();
    let allowed = said.get("allowed_room_ids").and_then(Value::as_array);
    let allowed = allowed.into_iter().flatten().filter_map(|room| room_id(room.as_str()?));
    Some(Summary {
        room_id: room_id(said.get("room_id")?.as_str()?)?,
        name: text("name", MAX_TEXT),
        topic: text("topic", MAX_TEXT),
        canonical_alias: text("canonical_alias", MAX_NAME)
            .filter(|alias| RoomAliasId::parse(alias).is_ok()),
        avatar_url: text("avatar_url", MAX_NAME).filter(|url| <&MxcUri>::from(&**url).is_valid()),
        join_rule: text("join_rule", MAX_NAME).unwrap_or_else(|| "public".to_owned()),
        num_joined_members: said
            .get("num_joined_members")
            .and_then(Value::as_u64)
            .filter(|count| ruma::UInt::try_from(*count).is_ok())
            .unwrap_or_default(),
        world_readable: is("world_readable"),
        guest_can_join: is("guest_can_join"),
        room_type: text("room_type", MAX_NAME),
        room_version: text("room_version", MAX_NAME).unwrap_or_default(),
        encryption: text("encryption", MAX_NAME),
        allowed_room_ids: allowed.take(MAX_ALLOWED).collect(),
        federates: true,
    })
}

fn room_id(text: &str) -> Option<OwnedRoomId> {
    RoomId::parse(text).ok()
}

/// For how long an answer is remembered (ms). That a server does not tell of a room is not remembered: it may learn in a
/// moment who may know. One that is out of reach is left alone in any case (`remote::reach`).
const FRESH: u64 = 300_000;
/// How many answers are remembered, and how many bytes of them.
const MOST_ANSWERS: usize = 1_000;
const MOST_BYTES: usize = 8 << 20;
/// How many children of a room are read, in either list of an answer.
const MAX_CHILDREN: usize = 1_000;
/// The longest answer (bytes), and how long it may take.
const LIMITS: Limits = Limits { time: Duration::from_secs(5), bytes: 1 << 20 };

/// What a server says of a room.
#[derive(Debug)]
pub struct Answer {
    pub room: Summary,
    /// In their order.
    pub children: Vec<Child>,
    /// What it says of the children it knows.
    pub known: BTreeMap<OwnedRoomId, Summary>,
    /// The children that, by its account, nobody of us may know.
    pub inaccessible: BTreeSet<OwnedRoomId>,
}

#[derive(Deserialize)]
struct Said {
    room: Value,
    #[serde(default)]
    children: Vec<Value>,
    #[serde(default)]
    inaccessible_children: Vec<Value>,
}

/// What was asked: a server, a room, and whether of suggested children only.
type Asked = (OwnedServerName, OwnedRoomId, bool);

/// What the isolate remembers.
#[derive(Default)]
struct Answers {
    known: BTreeMap<Asked, Known>,
    bytes: usize,
}

/// An answer, until when it is remembered (ms), and its length.
struct Known {
    answer: Rc<Answer>,
    until: u64,
    length: usize,
}

/// What a server says of a room and its children; `None` where it says nothing that can be used.
pub async fn ask(
    world: &World,
    server: &OwnedServerName,
    room_id: &RoomId,
    suggested_only: bool,
) -> Option<Rc<Answer>> {
    let asked = (server.clone(), room_id.to_owned(), suggested_only);
    let answers = world.isolate(|_| RefCell::<Answers>::default());
    if let Some(known) = answers.borrow().known.get(&asked)
        && known.until > world.now()
    {
        return Some(Rc::clone(&known.answer));
    }
    let path = api::hierarchy(room_id, suggested_only);
    let body = client::send(world, server, Ask::get(&path).within(LIMITS)).await;
    let read = body.and_then(|body| {
        let answer = answer(client::read(&body)?, room_id, suggested_only);
        let nonsense = || RemoteError::Nonsense("it speaks of another room".to_owned());
        Ok((answer.ok_or_else(nonsense)?, body.len()))
    });
    let (answer, length) = match read {
        Ok((answer, length)) => (Rc::new(answer), length),
        Err(error) => {
            tracing::info!(%server, room = %room_id, %error, "a server does not tell of a room");
            return None;
        }
    };
    let known = Known { answer: Rc::clone(&answer), until: world.now() + FRESH, length };
    answers.borrow_mut().note(asked, known);
    Some(answer)
}

impl Answers {
    fn note(&mut self, asked: Asked, known: Known) {
        let before = self.known.remove(&asked).map_or(0, |known| known.length);
        self.bytes = self.bytes.saturating_sub(before).saturating_add(known.length);
        if self.known.len() >= MOST_ANSWERS || self.bytes > MOST_BYTES {
            *self = Self { bytes: known.length, ..Self::default() };
        }
        self.known.insert(asked, known);
    }
}

fn answer(said: Said, room_id: &RoomId, suggested_only: bool) -> Option<Answer> {
    let room = summary(&said.room).filter(|room| room.room_id == room_id)?;
    let links = said.room.get("children_state").and_then(Value::as_array);
    let links = links.into_iter().flatten().take(MAX_CHILDREN).filter_map(child);
    let mut links: Vec<(Link, Box<RawValue>)> =
        links.filter(|(link, _)| link.suggested || !suggested_only).collect();
    links.sort_by(|(one, _), (other, _)| one.cmp(other));
    let is_space = room.room_type.as_deref() == Some(SPACE);
    let children = links.into_iter().filter(|_| is_space);
    let children =
        children.map(|(link, event)| Child { room_id: link.room_id, via: link.via, event });
    let known = said.children.iter().take(MAX_CHILDREN).filter_map(summary);
    let inaccessible = said.inaccessible_children.iter().take(MAX_CHILDREN);
    Some(Answer {
        room,
        children: children.collect(),
        known: known.map(|room| (room.room_id.clone(), room)).collect(),
        inaccessible: inaccessible.filter_map(|room| self::room_id(room.as_str()?)).collect(),
    })
}

/// A child event that has its form, with nothing else in it.
fn child(event: &Value) -> Option<(Link, Box<RawValue>)> {
    let text = |name: &str| event.get(name)?.as_str();
    let (key, content) = (text("state_key")?, event.get("content")?);
    let sender = UserId::parse(text("sender")?).ok()?;
    let at = event.get("origin_server_ts")?.as_i64()?;
    let link =
        Link::of(key, &to_raw_value(content).ok()?, at).filter(|_| text("type") == Some(CHILD))?;
    let event = json!({
        "type": CHILD, "state_key": key, "content": content, "sender": sender, "origin_server_ts": at,
    });
    Some((link, to_raw_value(&event).ok()?))
}
