//! What have users uploaded? (also [statistics], as Synapse's admin API has them)
//!
//! It is not kept who quarantined media, only that somebody did.
//!
//! [statistics]: https://element-hq.github.io/synapse/latest/admin_api/statistics.html

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::OwnedUserId;
use serde_json::{Value, json};
use tombolo_platform::World;

use crate::{
    config::Config,
    error::{Result, invalid_param},
    flows,
    http::{
        admin::{
            must_be_admin,
            paging::{Page, Paging, note_next},
            users::account,
        },
        endpoint::json_response,
        router::Router,
    },
    stores::media::{
        self, Name,
        usage::{self, Counted, Part, Uploaded, Usage},
    },
};

const OF_USER: &str = "/_synapse/admin/v1/users/{user_id}/media";
const QUARANTINE: &str = "/_synapse/admin/v1/user/{user_id}/media/quarantine";
const STATISTICS: &str = "/_synapse/admin/v1/statistics/users/media";

/// How many items a page has at most.
const MOST: u32 = 1_000;
/// How many media one request deletes at most: each is a few writes.
const MOST_DELETED: u32 = 100;

const ORDERS: [&str; 8] = [
    "media_id",
    "upload_name",
    "created_ts",
    "last_access_ts",
    "media_length",
    "media_type",
    "quarantined_by",
    "safe_from_quarantine",
];
const ORDERS_OF_USERS: [&str; 4] = ["user_id", "displayname", "media_length", "media_count"];

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, OF_USER, list);
    router.page(&Method::DELETE, OF_USER, delete);
    router.page(&Method::POST, QUARANTINE, quarantine);
    router.page(&Method::GET, STATISTICS, statistics);
}

async fn list(world: World, request: Request<Bytes>, user: OwnedUserId) -> Result<Response<Bytes>> {
    let (found, total, page) = asked(&world, &request, &user, MOST).await?;
    let mut answer =
        json!({ "media": found.iter().map(shown).collect::<Vec<_>>(), "total": total });
    note_next(&mut answer, page.next(found.len(), total));
    json_response(StatusCode::OK, &answer)
}

async fn delete(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    let (found, ..) = asked(&world, &request, &user, MOST_DELETED).await?;
    let mut deleted = Vec::new();
    for media in found {
        let name = Name { server: user.server_name().as_str(), media_id: &media.media_id };
        if flows::media::delete(&world, name).await? {
            deleted.push(media.media_id);
        }
    }
    json_response(StatusCode::OK, &json!({ "deleted_media": deleted, "total": deleted.len() }))
}

async fn quarantine(
    world: World,
    request: Request<Bytes>,
    user: OwnedUserId,
) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    account(&world, &user).await?;
    let quarantined = media::quarantine_all_of(&world, user.localpart()).await?;
    json_response(StatusCode::OK, &json!({ "num_quarantined": quarantined }))
}

/// The page of a user's uploads that is asked for, how many there are, and which page it is. The newest come first, unless
/// the operator says otherwise.
async fn asked(
    world: &World,
    request: &Request<Bytes>,
    user: &OwnedUserId,
    most: u32,
) -> Result<(Vec<Uploaded>, u64, Page)> {
    must_be_admin(world, request).await?;
    account(world, user).await?;
    let paging = Paging::of(request.uri().query());
    let page = paging.page(most)?;
    let usual = paging.first("order_by").or(paging.first("dir")).is_none();
    let part = Part {
        order: paging.order(&ORDERS, "created_ts")?,
        backwards: usual || paging.backwards()?,
        from: page.from.into(),
        limit: page.limit.into(),
    };
    let (found, total) = usage::of_user(world, user.server_name(), user.localpart(), part).await?;
    Ok((found, total, page))
}

fn shown(media: &Uploaded) -> Value {
    json!({
        "media_id": media.media_id,
        "media_type": media.content_type,
        "media_length": media.size,
        "upload_name": media.filename,
        "created_ts": media.created_ts,
        "last_access_ts": media.accessed_ts,
        "quarantined": media.quarantined,
        "quarantined_by": null,
        "safe_from_quarantine": false,
    })
}

async fn statistics(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    must_be_admin(&world, &request).await?;
    let paging = Paging::of(request.uri().query());
    let page = paging.page(MOST)?;
    let since = paging.time("from_ts")?.unwrap_or_default();
    let until = paging.time("until_ts")?;
    if until.is_some_and(|until| until <= since) {
        return Err(invalid_param("`until_ts` is not after `from_ts`"));
    }
    let term = paging.term()?.map(str::to_lowercase);
    let counted = Counted { since, until, term: term.as_deref() };
    let part = Part {
        order: paging.order(&ORDERS_OF_USERS, "user_id")?,
        backwards: paging.backwards()?,
        from: page.from.into(),
        limit: page.limit.into(),
    };
    let own = &Config::of(&world)?.server_name;
    let (found, total) = usage::of_all(&world, own, counted, part).await?;
    let shown = |usage: &Usage| {
        json!({
            "user_id": format!("@{}:{own}", usage.localpart),
            "displayname": usage.displayname,
            "media_count": usage.count,
            "media_length": usage.bytes,
        })
    };
    let mut answer =
        json!({ "users": found.iter().map(shown).collect::<Vec<_>>(), "total": total });
    note_next(&mut answer, page.next(found.len(), total));
    json_response(StatusCode::OK, &answer)
}
