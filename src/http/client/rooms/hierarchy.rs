//! Which rooms are below a space, and what is a room that one is not in?
//! ([spaces](https://spec.matrix.org/v1.19/client-server-api/#discovering-rooms-within-spaces),
//! [room summary](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    OwnedRoomId, OwnedServerName, RoomAliasId, RoomId,
    api::client::{
        room::get_summary::v1 as get_summary, space::get_hierarchy::v1 as get_hierarchy,
    },
};
use serde_json::{Map, Value, json};
use tombolo_platform::World;
use tombolo_protocol::membership::Membership;

use super::aliases;
use crate::{
    error::{Result, invalid_param, not_found},
    flows::directory::{
        hierarchy::{Query, walk},
        look::{View, look},
    },
    http::{
        auth,
        endpoint::{json_response, paths_of},
        public_rooms::{summary, with_children},
        query,
        rate_limit::{self, Kind},
        router::Router,
    },
    objects::user_sync::messages::Cost,
};

/// How many servers are read of `via`.
const MAX_VIA: usize = 10;
/// The path of a summary that clients asked before the one that ruma names.
const OLD_SUMMARY: &str = "/_matrix/client/unstable/im.nheko.summary/summary/{room_id_or_alias}";

/// Not written by ruma's types: the walk sends on what other servers say.
pub fn routes(router: &mut Router) {
    for path in paths_of::<get_hierarchy::Request>() {
        router.page(&Method::GET, path, hierarchy);
    }
    for path in paths_of::<get_summary::Request>().into_iter().chain([OLD_SUMMARY]) {
        router.page(&Method::GET, path, room_summary);
    }
}

async fn hierarchy(
    world: World,
    request: Request<Bytes>,
    room_id: OwnedRoomId,
) -> Result<Response<Bytes>> {
    let caller = auth::session(&world, &request, Cost::Free).await?;
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let first = |name: &str| query::first(&pairs, name);
    let number = |name: &str| {
        let number = first(name).map(str::parse::<u32>).transpose();
        let number = number.map_err(|_| invalid_param(format!("{name} has no form")))?;
        Result::Ok(number.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
    };
    let limit = number("limit")?;
    if limit == Some(0) {
        return Err(invalid_param("limit is greater than zero"));
    }
    let suggested_only = match first("suggested_only") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(invalid_param("suggested_only is true or false")),
    };
    let from = first("from").map(str::to_owned);
    let query = Query { suggested_only, max_depth: number("max_depth")?, limit, from };
    rate_limit::count(&world, &request, Kind::Errand)?;
    let page = walk(&world, &caller.user, &room_id, &query).await?;
    let rooms = page.rooms.iter().map(|(summary, children)| with_children(summary, children));
    let mut answer = Map::from_iter([("rooms".to_owned(), Value::Array(rooms.collect()))]);
    answer.extend(page.next.map(|next| ("next_batch".to_owned(), json!(next))));
    json_response(StatusCode::OK, &answer)
}

async fn room_summary(
    world: World,
    request: Request<Bytes>,
    named: String,
) -> Result<Response<Bytes>> {
    let caller = match auth::token(&request) {
        Some(_) => Some(auth::session(&world, &request, Cost::Free).await?),
        None => None,
    };
    rate_limit::count(&world, &request, Kind::Errand)?;
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let via = pairs.iter().filter(|(name, _)| name == "via").take(MAX_VIA);
    let via = via.map(|(_, server)| OwnedServerName::try_from(server.as_str()));
    let mut via: Vec<OwnedServerName> = via
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| invalid_param("via is no server name"))?;
    let unknown = || not_found("There is no such room, or it is not for you");
    let room_id = if let Ok(alias) = RoomAliasId::parse(&named) {
        let found = aliases::resolve(&world, &alias).await?.ok_or_else(unknown)?;
        via.extend(found.servers.into_iter().take(MAX_VIA));
        found.room_id
    } else {
        RoomId::parse(&named).map_err(|_| invalid_param("This is no room ID and no alias"))?
    };
    let user = caller.as_ref().map(|caller| &*caller.user);
    let view = View { user, children: false, suggested_only: false };
    let seen = look(&world, view, &room_id, &via).await?.ok_or_else(unknown)?;
    let mut answer = summary(&seen.summary);
    if user.is_some() {
        let membership = seen.membership.unwrap_or(Membership::Leave);
        answer.insert("membership".to_owned(), json!(membership));
    }
    json_response(StatusCode::OK, &answer)
}
