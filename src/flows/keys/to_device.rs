//! How does a message reach devices, of any server, once?
//! ([send-to-device messaging](https://spec.matrix.org/v1.19/server-server-api/#send-to-device-messaging))
//!
//! Its ID follows from the sender's device and transaction ID. So a request that is repeated, after whatever crash,
//! sends the same message again, and whoever has it takes it for known.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{StreamExt, TryStreamExt, stream};
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use tombolo_platform::{AskError, World};

use super::{AT_ONCE, Homes, failed};
use crate::{
    flows::ours::Ours,
    objects::{
        destination::messages::OweEdu, destination_object, user_object,
        user_sync::messages::Deposit,
    },
};

/// The longest content of a message, in bytes.
pub const MAX_CONTENT: usize = 64 << 10;

/// Of each user, what each device is sent; `*` is every device.
pub type Messages = BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>>;

/// The content of `m.direct_to_device`, but for its messages.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sending<M> {
    pub sender: OwnedUserId,
    #[serde(rename = "type")]
    pub kind: String,
    pub message_id: String,
    pub messages: M,
}

#[derive(Serialize)]
struct Edu {
    edu_type: &'static str,
    content: Sending<Messages>,
}

/// How many bytes of a digest make an ID of 32 characters, which is the longest.
const ID: usize = 24;

/// The ID of a message, from what names it: the sender's device and the request.
pub fn message_id<const N: usize>(names: [&str; N]) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(names.join("\0"))[..ID])
}

/// Sends messages to devices of users of any server.
pub async fn send(world: &World, sending: Sending<Messages>) -> Result<(), Ours> {
    let Homes { ours, others } = Homes::of(world, sending.messages)?;
    let Sending { sender, kind, message_id, .. } = sending;
    let with = |messages: Messages| Sending {
        sender: sender.clone(),
        kind: kind.clone(),
        message_id: message_id.clone(),
        messages,
    };
    deliver(world, sender.server_name().as_str(), with(ours)).await?;
    let edus = others.into_iter().map(|(server, messages)| {
        let key = format!("to_device {message_id}");
        let content = with(messages);
        let edu = to_raw_value(&Edu { edu_type: "m.direct_to_device", content })?;
        Ok((server, OweEdu { key, edu, until: None, durable: true, unhurried: false }))
    });
    let edus: Vec<_> = edus.collect::<Result<_, serde_json::Error>>()?;
    stream::iter(edus)
        .map(|(server, edu)| async move {
            world.ask(&destination_object(&server), &edu).await.map_err(failed)
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
}

/// Leaves messages of a server's user with our users. Users and devices that are not there get none.
pub async fn deliver(world: &World, origin: &str, sending: Sending<Messages>) -> Result<(), Ours> {
    let Sending { sender, kind, message_id: id, messages } = sending;
    // The IDs of two servers, or of two users, say nothing of each other.
    let (id, sender, kind) = (&message_id([origin, sender.as_str(), &id]), &sender, &kind);
    stream::iter(messages)
        .map(|(user, messages)| async move {
            let (id, sender, kind) = (id.clone(), sender.clone(), kind.clone());
            leave(world, &user, Deposit { id, sender, kind, messages }).await
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
}

async fn leave(world: &World, user: &UserId, deposit: Deposit) -> Result<(), Ours> {
    match world.ask(&user_object(user), &deposit).await {
        Ok(()) | Err(AskError::Refused(_)) => Ok(()),
        Err(AskError::Unreachable(cause)) => Err(Ours::Unreachable(cause)),
    }
}
