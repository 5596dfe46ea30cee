//! How does the platform reach the program? The one implementation of its upward calls.

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{Request, Response};
use tombolo_platform::{Address, Answer, Application, Fault, Moment, Object, World};

use crate::{
    flows,
    http::{body_limit, router::Router, routes},
    objects::{destination, room, user_sync},
    shell::Question,
};

/// The homeserver.
pub struct Tombolo;

/// The table of routes, made once per isolate.
struct Routes(Router);

impl Application for Tombolo {
    fn answer(
        &self,
        object: &Object<'_>,
        moment: &Moment,
        message: &str,
        body: &str,
    ) -> Result<Answer, Fault> {
        let question = Question { object, moment, message, body };
        match object.address.class {
            "room" => room::answer(&question),
            "user_sync" => user_sync::answer(&question),
            "destination" => destination::answer(&question),
            class => Err(Fault(format!("no object is of class {class}"))),
        }
    }

    fn due(
        &self,
        world: World,
        address: Address,
    ) -> LocalBoxFuture<'static, Result<Option<u64>, Fault>> {
        Box::pin(async move {
            match address.class {
                "room" => flows::due::room(world, address).await,
                "destination" => flows::deliver::deliver(world, address).await,
                _ => Ok(None),
            }
        })
    }

    fn body_limit(&self, path: &str) -> usize {
        body_limit(path)
    }

    fn http(
        &self,
        world: World,
        request: Request<Bytes>,
    ) -> LocalBoxFuture<'static, Response<Bytes>> {
        Box::pin(async move {
            let routes = world.isolate(|_| Routes(routes()));
            routes.0.answer(world, request).await
        })
    }
}
