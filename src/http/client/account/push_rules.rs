//! By which rules is a user notified?
//! ([push rules](https://spec.matrix.org/v1.19/client-server-api/#push-rules-api))
//!
//! Every user has the default rules of the specification; they cannot be changed.

use ruma::{
    api::client::push::{get_pushrules_all::v3 as all, get_pushrules_global_scope::v3 as global},
    push::Ruleset,
};
use tombolo_platform::World;

use crate::{
    error::Result,
    http::{auth::Session, router::Router},
};

pub fn routes(router: &mut Router) {
    router.endpoint::<all::Request, _, _>(every_scope);
    router.endpoint::<global::Request, _, _>(global_scope);
}

async fn every_scope(_: World, caller: Session, _: all::Request) -> Result<all::Response> {
    Ok(all::Response::new(Ruleset::server_default(&caller.user)))
}

async fn global_scope(_: World, caller: Session, _: global::Request) -> Result<global::Response> {
    Ok(global::Response::new(Ruleset::server_default(&caller.user)))
}
