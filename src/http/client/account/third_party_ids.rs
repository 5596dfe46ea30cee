//! Which addresses of third parties has a user? None: this server is behind no identity server, and sends no messages.
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#adding-account-administrative-contact-information))

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ruma::api::client::account::{
    ThirdPartyIdRemovalStatus, add_3pid::v3 as add, bind_3pid::v3 as bind,
    delete_3pid::v3 as delete, get_3pids::v3 as list,
    request_3pid_management_token_via_email::v3 as email,
    request_3pid_management_token_via_msisdn::v3 as msisdn,
    request_password_change_token_via_email::v3 as password_email,
    request_password_change_token_via_msisdn::v3 as password_msisdn,
    request_registration_token_via_email::v3 as registration_email,
    request_registration_token_via_msisdn::v3 as registration_msisdn, unbind_3pid::v3 as unbind,
};
use serde_json::json;
use tombolo_platform::World;

use crate::{
    error::{Error, Result},
    http::{
        auth::{self, Session},
        endpoint::{json_response, paths_of},
        router::Router,
    },
    objects::user_sync::messages::Cost,
};

pub fn routes(router: &mut Router) {
    for path in paths_of::<list::Request>() {
        router.page(&Method::GET, path, none);
    }
    for path in
        [paths_of::<list::Request>(), paths_of::<add::Request>(), paths_of::<bind::Request>()]
    {
        for path in path {
            router.page(&Method::POST, path, refuse);
        }
    }
    for paths in [
        paths_of::<email::Request>(),
        paths_of::<msisdn::Request>(),
        paths_of::<password_email::Request>(),
        paths_of::<password_msisdn::Request>(),
        paths_of::<registration_email::Request>(),
        paths_of::<registration_msisdn::Request>(),
    ] {
        for path in paths {
            router.page(&Method::POST, path, send_nothing);
        }
    }
    router.endpoint::<delete::Request, _, _>(remove);
    router.endpoint::<unbind::Request, _, _>(release);
}

/// Not written by ruma's type, which leaves out an empty list.
async fn none(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    auth::session(&world, &request, Cost::Free).await?;
    json_response(StatusCode::OK, &json!({ "threepids": [] }))
}

async fn refuse(world: World, request: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    auth::session(&world, &request, Cost::Free).await?;
    Err(denied())
}

/// These need no session.
async fn send_nothing(_: World, _: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    Err(denied())
}

fn denied() -> Error {
    let why = "This server takes no addresses of third parties";
    Error::new(StatusCode::FORBIDDEN, "M_THREEPID_DENIED", why)
}

/// What is not there can be removed.
async fn remove(_: World, _: Session, _: delete::Request) -> Result<delete::Response> {
    Ok(delete::Response::new(ThirdPartyIdRemovalStatus::NoSupport))
}

async fn release(_: World, _: Session, _: unbind::Request) -> Result<unbind::Response> {
    Ok(unbind::Response::new(ThirdPartyIdRemovalStatus::NoSupport))
}
