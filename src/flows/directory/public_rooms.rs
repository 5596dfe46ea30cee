//! Which rooms does a server publish?
//! ([published rooms](https://spec.matrix.org/v1.19/client-server-api/#published-room-directory))
//!
//! Ours are read from D1's copy, the largest first. A token says beside which room to go on, and in which direction, so
//! it holds whatever is published meanwhile.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::{RoomId, ServerName};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tombolo_platform::World;

use super::remote;
use crate::{
    flows::ours::Ours,
    objects::room::messages::{Known, Listing, Summary},
    remote::{
        RemoteError, api,
        client::{self, Ask, BRIEF},
    },
    stores::public_rooms::{self, Entry, Place, Published, Wanted},
};

/// The most rooms of one page, and how many it has if the asker does not say.
const MAX_ROOMS: usize = 500;
/// The longest token, in bytes: of ours none is longer, and those of others are passed on.
const MAX_TOKEN: usize = 2_048;

/// What is wanted of a list of public rooms.
#[derive(Debug, Default)]
pub struct Query {
    /// 0: as many as the server gives.
    pub limit: usize,
    pub since: Option<String>,
    pub term: Option<String>,
    /// Of which types rooms have to be; `None` stands for rooms without a type. None named: of any.
    pub types: Vec<Option<String>>,
}

