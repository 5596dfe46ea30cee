//! Which rooms does a server publish, and who decides that?
//! ([published rooms](https://spec.matrix.org/v1.19/client-server-api/#published-room-directory))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::{
    ServerName,
    api::client::{
        directory::{
            get_public_rooms::v3 as get_public_rooms,
            get_public_rooms_filtered::v3 as get_public_rooms_filtered,
            get_room_visibility::v3 as get_room_visibility,
            set_room_visibility::v3 as set_room_visibility,
        },
        room::Visibility,
    },
    directory::Filter,
};
use tombolo_platform::World;

use crate::{
    config::Config,
    error::{Result, invalid_param, not_found},
    flows::{
        directory::public_rooms::{self, Query},
        telling::tell,
    },
    http::{
        auth::{self, Session},
        endpoint::{decode, json_response, paths_of},
        public_rooms::{query, shown},
        rate_limit::Stranger,
        router::Router,
    },
    objects::{
        room::messages::{IsPublished, Publish, Refusal},
        room_object,
        user_sync::messages::Cost,
    },
    stores::accounts,
};
use tombolo_platform::AskError;

/// Lists are not written by ruma's types: a room's rules, type and avatar are shown as the room has them.
pub fn routes(router: &mut Router) {
    router.endpoint::<get_room_visibility::Request, _, _>(visibility);
    router.costly::<set_room_visibility::Request, _, _>(Cost::Event, set_visibility);
    for path in paths_of::<get_public_rooms::Request>() {
        router.page(&Method::GET, path, list);
    }
    for path in paths_of::<get_public_rooms_filtered::Request>() {
        router.page(&Method::POST, path, search);
    }
}

async fn visibility(
    world: World,
    _: Stranger,
    request: get_room_visibility::Request,
) -> Result<get_room_visibility::Response> {
    let published = world.ask(&room_object(&request.room_id), &IsPublished {}).await?;
    let visibility = if published { Visibility::Public } else { Visibility::Private };
    Ok(get_room_visibility::Response::new(visibility))
}

async fn set_visibility(
    world: World,
    caller: Session,
    request: set_room_visibility::Request,
) -> Result<set_room_visibility::Response> {
    let published = match request.visibility {
        Visibility::Public => true,
        Visibility::Private => false,
        _ => return Err(invalid_param("The visibility is `public` or `private`")),
    };
    let room_id = request.room_id;
    let mut publish = Publish { user: caller.user, admin: false, published };
    let listing = match world.ask(&room_object(&room_id), &publish).await {
        Err(AskError::Refused(Refusal::Absent)) => {
            return Err(not_found("There is no such room here"));
        }
        Err(error @ AskError::Refused(Refusal::Forbidden(_))) => {
            let account = accounts::find(&world, publish.user.localpart()).await?;
            publish.admin = account.is_some_and(|account| account.admin);
            if !publish.admin {
                return Err(error.into());
            }
            world.ask(&room_object(&room_id), &publish).await?
        }
        listing => listing?,
    };
    // Who lists rooms after the answer sees it; if the copy fails, the room's alarm makes it.
    tell::listed(&world, &room_id, listing.as_ref()).await;
    Ok(set_room_visibility::Response::new())
}

async fn list(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    let stranger = Stranger::of(&world, &request)?;
    let asked: get_public_rooms::Request = decode(&request, &[])?;
    let query = query(asked.limit, asked.since, Filter::new())?;
    answer(&world, stranger, (asked.server.as_deref(), &query)).await
}

async fn search(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    auth::session(&world, &request, Cost::Free).await?;
    let stranger = Stranger::of(&world, &request)?;
    let asked: get_public_rooms_filtered::Request = decode(&request, &[])?;
    let query = query(asked.limit, asked.since, asked.filter)?;
    answer(&world, stranger, (asked.server.as_deref(), &query)).await
}

async fn answer(
    world: &World,
    stranger: Stranger,
    (server, query): (Option<&ServerName>, &Query),
) -> Result<Response<Bytes>> {
    let ours = Config::of(world)?.server_name.clone();
    let page = match server.filter(|server| *server != ours) {
        Some(server) => {
            stranger.count_errand(world, server)?;
            public_rooms::of(world, server, query).await?
        }
        None => public_rooms::ours(world, query, false).await?,
    };
    json_response(StatusCode::OK, &shown(&page))
}
