//! How is a local user's membership event built from another server's template?
//! ([templates](https://spec.matrix.org/v1.19/server-server-api/#joining-rooms))
//!
//! Joins, leaves and knocks through a resident server begin with a template. Our event takes only the links from it
//! (`prev_events`, `auth_events`, `depth`) and the user who authorises a restricted join.

use ruma::{OwnedEventId, RoomId, ServerName, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tombolo_platform::World;
use tombolo_protocol::{
    canonical_json::CanonicalJsonObject,
    event::{self, BuildFault, FormatFault, Links, Pdu},
    json::parse_object,
    membership::Membership,
    room_version::RoomVersion,
};

use crate::{
    config::Config,
    flows::{ours::Ours, sending::unsent::Unsent},
    objects::room::messages::Refusal,
    remote::{
        RemoteError, api,
        client::{self, Ask},
    },
};

/// The answer to `make_join`, `make_leave` or `make_knock`.
#[derive(Deserialize)]
pub struct Template {
    pub room_version: Option<String>,
    pub event: Value,
}

/// Asks a server for a template (`make_join`, `make_leave`, `make_knock`).
pub async fn ask(
    world: &World,
    server: &ServerName,
    membership: Membership,
    room_id: &RoomId,
    user: &UserId,
) -> Result<Template, RemoteError> {
    let path = api::make(membership, room_id, user);
    client::ask(world, server, Ask::get(&path)).await
}

/// Builds and signs our membership event. From the template it takes only the links and the user who authorises a join.
/// A template for another event than the one we asked for is refused.
pub fn build(
    world: &World,
    user: &UserId,
    room_id: &RoomId,
    (membership, template): (Membership, Template),
    content: &Map<String, Value>,
) -> Result<(&'static RoomVersion, Pdu), Unsent> {
    let config = Config::of(world)?;
    let version = template.room_version.unwrap_or_else(|| "1".to_owned());
    let version = RoomVersion::of(&version).ok_or(Unsent::Incompatible(version))?;
    let mut content = content.clone();
    content.insert("membership".to_owned(), json!(membership));
    if !is_of(&template.event, user, room_id, membership) {
        return Err(nonsense("the template is of another event"));
    }
    let is_join = membership == Membership::Join;
    let authoriser = template.event["content"]["join_authorised_via_users_server"].as_str();
    let is_user = |authoriser: &&str| UserId::parse(*authoriser).is_ok();
    if let Some(authoriser) = authoriser.filter(|_| is_join).filter(is_user) {
        content.insert("join_authorised_via_users_server".to_owned(), json!(authoriser));
    }
    let links = |name: &str| -> Result<Vec<OwnedEventId>, Unsent> {
        serde_json::from_value(template.event[name].clone())
            .map_err(|_| nonsense("the template has no links"))
    };
    let (prev_events, auth_events) = (links("prev_events")?, links("auth_events")?);
    let draft = event::Draft {
        sender: user.to_owned(),
        event_type: "m.room.member".to_owned(),
        state_key: Some(user.to_string()),
        content: canonical(&content)?,
        redacts: None,
    };
    let links = Links {
        room_id: Some(room_id),
        prev_events: &prev_events,
        auth_events: &auth_events,
        depth: template.event["depth"]
            .as_u64()
            .ok_or_else(|| nonsense("the template has no depth"))?,
        origin_server_ts: i64::try_from(world.now()).unwrap_or(i64::MAX),
    };
    let pdu = event::build(version, draft, links, &config.signing_key, config.server_name.as_str());
    let pdu = pdu.map_err(|fault| match fault {
        BuildFault::Format(FormatFault::TooLarge(_)) => Unsent::TooLarge(fault.to_string()),
        BuildFault::Format(FormatFault::TooDeep) => {
            Unsent::Refused(Refusal::Invalid(fault.to_string()))
        }
        _ => nonsense(fault),
    })?;
    Ok((version, pdu))
}

fn is_of(template: &Value, user: &UserId, room_id: &RoomId, membership: Membership) -> bool {
    template["type"] == "m.room.member"
        && template["room_id"] == room_id.as_str()
        && template["sender"] == user.as_str()
        && template["state_key"] == user.as_str()
        && template["content"]["membership"] == membership.as_str()
}

/// Reads the content as canonical JSON. What a client said in it was read so before, and the rest is strings: a profile, a
/// user ID. So a failure is a fault of ours.
fn canonical(content: &Map<String, Value>) -> Result<CanonicalJsonObject, Ours> {
    parse_object(serde_json::to_string(content)?.as_bytes()).map_err(Ours::broken)
}

/// The error for a useless answer of another server.
pub fn nonsense(reason: impl ToString) -> Unsent {
    Unsent::Nonsense(reason.to_string())
}
