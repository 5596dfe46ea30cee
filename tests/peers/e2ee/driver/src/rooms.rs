//! What does a device do in rooms, and what has it seen there?

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use matrix_sdk::{
    Room, RoomMemberships,
    deserialized_responses::{TimelineEvent, TimelineEventKind},
    ruma::{
        OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, RoomOrAliasId,
        RoomVersionId,
        api::client::room::create_room::v3::{Request, RoomPreset},
        assign,
        events::{
            InitialStateEvent,
            room::{encryption::RoomEncryptionEventContent, message::RoomMessageEventContent},
        },
    },
    sync::RoomUpdates,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{Outcome, device::Device};

/// What was synced of each room.
#[derive(Clone, Default)]
pub struct Seen {
    events: Arc<Mutex<BTreeMap<OwnedRoomId, BTreeMap<OwnedEventId, TimelineEvent>>>>,
}

impl Seen {
    pub fn take(&self, rooms: RoomUpdates) {
        let mut events = self.events.lock().unwrap_or_else(|broken| broken.into_inner());
        for (room, update) in rooms.joined {
            let known = events.entry(room).or_default();
            for event in update.timeline.events {
                if let Some(id) = event.event_id() {
                    known.insert(id, event);
                }
            }
        }
    }

    fn of(&self, room: &RoomId) -> BTreeMap<OwnedEventId, TimelineEvent> {
        let events = self.events.lock().unwrap_or_else(|broken| broken.into_inner());
        events.get(room).cloned().unwrap_or_default()
    }
}

impl Device {
    /// Creates an encrypted room.
    pub async fn create_room(
        &self,
        invite: Vec<OwnedUserId>,
        version: RoomVersionId,
        preset: RoomPreset,
    ) -> Outcome<Value> {
        let encrypted = RoomEncryptionEventContent::with_recommended_defaults();
        let request = assign!(Request::new(), {
            invite,
            room_version: Some(version),
            preset: Some(preset),
            initial_state: vec![InitialStateEvent::with_empty_state_key(encrypted).to_raw_any()],
        });
        Ok(json!(self.client.create_room(request).await?.room_id()))
    }

    pub fn invited(&self) -> Value {
        self.client.invited_rooms().iter().map(|room| json!(room.room_id())).collect()
    }

    pub async fn join(&self, room: OwnedRoomId, via: OwnedServerName) -> Outcome {
        self.client.join_room_by_id_or_alias(<&RoomOrAliasId>::from(&*room), &[via]).await?;
        Ok(())
    }

    /// Who is what in a room, as far as it was told; and whether the room is encrypted.
    pub async fn members(&self, room: &RoomId) -> Outcome<Value> {
        let Some(room) = self.client.get_room(room) else {
            return Ok(json!({ "encrypted": false, "members": {} }));
        };
        // Who slides over its rooms is told of few members, and asks for the others.
        let members = match self.slides {
            true => room.members(RoomMemberships::empty()).await?,
            false => room.members_no_sync(RoomMemberships::empty()).await?,
        };
        let members: BTreeMap<_, _> =
            members.iter().map(|member| (member.user_id(), member.membership())).collect();
        Ok(json!({ "encrypted": room.encryption_state().is_encrypted(), "members": members }))
    }

    /// Sends a text; the client itself tries again while the server cannot be reached.
    pub async fn say(&self, room: &RoomId, body: String, seconds: u64) -> Outcome<Value> {
        let room = self.room(room)?;
        let sending = room.send(RoomMessageEventContent::text_plain(body)).into_future();
        let sent = timeout(Duration::from_secs(seconds), sending).await??;
        Ok(json!(sent.response.event_id))
    }

    /// What it has of a room: texts that were encrypted, or why there is none.
    pub async fn messages(&self, id: &RoomId) -> Outcome<Value> {
        let mut found = Vec::new();
        for (event_id, event) in self.seen.of(id) {
            let sender = event.sender();
            if let Some((body, problem)) = read(&self.room(id)?, event).await? {
                found.push(json!({
                    "id": event_id,
                    "sender": sender,
                    "body": body,
                    "problem": problem,
                }));
            }
        }
        Ok(json!(found))
    }
}

/// An event's text and why there is none; nothing when it is no message. Keys may have come since it was synced.
async fn read(room: &Room, event: TimelineEvent) -> Outcome<Option<(Value, Option<String>)>> {
    let now = match event.kind {
        TimelineEventKind::UnableToDecrypt { event, .. } => {
            room.decrypt_event(event.cast_ref_unchecked(), None).await?.kind
        }
        kind => kind,
    };
    Ok(match now {
        TimelineEventKind::UnableToDecrypt { utd_info, .. } => {
            Some((Value::Null, Some(format!("{:?}", utd_info.reason))))
        }
        kind if kind.event_type().as_deref() != Some("m.room.message") => None,
        TimelineEventKind::PlainText { .. } => {
            Some((Value::Null, Some("it was not encrypted".to_owned())))
        }
        kind => {
            let content: Option<Value> = kind.raw().get_field("content")?;
            Some((content.unwrap_or_default()["body"].clone(), None))
        }
    })
}
