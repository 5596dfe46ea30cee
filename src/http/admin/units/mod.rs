//! What would the work done so far cost? The counters of this isolate, for measurements only.
//!
//! Answers only if the variable `UNITS` is `yes`, which no deployment sets: otherwise the path is unknown.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use tombolo_platform::World;

use crate::{
    error::{Result, unrecognized},
    http::{endpoint::json_response, router::Router},
};

pub fn routes(router: &mut Router) {
    router.page(&Method::GET, "/_tombolo/units", units);
}

/// On one machine all objects share the isolate, so its counters are the server's.
async fn units(world: World, _: Request<Bytes>, _: ()) -> Result<Response<Bytes>> {
    if world.variable("UNITS").as_deref() != Some("yes") {
        return Err(unrecognized(StatusCode::NOT_FOUND));
    }
    json_response(StatusCode::OK, &world.units())
}
