//! Where do a user's notifications go?
//! ([pushers](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushers))

use futures_util::{StreamExt, TryStreamExt, stream};
use ruma::{
    MilliSecondsSinceUnixEpoch, UInt,
    api::client::push::{
        Pusher, PusherKind,
        get_notifications::v3::{self as get_notifications, Notification},
        get_pushers::v3 as get_pushers,
        set_pusher::v3::{self as set_pusher, PusherAction},
    },
    serde::Raw,
};
use serde_json::value::to_raw_value;
use tombolo_platform::{AskError, World};

use crate::{
    error::{Result, invalid_param},
    flows::push::pushers,
    http::{
        auth::{Session, user_object},
        router::Router,
    },
    objects::{
        room::messages::{Asker, EventById},
        room_object,
        user_sync::messages::{Cost, HeldNotice, Notices, NoticesReply, Pushers, SetPusher},
    },
    remote::gateways,
};

/// The longest key, application ID and pusher, in bytes.
const MAX_PUSHKEY: usize = 512;
const MAX_APP_ID: usize = 64;
const MAX_PUSHER: usize = 16 << 10;

/// How many notifications one answer has, where nothing is asked for, and at most.
const USUAL: u32 = 20;
const MOST: u32 = 100;
/// How many rooms are asked at once.
const AT_ONCE: usize = 16;

pub fn routes(router: &mut Router) {
    router.endpoint::<get_pushers::Request, _, _>(all);
    router.costly::<set_pusher::Request, _, _>(Cost::Event, set);
    router.endpoint::<get_notifications::Request, _, _>(notifications);
}

async fn all(
    world: World,
    caller: Session,
    _: get_pushers::Request,
) -> Result<get_pushers::Response> {
    let held = world.ask(&user_object(&caller.user), &Pushers {}).await?;
    let pushers = held.iter().map(|pusher| serde_json::from_str(pusher.get()));
    Ok(get_pushers::Response::new(pushers.collect::<serde_json::Result<Vec<Pusher>>>()?))
}

async fn set(
    world: World,
    caller: Session,
    request: set_pusher::Request,
) -> Result<set_pusher::Response> {
    match request.action {
        PusherAction::Post(given) => {
            check(&world, &given.pusher)?;
            let pusher = to_raw_value(&given.pusher)?;
            if pusher.get().len() > MAX_PUSHER {
                return Err(invalid_param("The pusher is too long"));
            }
            let ids = given.pusher.ids;
            let (app_id, pushkey, session) = (ids.app_id, ids.pushkey, caller.name()?);
            let pusher = SetPusher { session, app_id, pushkey, pusher };
            pushers::set(&world, &caller.user, (pusher, given.append)).await?;
        }
        PusherAction::Delete(ids) => {
            pushers::remove(&world, &caller.user, &ids.app_id, &ids.pushkey).await?;
        }
        _ => return Err(invalid_param("There is no such action")),
    }
    Ok(set_pusher::Response::new())
}

/// Refuses a pusher that cannot work.
fn check(world: &World, pusher: &Pusher) -> Result<()> {
    if pusher.ids.pushkey.len() > MAX_PUSHKEY || pusher.ids.app_id.len() > MAX_APP_ID {
        return Err(invalid_param("The pushkey or the app_id is too long"));
    }
    let PusherKind::Http(data) = &pusher.kind else {
        return Err(invalid_param("Only pushers of kind http are supported"));
    };
    if !gateways::may_be_at(world, &data.url)? {
        return Err(invalid_param("url is no https URL with the path /_matrix/push/v1/notify"));
    }
    Ok(())
}

/// Events that the user may not see any more are left out.
async fn notifications(
    world: World,
    caller: Session,
    request: get_notifications::Request,
) -> Result<get_notifications::Response> {
    let before = request.from.filter(|from| !from.is_empty()).map(|from| from.parse::<i64>());
    let before = before.transpose().map_err(|_| invalid_param("from is no token"))?;
    let limit = request.limit.map_or(USUAL, |limit| u32::try_from(limit).unwrap_or(MOST));
    let highlight = request.only.is_some_and(|only| only == "highlight");
    let notices = Notices { before, limit: limit.clamp(1, MOST), highlight };
    let NoticesReply { notices, more } = world.ask(&user_object(&caller.user), &notices).await?;
    let last = notices.last().map(|notice| notice.number.to_string());
    let shown: Vec<Option<Notification>> = stream::iter(notices)
        .map(|notice| shown(&world, &caller, notice))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut response = get_notifications::Response::new(shown.into_iter().flatten().collect());
    response.next_token = last.filter(|_| more);
    Ok(response)
}

async fn shown(
    world: &World,
    caller: &Session,
    notice: HeldNotice,
) -> Result<Option<Notification>> {
    let asked = EventById {
        device: Some(caller.device.clone()),
        ..EventById::of(notice.event_id, Asker::User(caller.user.clone()))
    };
    let event = match world.ask(&room_object(&notice.room_id), &asked).await {
        Ok(event) => Raw::from_json(event),
        Err(AskError::Refused(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let ts = MilliSecondsSinceUnixEpoch(UInt::new_saturating(notice.ts));
    let HeldNotice { actions, read, room_id, .. } = notice;
    Ok(Some(Notification::new(actions, event, read, room_id, ts)))
}