/// Some rooms of a list.
#[derive(Debug, Default)]
pub struct Page {
    pub rooms: Vec<Summary>,
    pub next: Option<String>,
    pub prev: Option<String>,
    pub estimate: Option<u64>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum Unlisted {
    #[error("There is no such token")]
    Token,
    #[error("{0}")]
    Remote(#[from] RemoteError),
    #[error("{0}")]
    Ours(#[from] Ours),
}

/// Where a page begins or ends.
#[derive(Debug, PartialEq, Eq)]
struct Token {
    /// Whether the rooms before the place are wanted.
    before: bool,
    place: Place,
}

/// Copies to D1 what a room is to be found by.
pub async fn copy(world: &World, room_id: &RoomId, listing: &Listing) -> Result<(), Ours> {
    let published = listing.summary.as_ref().map(|summary| {
        let texts = [&summary.name, &summary.topic, &summary.canonical_alias];
        let texts: Vec<&str> = texts.into_iter().flatten().map(String::as_str).collect();
        Ok::<_, serde_json::Error>(Published {
            members: i64::try_from(summary.num_joined_members).unwrap_or(i64::MAX),
            federates: summary.federates,
            room_type: summary.room_type.as_deref(),
            searched: texts.join("\n").to_lowercase(),
            // A list does not show from which rooms one may join: that may be much.
            summary: serde_json::to_string(&Summary {
                allowed_room_ids: Vec::new(),
                ..summary.clone()
            })?,
        })
    });
    let entry = Entry {
        version: listing.version,
        open: listing.open,
        published: published.transpose()?,
        overview: listing.known.as_ref().map(overview).transpose()?,
    };
    Ok(public_rooms::save(world, room_id, &entry).await?)
}

/// What an operator's list is ordered by and searched through, as JSON. Of an alias only the local part is searched.
fn overview(known: &Known) -> serde_json::Result<String> {
    let alias = known.canonical_alias.as_deref();
    let local = alias.and_then(|alias| alias.strip_prefix('#')?.split(':').next());
    let texts: Vec<&str> = known.name.as_deref().into_iter().chain(local).collect();
    let mut overview = serde_json::to_value(known)?;
    overview["searched"] = json!(texts.join("\n").to_lowercase());
    Ok(overview.to_string())
}

/// The rooms that this server publishes; to other servers (`federating`), those that their users may join.
pub async fn ours(world: &World, query: &Query, federating: bool) -> Result<Page, Unlisted> {
    let since = query.since.as_deref().map(|token| Token::read(token).ok_or(Unlisted::Token));
    let since = since.transpose()?;
    let before = since.as_ref().is_some_and(|since| since.before);
    let limit = if query.limit == 0 { MAX_ROOMS } else { query.limit.min(MAX_ROOMS) };
    let types: Vec<String> =
        query.types.iter().map(|kind| kind.clone().unwrap_or_default()).collect();
    let term = query.term.as_deref().filter(|term| !term.is_empty());
    let wanted = Wanted { federating, term, types: &types };
    let from = since.as_ref().map(|since| &since.place);
    let listed = public_rooms::list(world, &wanted, (from, before), limit).await;
    let (texts, more) = listed.map_err(Ours::from)?;
    let rooms = texts.iter().map(|text| serde_json::from_str(text));
    let rooms: Vec<Summary> = rooms.collect::<Result<_, _>>().map_err(Ours::from)?;
    let token = |room: Option<&Summary>, before| Some(Token::beside(room?, before).text());
    let has_next = more || before;
    let has_prev = if before { more } else { since.is_some() };
    Ok(Page {
        next: token(rooms.last().filter(|_| has_next), false),
        prev: token(rooms.first().filter(|_| has_prev), true),
        estimate: Some(public_rooms::count(world, federating).await.map_err(Ours::from)?),
        rooms,
    })
}

/// The rooms that another server publishes.
pub async fn of(world: &World, server: &ServerName, query: &Query) -> Result<Page, Unlisted> {
    if query.since.as_ref().is_some_and(|since| since.len() > MAX_TOKEN) {
        return Err(Unlisted::Token);
    }
    let said: Said = if query.term.is_some() || !query.types.is_empty() {
        let body = client::content(&Filtered::of(query))?;
        client::ask(world, server, Ask::post(api::PUBLIC_ROOMS, &body).within(BRIEF)).await?
    } else {
        let path = api::public_rooms(query.limit, query.since.as_deref());
        client::ask(world, server, Ask::get(&path).within(BRIEF)).await?
    };
    let short = |token: Option<String>| token.filter(|token| token.len() <= MAX_TOKEN);
    Ok(Page {
        rooms: said.chunk.iter().filter_map(remote::summary).take(MAX_ROOMS).collect(),
        next: short(said.next_batch),
        prev: short(said.prev_batch),
        estimate: said.total_room_count_estimate.and_then(|count| count.as_u64()),
    })
}

/// The body of a request with a filter.
#[derive(Serialize)]
struct Filtered<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<&'a str>,
    filter: Value,
}

impl<'a> Filtered<'a> {
    fn of(query: &'a Query) -> Self {
        let mut filter = json!({});
        if let Some(term) = &query.term {
            filter["generic_search_term"] = json!(term);
        }
        if !query.types.is_empty() {
            filter["room_types"] = json!(query.types);
        }
        let limit = (query.limit > 0).then_some(query.limit);
        Self { limit, since: query.since.as_deref(), filter }
    }
}

/// What another server says.
#[derive(Deserialize)]
struct Said {
    chunk: Vec<Value>,
    #[serde(default)]
    next_batch: Option<String>,
    #[serde(default)]
    prev_batch: Option<String>,
    #[serde(default)]
    total_room_count_estimate: Option<Value>,
}

impl Token {
    /// The place of a room, as it is in the list now.
    fn beside(room: &Summary, before: bool) -> Self {
        let members = i64::try_from(room.num_joined_members).unwrap_or(i64::MAX);
        Self { before, place: Place { members, room_id: room.room_id.to_string() } }
    }

    fn text(&self) -> String {
        let way = if self.before { 'b' } else { 'f' };
        URL_SAFE_NO_PAD.encode(format!("{way} {} {}", self.place.members, self.place.room_id))
    }

    fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_TOKEN {
            return None;
        }
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.splitn(3, ' ');
        let before = match parts.next()? {
            "b" => true,
            "f" => false,
            _ => return None,
        };
        let members = parts.next()?.parse().ok()?;
        Some(Self { before, place: Place { members, room_id: parts.next()?.to_owned() } })
    }
}
