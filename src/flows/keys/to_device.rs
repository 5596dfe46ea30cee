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
use tombolo_platform::World;

use super::{AT_ONCE, Homes, existing, failed, unless_gone};
use crate::{
    flows::ours::Ours,
    objects::{
        destination::messages::OweEdu, destination_object, user_object,
        user_sync::messages::Deposit,
    },
};

/// The longest content of a message, in bytes.
pub const MAX_CONTENT: usize = 64 << 10;

/// The longest type of a message, in bytes.
pub const MAX_TYPE: usize = 255;

/// The most users whom one EDU has messages for.
const USERS_OF_AN_EDU: usize = 500;

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
    let mut edus = Vec::new();
    for (server, messages) in others {
        for (index, messages) in parts(messages).into_iter().enumerate() {
            // The parts are messages of their own.
            let message_id = match index {
                0 => message_id.clone(),
                _ => self::message_id([&message_id, &index.to_string()]),
            };
            let key = format!("to_device {message_id}");
            let content = Sending { message_id, ..with(messages) };
            let edu = to_raw_value(&Edu { edu_type: "m.direct_to_device", content })?;
            let edu = OweEdu { key, edu, until: None, durable: true, unhurried: false };
            edus.push((server.clone(), edu));
        }
    }
    stream::iter(edus)
        .map(|(server, edu)| async move {
            world.ask(&destination_object(&server), &edu).await.map_err(failed)
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
}

/// Messages in parts that are not too many for one EDU.
fn parts(messages: Messages) -> Vec<Messages> {
    let mut rest = messages.into_iter().peekable();
    let mut parts = Vec::new();
    while rest.peek().is_some() {
        parts.push(rest.by_ref().take(USERS_OF_AN_EDU).collect());
    }
    parts
}

/// Leaves messages of a server's user with our users. Users and devices that are not there get none.
pub async fn deliver(world: &World, origin: &str, sending: Sending<Messages>) -> Result<(), Ours> {
    let Sending { sender, kind, message_id: id, messages } = sending;
    // The IDs of two servers, or of two users, say nothing of each other.
    let (id, sender, kind) = (&message_id([origin, sender.as_str(), &id]), &sender, &kind);
    stream::iter(existing(world, messages).await?)
        .map(|(user, messages)| async move {
            let (id, sender, kind) = (id.clone(), sender.clone(), kind.clone());
            leave(world, &user, Deposit { id, sender, kind, messages }).await
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
}

async fn leave(world: &World, user: &UserId, deposit: Deposit) -> Result<(), Ours> {
    unless_gone(world.ask(&user_object(user), &deposit).await).map(|_| ())
}
