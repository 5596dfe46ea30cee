//! How does the platform call the program? The one implementation of its `Application`.

use futures_util::future::LocalBoxFuture;
use http::{Request, Response};
use tombolo_platform::{Answer, AnyAddress, Application, Body, Fault, Moment, Object, World};

use crate::{
    flows,
    http::{router::Router, routes},
    objects::{
        self, appservice::AppserviceClass, destination::DestinationClass, room::RoomClass,
        user_keys::UserKeysClass, user_sync::UserSyncClass,
    },
    shell::Question,
};

/// The homeserver.
pub struct Tombolo;

/// The table of routes, made once per isolate.
struct Routes(Router);

impl Application<World> for Tombolo {
    fn answer(
        &self,
        object: &Object<'_>,
        moment: &Moment,
        message: &str,
        body: &str,
    ) -> Result<Answer, Fault> {
        let question = Question { object, moment, message, body };
        objects::answer(&question)
    }

    fn due(
        &self,
        world: World,
        address: AnyAddress,
    ) -> LocalBoxFuture<'static, Result<Option<u64>, Fault>> {
        Box::pin(async move {
            if let Some(room) = address.of::<RoomClass>() {
                return flows::due::room(world, room).await;
            }
            if let Some(user) = address.of::<UserSyncClass>() {
                return flows::due::user(world, user).await;
            }
            if let Some(keys) = address.of::<UserKeysClass>() {
                return flows::keys::telling::due(world, keys).await;
            }
            if let Some(destination) = address.of::<DestinationClass>() {
                return flows::telling::deliver::deliver(world, destination).await;
            }
            if let Some(service) = address.of::<AppserviceClass>() {
                return flows::appservices::deliver::deliver(world, service).await;
            }
            Ok(None)
        })
    }

    fn http(
        &self,
        world: World,
        request: Request<Body>,
    ) -> LocalBoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let routes = world.isolate(|_| Routes(routes()));
            routes.0.answer(world, request).await
        })
    }
}
