//! How does a user give up their account?
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate))

use ruma::{
    UserId,
    api::client::account::{ThirdPartyIdRemovalStatus, deactivate::v3 as deactivate},
};
use tombolo_platform::World;

use crate::{
    error::{Result, forbidden},
    flows::appservices::appservices,
    http::{
        auth::{Session, user_object},
        router::Router,
    },
    objects::user_sync::messages::Deactivate,
    stores::{accounts, profiles},
};

pub fn routes(router: &mut Router) {
    router.proven::<deactivate::Request, _, _>(deactivate);
}

async fn deactivate(
    world: World,
    caller: Session,
    request: deactivate::Request,
) -> Result<deactivate::Response> {
    if let Some(service) = &caller.appservice {
        let others = appservices(&world).await?.owned_by_others(&caller.user, Some(service));
        if others || !service.owns_user(&caller.user) {
            return Err(forbidden("This account is not the application service's alone"));
        }
    }
    give_up(&world, &caller.user, request.erase).await?;
    // No identifier of a third party was ever bound.
    Ok(deactivate::Response::new(ThirdPartyIdRemovalStatus::Success))
}

/// Ends an account. The user's object is told first: from then on its alarm sees to the rest, whatever becomes of this
/// request.
pub async fn give_up(world: &World, user: &UserId, erase: bool) -> Result<()> {
    world.ask(&user_object(user), &Deactivate { erase }).await?;
    accounts::deactivate(world, user.localpart()).await?;
    Ok(profiles::remove(world, user.localpart()).await?)
}
