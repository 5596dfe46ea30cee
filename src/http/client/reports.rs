//! What do users report to the operator?
//! ([reporting content](https://spec.matrix.org/v1.19/client-server-api/#reporting-content))
//!
//! Rooms and users are reported by whoever likes, and the answer does not tell whether they exist.

use ruma::api::client::{
    reporting::report_user::v3 as report_user,
    room::{report_content::v3 as report_content, report_room::v3 as report_room},
};
use tombolo_platform::{AskError, World};
use tombolo_protocol::event::field;

use super::rooms::{is_joined, no_event};
use crate::{
    error::{Result, invalid_param, limited},
    http::{auth::Session, router::Router},
    objects::{
        room::messages::{Asker, EventById, Refusal},
        room_object,
        user_sync::messages::Cost,
    },
    stores::reports::{self, Report},
};

/// The longest reason, in bytes.
const MAX_REASON: usize = 4_096;
/// When a user of whom many reports wait may try again (ms).
const LATER: u64 = 3_600_000;

pub fn routes(router: &mut Router) {
    router.costly::<report_content::Request, _, _>(Cost::Event, event);
    router.costly::<report_room::Request, _, _>(Cost::Event, room);
    router.costly::<report_user::Request, _, _>(Cost::Event, user);
}

async fn event(
    world: World,
    caller: Session,
    request: report_content::Request,
) -> Result<report_content::Response> {
    if !is_joined(&world, &caller.user, &request.room_id).await? {
        return Err(no_event());
    }
    let ask = EventById::of(request.event_id.clone(), Asker::User(caller.user.clone()));
    let event = match world.ask(&room_object(&request.room_id), &ask).await {
        Err(AskError::Refused(Refusal::Absent | Refusal::NotFound | Refusal::Forbidden(_))) => {
            return Err(no_event());
        }
        event => event?,
    };
    let sender = field(&event, "sender").and_then(|sender| serde_json::from_str(sender.get()).ok());
    let sender: Option<String> = sender;
    let report = Report {
        room_id: Some(request.room_id.as_str()),
        event_id: Some(request.event_id.as_str()),
        user: sender.as_deref(),
        reason: request.reason.as_deref(),
        event: Some(event.get()),
    };
    keep(&world, &caller, &report).await?;
    Ok(report_content::Response::new())
}

async fn room(
    world: World,
    caller: Session,
    request: report_room::Request,
) -> Result<report_room::Response> {
    let room_id = Some(request.room_id.as_str());
    let report = Report { room_id, reason: Some(&request.reason), ..Report::default() };
    keep(&world, &caller, &report).await?;
    Ok(report_room::Response::new())
}

async fn user(
    world: World,
    caller: Session,
    request: report_user::Request,
) -> Result<report_user::Response> {
    let user = Some(request.user_id.as_str());
    let report = Report { user, reason: Some(&request.reason), ..Report::default() };
    keep(&world, &caller, &report).await?;
    Ok(report_user::Response::new())
}

async fn keep(world: &World, caller: &Session, report: &Report<'_>) -> Result<()> {
    if report.reason.is_some_and(|reason| reason.len() > MAX_REASON) {
        return Err(invalid_param("The reason is too long"));
    }
    if reports::insert(world, &caller.user, report).await? { Ok(()) } else { Err(limited(LATER)) }
}
