//! Whose devices changed between two sync tokens?
//! ([`/keys/changes`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3keyschanges))

use ruma::api::client::keys::get_key_changes::v3 as get_key_changes;
use tombolo_platform::World;

use crate::{
    error::Result,
    flows::sync::{DeviceLists, changes_between},
    http::{auth::Session, client::tokens, router::Router},
};

pub fn routes(router: &mut Router) {
    router.endpoint::<get_key_changes::Request, _, _>(changes);
}

async fn changes(
    world: World,
    caller: Session,
    request: get_key_changes::Request,
) -> Result<get_key_changes::Response> {
    let (from, _) = tokens::stream_positions(&request.from)?;
    let (to, _) = tokens::stream_positions(&request.to)?;
    let DeviceLists { changed, left } = changes_between(&world, &caller.user, from, to).await?;
    let [changed, left] = [changed, left].map(|users| users.into_iter().collect());
    Ok(get_key_changes::Response::new(changed, left))
}
