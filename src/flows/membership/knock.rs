//! How does a local user knock on a room?
//! ([knocking](https://spec.matrix.org/v1.19/server-server-api/#knocking-upon-a-room))
//!
//! If the room is live here, a knock is an event like any other. Otherwise a resident server takes our event
//! (`send_knock`) and answers with the stripped state, and the knock is kept out of band until somebody answers it.

use ruma::{OwnedServerName, RoomId, ServerName, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use tombolo_platform::{AskError, World};
use tombolo_protocol::{admission::Checked, event, membership::Membership};

use super::{
    join::{member_content, residents},
    template,
};
use crate::{
    flows::{
        sending::{send, unsent::Unsent},
        telling::tell,
    },
    objects::{
        room::messages::{BlockedBy, Describe, Knocked, Refusal},
        room_object,
    },
    remote::{
        api,
        client::{self, Ask},
    },
};

/// How many servers are tried.
const MAX_SERVERS: usize = 5;

#[derive(Deserialize)]
struct SendKnock {
    #[serde(default)]
    knock_room_state: Vec<Box<RawValue>>,
}

/// Knocks on a room, which is live here or through one of several resident servers.
pub async fn knock(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    via: &[OwnedServerName],
    reason: Option<String>,
) -> Result<(), Unsent> {
    let mut content = member_content(world, user).await?;
    content.insert("membership".to_owned(), json!(Membership::Knock));
    content.extend(reason.map(|reason| ("reason".to_owned(), json!(reason))));
    match world.ask(&room_object(room_id), &Describe {}).await {
        Ok(description) if description.live => {
            return send::membership(world, room_id, user, &content, Vec::new()).await;
        }
        // The other server would take the knock, and we would not know of it.
        Ok(description) if description.closed => return Err(Unsent::Refused(Refusal::blocked())),
        Ok(_) => {}
        Err(AskError::Refused(Refusal::Absent)) => {
            if world.ask(&room_object(room_id), &BlockedBy {}).await?.is_some() {
                return Err(Unsent::Refused(Refusal::blocked()));
            }
        }
        Err(error) => return Err(error.into()),
    }
    let mut failure = Unsent::NobodyThere;
    for server in residents(world, user, room_id, via).await?.iter().take(MAX_SERVERS) {
        match through(world, user, room_id, server, &content).await {
            Ok(()) => return Ok(()),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn through(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    server: &ServerName,
    content: &Map<String, Value>,
) -> Result<(), Unsent> {
    let template = template::ask(world, server, Membership::Knock, room_id, user).await?;
    let (version, pdu) =
        template::build(world, user, room_id, (Membership::Knock, template), content)?;
    let path = api::send_knock(room_id, &pdu.event_id);
    let body: Value = serde_json::from_str(&pdu.json)?;
    let answer: SendKnock = client::ask(world, server, Ask::put(&path, &body)).await?;
    let event = Checked { event_id: pdu.event_id, json: RawValue::from_string(pdu.json)? };
    let knocked = Knocked {
        version: version.id.to_string(),
        event,
        via: server.to_owned(),
        stripped: event::shown(&answer.knock_room_state, user).unwrap_or_default(),
    };
    let news = world.ask(&room_object(room_id), &knocked).await?;
    tell::tell_now(world, room_id, news).await;
    Ok(())
}
