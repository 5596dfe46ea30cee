//! How does a user change their password?
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword))

use ruma::api::client::account::change_password::v3 as change_password;
use tombolo_platform::World;

use crate::{
    error::{Result, unknown_token},
    flows::keys::removed,
    http::{
        auth::{Session, user_object},
        credentials,
        router::Router,
    },
    objects::user_sync::messages::LogoutOthers,
    stores::accounts,
};

pub fn routes(router: &mut Router) {
    router.proven::<change_password::Request, _, _>(change);
}

/// The new password is kept first: a crash before the others are logged out leaves sessions that the user can end, none
/// that somebody opens with the old password.
async fn change(
    world: World,
    caller: Session,
    request: change_password::Request,
) -> Result<change_password::Response> {
    let (session, user) = (caller.name()?, caller.user);
    let hash = credentials::hash(&world, &request.new_password)?;
    if !accounts::set_password(&world, user.localpart(), &hash).await? {
        return Err(unknown_token());
    }
    if request.logout_devices {
        world
            .ask(&user_object(&user), &LogoutOthers { session, device: Some(caller.device) })
            .await?;
        removed::drop_now(&world, &user).await;
    }
    Ok(change_password::Response::new())
}
