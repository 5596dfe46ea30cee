//! Which rooms do we publish, for other servers?
//! ([published rooms](https://spec.matrix.org/v1.19/server-server-api/#published-room-directory))
//!
//! Any server may ask, in whatever room it is; a page has a bounded size.

use http::Method;
use ruma::{UInt, directory::Filter};
use serde::Deserialize;
use serde_json::Value;
use tombolo_platform::World;

use super::signed::Signed;
use crate::{
    error::{Result, invalid_param},
    flows::directory::public_rooms,
    http::{
        public_rooms::{query, shown},
        router::Router,
    },
};

const PATH: &str = "/_matrix/federation/v1/publicRooms";

pub fn routes(router: &mut Router) {
    router.federation(&Method::GET, PATH, list);
    router.federation(&Method::POST, PATH, search);
}

/// The body of a search. Networks of application services are none of ours.
#[derive(Deserialize)]
struct Search {
    limit: Option<UInt>,
    since: Option<String>,
    #[serde(default)]
    filter: Filter,
}

async fn list(world: World, signed: Signed, _: ()) -> Result<Value> {
    let first = |name: &str| signed.all(name).first().copied();
    let limit = first("limit").map(str::parse::<UInt>).transpose();
    let limit = limit.map_err(|_| invalid_param("limit has no form"))?;
    let query = query(limit, first("since").map(str::to_owned), Filter::new())?;
    Ok(shown(&public_rooms::ours(&world, &query, true).await?))
}

async fn search(world: World, signed: Signed, _: ()) -> Result<Value> {
    let Search { limit, since, filter } = signed.body()?;
    let query = query(limit, since, filter)?;
    Ok(shown(&public_rooms::ours(&world, &query, true).await?))
}
