//! How does an application service get what it is owed?
//! ([pushing events](https://spec.matrix.org/v1.19/application-service-api/#pushing-events))
//!
//! The alarm of the service's object runs this flow. A transaction is made of what the rooms answer, stored with the
//! object, and sent as it is stored, until the service takes it. Only then the next one is made.

use bytes::Bytes;
use ruma::{OwnedRoomId, UserId};
use serde::Serialize;
use serde_json::value::RawValue;
use tombolo_platform::{Address, AskError, Fault, World};
use tombolo_protocol::event::fields;

use super::{Appservice, registrations};
use crate::{
    objects::{
        appservice::{
            AppserviceClass,
            messages::{
                Built, Failed, MAX_BYTES, MAX_EVENTS, NextTransaction, Parts, Row, Sent,
                Transaction,
            },
        },
        room::messages::{ForService, ForServiceReply, Position},
        room_object,
    },
    remote::appservices as remote,
};

/// How long one alarm goes on (ms), and with how many steps: no alarm runs for ever.
const LONGEST: u64 = 300_000;
const STEPS: usize = 1_000;
/// How soon it is tried again where something of ours failed (ms).
const AGAIN: u64 = 1_000;
/// How long the pause is after which a service that is not registered is no more looked for (ms).
const LOOKED_FOR: u64 = 60_000;
/// How often rooms are asked for one transaction.
const MOST_ASKED: usize = 100;

/// Sends what is owed; answers when to come again (ms).
pub async fn deliver(
    world: World,
    address: Address<AppserviceClass>,
) -> Result<Option<u64>, Fault> {
    let began = world.now();
    let mut silent: Vec<OwnedRoomId> = Vec::new();
    for _ in 0..STEPS {
        let next = NextTransaction { without: silent.clone() };
        let next = ask(world.ask(&address, &next).await)?;
        if next.stored.is_none() && next.parts.is_none() {
            let again = (!silent.is_empty()).then(|| world.now() + AGAIN);
            return Ok([next.next, again].into_iter().flatten().min());
        }
        let services = match registrations::recent(&world).await {
            Ok(services) => services,
            Err(error) => {
                tracing::warn!(id = address.name, %error, "no application service is sent anything");
                return Ok(Some(world.now() + AGAIN));
            }
        };
        let Some(service) = services.get(&address.name) else {
            return unregistered(&world, &address).await;
        };
        let Some(place) = service.place() else { return Ok(None) };
        if let Some(Transaction { id, body }) = next.stored {
            if let Err(error) = remote::send(&world, place, id, Bytes::from(body)).await {
                tracing::info!(id = service.id(), %error, "an application service took no transaction");
                let failed = Failed { error: error.to_string() };
                return Ok(Some(ask(world.ask(&address, &failed).await)?));
            }
            ask(world.ask(&address, &Sent { id }).await)?;
        } else if let Some(parts) = next.parts {
            let made = make(&world, service, parts, &mut silent).await?;
            ask(world.ask(&address, &made).await)?;
        }
        if world.now() >= began + LONGEST {
            break;
        }
    }
    Ok(Some(world.now()))
}

/// Looks again for a while: this isolate may not have heard of the service yet. One that was removed, or whose
/// registration cannot be read, is looked for when it is owed more.
async fn unregistered(
    world: &World,
    address: &Address<AppserviceClass>,
) -> Result<Option<u64>, Fault> {
    let error = "it is not registered".to_owned();
    let retry_at = ask(world.ask(address, &Failed { error }).await)?;
    Ok(Some(retry_at).filter(|retry_at| retry_at.saturating_sub(world.now()) < LOOKED_FOR))
}

/// What a service is sent.
#[derive(Serialize)]
struct Content<'a> {
    events: &'a [Box<RawValue>],
    #[serde(skip_serializing_if = "Option::is_none")]
    ephemeral: Option<&'a [Box<RawValue>]>,
    /// The name that services know which are older than the specification's.
    #[serde(rename = "de.sorunome.msc2409.ephemeral", skip_serializing_if = "Option::is_none")]
    unstable_ephemeral: Option<&'a [Box<RawValue>]>,
}

/// A transaction while it is made.
#[derive(Default)]
struct Draft {
    events: Vec<Box<RawValue>>,
    bytes: usize,
    rows: Vec<(i64, Position)>,
    asked: usize,
}

