//! How do notifications get to a user's devices?
//! ([push gateway API](https://spec.matrix.org/v1.19/push-gateway-api/))
//!
//! The alarm of the user's object runs [`push`]: it asks what each pusher has to send, sends it, and notes how far it
//! came. What was sent and not noted is sent again: a phone shows one notification for an event.

pub mod pushers;

use futures_util::future::join_all;
use ruma::{
    UserId,
    push::{Action, HighlightTweakValue, HttpPusherData, PushFormat, Tweak},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
use tombolo_platform::{AskError, World};
use tombolo_protocol::event::field;

use crate::{
    flows::ours::Ours,
    objects::{
        room::messages::{PushDetails, PushDetailsReply},
        room_object, user_object,
        user_sync::messages::{DuePushes, Push, PushEnd, PushNotice, Pushed},
    },
    remote::{RemoteError, gateways},
};

/// How often one alarm asks what is due.
const ROUNDS: usize = 10;

/// Sends what is due; answers when to come again (ms).
pub async fn push(world: &World, user: &UserId) -> Result<Option<u64>, Ours> {
    for _ in 0..ROUNDS {
        let due = match world.ask(&user_object(user), &DuePushes {}).await {
            Ok(due) => due,
            Err(AskError::Refused(_)) => return Ok(None),
            Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause)),
        };
        if due.pushes.is_empty() {
            return Ok(due.next);
        }
        let sent = join_all(due.pushes.iter().map(|push| send(world, user, push))).await;
        sent.into_iter().collect::<Result<Vec<()>, _>>()?;
    }
    Ok(Some(world.now()))
}

/// Sends what one pusher has to send, one after the other, and notes what became of it.
async fn send(world: &World, user: &UserId, push: &Push) -> Result<(), Ours> {
    let held: HeldPusher = serde_json::from_str(push.pusher.get())?;
    let mut sent = None;
    let mut end = PushEnd::Sent { unread: push.unread };
    let counts_only = push.notices.is_empty().then_some(None);
    for notice in push.notices.iter().map(Some).chain(counts_only) {
        match send_one(world, user, (push, &held), notice).await {
            Ok(rejected) if rejected.contains(&push.pushkey) => end = PushEnd::Rejected,
            Ok(_) => sent = notice.map(|notice| notice.number),
            Err(error) => {
                tracing::info!(%user, %error, "a push was not sent");
                end = PushEnd::Failed;
            }
        }
        if !matches!(end, PushEnd::Sent { .. }) {
            break;
        }
    }
    let (app_id, pushkey) = (push.app_id.clone(), push.pushkey.clone());
    let pushed = Pushed { app_id, pushkey, upto: sent, end };
    match world.ask(&user_object(user), &pushed).await {
        Ok(()) | Err(AskError::Refused(_)) => Ok(()),
        Err(AskError::Unreachable(cause)) => Err(Ours::Unreachable(cause)),
    }
}

/// Why a push was not sent.
#[derive(Debug, thiserror::Error)]
enum Unpushed {
    #[error("{0}")]
    Gateway(#[from] RemoteError),
    #[error("{0}")]
    Ours(#[from] Ours),
}

/// Sends a notice, or the count alone; answers which keys the gateway knows no more.
async fn send_one(
    world: &World,
    user: &UserId,
    (push, held): (&Push, &HeldPusher),
    notice: Option<&PushNotice>,
) -> Result<Vec<String>, Unpushed> {
    let notification = match notice {
        Some(notice) => of_notice(world, user, (push, held), notice).await?,
        None => held.notification(push, Map::new(), Map::new()),
    };
    Ok(gateways::notify(world, &held.data.url, &notification).await?)
}

/// What is read of a pusher.
#[derive(Deserialize)]
struct HeldPusher {
    data: HttpPusherData,
}

/// The notification of an event. Where its room is elsewhere or the user is in it no more, it has what their invite
/// shows, or the ID alone.
async fn of_notice(
    world: &World,
    user: &UserId,
    (push, held): (&Push, &HeldPusher),
    notice: &PushNotice,
) -> Result<Value, Ours> {
    let mut content = Map::new();
    content.insert("event_id".to_owned(), json!(notice.event_id));
    content.insert("room_id".to_owned(), json!(notice.room_id));
    if held.data.format != Some(PushFormat::EventIdOnly) {
        let details = PushDetails { user: user.to_owned(), event_id: notice.event_id.clone() };
        match world.ask(&room_object(&notice.room_id), &details).await {
            Ok(details) => content.extend(described(user, details)?),
            Err(AskError::Refused(_)) => {
                if let Some(details) = of_invite(user, notice)? {
                    content.extend(described(user, details)?);
                }
            }
            Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause)),
        }
    }
    let tweaks = tweaks(&notice.actions);
    let is_urgent = tweaks.contains_key("sound") || tweaks.contains_key("highlight");
    let prio = if is_urgent || notice.encrypted { "high" } else { "low" };
    content.insert("prio".to_owned(), json!(prio));
    Ok(held.notification(push, content, tweaks))
}

