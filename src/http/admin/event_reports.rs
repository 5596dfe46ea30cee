//! What of the events, rooms and users that were reported does an operator see? ([reported events], as Synapse's admin
//! API has them)
//!
//! All kinds are in one list, so that none is kept unseen: a report of a room or a user has no `event_id`.
//!
//! [reported events]: https://element-hq.github.io/synapse/latest/admin_api/event_reports.html

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tombolo_platform::World;

use super::{
    must_be_admin,
    paging::{Paging, note_next},
};
use crate::{
    error::{Error, Result, invalid_param, not_found},
    http::{endpoint::json_response, router::Router},
    stores::reports::{self, Kept},
};

const ALL: &str = "/_synapse/admin/v1/event_reports";
const ONE: &str = "/_synapse/admin/v1/event_reports/{report_id}";

/// How many reports a page has at most.
const MAX_REPORTS: u32 = 200;

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, ALL, list);
    router.page(&Method::GET, ONE, show);
    router.page(&Method::DELETE, ONE, remove);
}

async fn list(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let paging = Paging::of(request.uri().query());
    let page = paging.page(MAX_REPORTS)?;
    let forwards = paging.first("dir").is_some() && !paging.backwards()?;
    let chosen = (paging.first("user_id"), paging.first("room_id"));
    let reports = reports::list(&world, chosen, (page.from, page.limit, forwards)).await?;
    let total = reports::count(&world, chosen.0, chosen.1).await?;
    let shown: Vec<Value> = reports.iter().map(shown).collect();
    let mut answer = json!({ "event_reports": shown, "total": total });
    note_next(&mut answer, page.next(reports.len(), total));
    json_response(StatusCode::OK, &answer)
}

async fn show(world: World, request: Request<Bytes>, id: String) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let report = reports::find(&world, number(&id)?).await?.ok_or_else(unknown)?;
    let mut answer = shown(&report);
    let event = report.event.as_deref().and_then(|event| serde_json::from_str::<Value>(event).ok());
    answer["event_json"] = event.unwrap_or_default();
    json_response(StatusCode::OK, &answer)
}

async fn remove(world: World, request: Request<Bytes>, id: String) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    if !reports::remove(&world, number(&id)?).await? {
        return Err(unknown());
    }
    json_response(StatusCode::OK, &json!({}))
}

fn shown(report: &Kept) -> Value {
    json!({
        "id": report.id,
        "received_ts": report.received_ts,
        "room_id": report.room_id,
        "event_id": report.event_id,
        "user_id": report.reporter,
        "sender": report.user,
        "reason": report.reason,
    })
}

fn number(id: &str) -> Result<i64> {
    id.parse().map_err(|_| invalid_param("This is no number of a report"))
}

fn unknown() -> Error {
    not_found("There is no such report")
}