impl Draft {
    fn is_full(&self) -> bool {
        self.events.len() >= MAX_EVENTS || self.bytes >= MAX_BYTES || self.asked >= MOST_ASKED
    }

    fn push(&mut self, event: Box<RawValue>) {
        self.bytes += event.get().len();
        self.events.push(event);
    }
}

/// Makes a transaction. Rooms that do not answer are noted as silent: what others owe does not wait for them.
async fn make(
    world: &World,
    service: &Appservice,
    parts: Parts,
    silent: &mut Vec<OwnedRoomId>,
) -> Result<Built, Fault> {
    let mut draft = Draft::default();
    for row in parts.rows {
        if draft.is_full() {
            break;
        }
        // What is new in a room follows what is older.
        if silent.contains(&row.room_id) {
            continue;
        }
        if let Err(cause) = add(world, service, &row, &mut draft).await {
            tracing::warn!(room = %row.room_id, %cause, "a room owes a service what it does not give");
            silent.push(row.room_id);
        }
    }
    let (mut edus, mut settled, mut bytes) = (Vec::new(), Vec::new(), draft.bytes);
    for (seq, edu) in parts.edus {
        // Each stands there twice.
        bytes += 2 * edu.get().len();
        if bytes > MAX_BYTES && !(draft.events.is_empty() && edus.is_empty()) {
            break;
        }
        edus.push(edu);
        settled.push(seq);
    }
    let ephemeral = Some(&*edus).filter(|_| service.registration.receive_ephemeral);
    let is_empty = draft.events.is_empty() && ephemeral.is_none_or(<[_]>::is_empty);
    let content = Content { events: &draft.events, ephemeral, unstable_ephemeral: ephemeral };
    let body = if is_empty { None } else { Some(serde_json::to_string(&content)?) };
    Ok(Built { id: parts.id, body, rows: draft.rows, edus: settled })
}

/// Adds what a row holds, as far as it fits.
async fn add(
    world: &World,
    service: &Appservice,
    row: &Row,
    draft: &mut Draft,
) -> Result<(), String> {
    if let Some(event) = &row.event {
        draft.push(event.clone());
        draft.rows.push((row.seq, row.range.to));
        return Ok(());
    }
    let mut from = row.range.from;
    while from < row.range.to && !draft.is_full() {
        draft.asked += 1;
        let ForServiceReply { events, upto } = ask_room(world, row, from, draft).await?;
        for event in events {
            if row.range.whole || concerns(service, &event) {
                draft.push(event);
            }
        }
        from = upto.max(from + 1);
        draft.rows.retain(|(seq, _)| *seq != row.seq);
        draft.rows.push((row.seq, from));
    }
    Ok(())
}

async fn ask_room(
    world: &World,
    row: &Row,
    from: Position,
    draft: &Draft,
) -> Result<ForServiceReply, String> {
    let limit = u32::try_from(MAX_EVENTS - draft.events.len()).unwrap_or_default();
    let bytes = (MAX_BYTES - draft.bytes) as u64;
    let wanted = ForService { from, to: row.range.to, limit, bytes };
    match world.ask(&room_object(&row.room_id), &wanted).await {
        Ok(reply) => Ok(reply),
        // A room that is gone owes nothing.
        Err(AskError::Refused(_)) => Ok(ForServiceReply { events: Vec::new(), upto: row.range.to }),
        Err(AskError::Unreachable(cause)) => Err(cause),
    }
}

/// Whether an event is a user's of the service, or changes the membership of one.
fn concerns(service: &Appservice, event: &RawValue) -> bool {
    let [sender, kind, key] = fields(event, ["sender", "type", "state_key"])
        .map(|field| field.and_then(|field| serde_json::from_str::<String>(field.get()).ok()));
    let target = key.filter(|_| kind.as_deref() == Some("m.room.member"));
    let users = sender.into_iter().chain(target);
    users.filter_map(|user| UserId::parse(user).ok()).any(|user| service.has_user(&user))
}

fn ask<T, R: std::fmt::Debug>(answer: Result<T, AskError<R>>) -> Result<T, Fault> {
    answer.map_err(|error| Fault(format!("{error:?}")))
}