/// What the stripped state of an invite says.
fn of_invite(user: &UserId, notice: &PushNotice) -> Result<Option<PushDetailsReply>, Ours> {
    /// A stripped event.
    #[derive(Deserialize)]
    struct Stripped {
        #[serde(rename = "type")]
        kind: String,
        state_key: String,
        sender: String,
        content: Box<RawValue>,
    }
    let Some(stripped) = &notice.stripped else { return Ok(None) };
    let events: Vec<Box<RawValue>> = serde_json::from_str(stripped.get())?;
    let find = |kind: &str, key: &str| {
        let mut found = events.iter().rev().filter_map(|text| {
            let event = serde_json::from_str::<Stripped>(text.get()).ok()?;
            (event.kind == kind && event.state_key == key).then(|| (text.clone(), event))
        });
        found.next()
    };
    let Some((event, invite)) = find("m.room.member", user.as_str()) else { return Ok(None) };
    let text = |kind: &str, key: &str, name: &str| {
        let text = find(kind, key).and_then(|(_, event)| {
            serde_json::from_str::<String>(field(&event.content, name)?.get()).ok()
        });
        text.filter(|text| !text.is_empty())
    };
    Ok(Some(PushDetailsReply {
        event,
        sender_display_name: text("m.room.member", &invite.sender, "displayname"),
        room_name: text("m.room.name", "", "name"),
        room_alias: text("m.room.canonical_alias", "", "alias"),
    }))
}

/// What a notification says of an event to a gateway that wants more than its ID.
fn described(user: &UserId, details: PushDetailsReply) -> Result<Map<String, Value>, Ours> {
    /// What is said of the event.
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(rename = "type")]
        kind: String,
        sender: String,
        state_key: Option<String>,
        #[serde(borrow)]
        content: &'a RawValue,
    }
    let event: Event<'_> = serde_json::from_str(details.event.get())?;
    let mut said = Map::new();
    let mut say = |name: &str, value: Option<Value>| {
        said.extend(value.map(|value| (name.to_owned(), value)));
    };
    if event.kind == "m.room.member" {
        let is_target = event.state_key.as_deref() == Some(user.as_str());
        say("user_is_target", Some(json!(is_target)));
        let member: Map<String, Value> =
            serde_json::from_str(event.content.get()).unwrap_or_default();
        say("membership", member.get("membership").cloned());
    }
    say("type", Some(json!(event.kind)));
    say("sender", Some(json!(event.sender)));
    // A content that is nested deeper than can be read is left out, as one may be.
    say("content", serde_json::from_str(event.content.get()).ok());
    say("sender_display_name", details.sender_display_name.map(Value::String));
    say("room_name", details.room_name.map(Value::String));
    say("room_alias", details.room_alias.map(Value::String));
    Ok(said)
}

/// The tweaks among the actions of a rule.
fn tweaks(actions: &[Action]) -> Map<String, Value> {
    #[derive(Serialize)]
    struct Written<'a>(&'a Tweak);
    let mut tweaks = Map::new();
    for action in actions {
        let Action::SetTweak(tweak) = action else { continue };
        let written = serde_json::to_value(Written(tweak)).unwrap_or_default();
        let Some(name) = written["set_tweak"].as_str() else { continue };
        let value = match tweak {
            Tweak::Highlight(HighlightTweakValue::No) => continue,
            Tweak::Highlight(_) => json!(true),
            _ => written["value"].clone(),
        };
        tweaks.insert(name.to_owned(), value);
    }
    tweaks
}

impl HeldPusher {
    /// The body of a request to the gateway.
    fn notification(
        &self,
        push: &Push,
        content: Map<String, Value>,
        tweaks: Map<String, Value>,
    ) -> Value {
        let mut data = self.data.data.clone();
        if let Some(format) = &self.data.format {
            data.insert("format".to_owned(), json!(format));
        }
        let mut device = json!({
            "app_id": push.app_id,
            "pushkey": push.pushkey,
            "pushkey_ts": push.set_ts,
            "data": data,
        });
        if !tweaks.is_empty() {
            device["tweaks"] = Value::Object(tweaks);
        }
        let mut notification = content;
        notification.insert("counts".to_owned(), json!({ "unread": push.unread }));
        notification.insert("devices".to_owned(), json!([device]));
        json!({ "notification": notification })
    }
}
