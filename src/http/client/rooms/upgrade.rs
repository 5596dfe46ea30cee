//! How does a client have a room replaced by one of another version?
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade))

use ruma::api::client::room::upgrade_room::v3 as upgrade_room;
use tombolo_platform::World;

use super::create_room::version;
use crate::{
    error::Result,
    flows::sending::upgrade::{Upgrade, upgrade},
    http::{auth::Session, router::Router},
    objects::user_sync::messages::Cost,
};

pub fn routes(router: &mut Router) {
    router.costly::<upgrade_room::Request, _, _>(Cost::Membership, replace);
}

async fn replace(
    world: World,
    caller: Session,
    request: upgrade_room::Request,
) -> Result<upgrade_room::Response> {
    let upgrade_room::Request { room_id, new_version, additional_creators, .. } = request;
    let version = version(new_version.as_str())?;
    let new = upgrade(&world, Upgrade { user: caller.user, room_id, version, additional_creators });
    Ok(upgrade_room::Response::new(new.await?))
}
