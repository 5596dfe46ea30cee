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
        let notification = match notice {
            Some(notice) => of_notice(world, user, (push, &held), notice).await?,
            None => Some(held.notification(push, Map::new(), Map::new())),
        };
        if let Some(notification) = notification {
            match gateways::notify(world, &held.data.url, &notification).await {
                Ok(rejected) if rejected.contains(&push.pushkey) => end = PushEnd::Rejected,
                Ok(_) => {}
                Err(error) => {
                    note(user, &error);
                    end = PushEnd::Failed;
                }
            }
        }
        if !matches!(end, PushEnd::Sent { .. }) {
            break;
        }
        sent = notice.map(|notice| notice.number);
    }
    let (app_id, pushkey) = (push.app_id.clone(), push.pushkey.clone());
    let pushed = Pushed { app_id, pushkey, upto: sent, end };
    match world.ask(&user_object(user), &pushed).await {
        Ok(()) | Err(AskError::Refused(_)) => Ok(()),
        Err(AskError::Unreachable(cause)) => Err(Ours::Unreachable(cause)),
    }
}

fn note(user: &UserId, error: &RemoteError) {
    tracing::info!(%user, %error, "a push was not sent");
}

/// What is read of a pusher.
#[derive(Deserialize)]
struct HeldPusher {
    data: HttpPusherData,
}

/// The notification of an event; `None` where the user may not see it any more.
async fn of_notice(
    world: &World,
    user: &UserId,
    (push, held): (&Push, &HeldPusher),
    notice: &PushNotice,
) -> Result<Option<Value>, Ours> {
    let mut content = Map::new();
    content.insert("event_id".to_owned(), json!(notice.event_id));
    content.insert("room_id".to_owned(), json!(notice.room_id));
    if held.data.format != Some(PushFormat::EventIdOnly) {
        let details = PushDetails { user: user.to_owned(), event_id: notice.event_id.clone() };
        match world.ask(&room_object(&notice.room_id), &details).await {
            Ok(details) => content.extend(described(user, details)?),
            // Of an invite to a room that is elsewhere nothing more is known.
            Err(AskError::Refused(_)) => {}
            Err(AskError::Unreachable(cause)) => return Err(Ours::Unreachable(cause)),
        }
    }
    let tweaks = tweaks(&notice.actions);
    let is_urgent = tweaks.contains_key("sound") || tweaks.contains_key("highlight");
    let is_encrypted = content.get("type").is_some_and(|kind| kind == "m.room.encrypted");
    let prio = if is_urgent || is_encrypted { "high" } else { "low" };
    content.insert("prio".to_owned(), json!(prio));
    Ok(Some(held.notification(push, content, tweaks)))
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
