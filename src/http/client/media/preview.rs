//! What does a client see of a URL? ([`/preview_url`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediapreview_url))
//!
//! Written for itself, since ruma's type does not hand on which language the client prefers. The endpoints that are frozen
//! answer the same: they were never without authentication.

use http::{Method, Response, StatusCode, header};
use tombolo_platform::Body;

use super::{AUTHENTICATED, Asked, legacy, stream};
use crate::{
    config::Config,
    error::{Result, invalid_param, missing_param, unrecognized},
    flows::media,
    http::{auth, endpoint::json_response, router::Router},
    objects::user_sync::messages::Cost,
};

pub fn routes(router: &mut Router) {
    let paths = [legacy("/preview_url"), vec![format!("{AUTHENTICATED}/preview_url")]].concat();
    stream(router, &Method::GET, &paths, preview);
}

async fn preview(asked: Asked) -> Result<Response<Body>> {
    if !Config::of(&asked.world)?.url_previews {
        return Err(unrecognized(StatusCode::NOT_FOUND));
    }
    let session = auth::session(&asked.world, &asked.request, Cost::Preview).await?;
    let url = asked.parameter("url").ok_or_else(|| missing_param("`url` is missing"))?;
    if asked.parameter("ts").is_some_and(|ts| ts.parse::<i64>().is_err()) {
        return Err(invalid_param("`ts` is no time"));
    }
    let languages = asked.request.headers().get(header::ACCEPT_LANGUAGE);
    let languages = languages.and_then(|value| value.to_str().ok());
    let preview = media::preview(&asked.world, &session.user, &url, languages).await?;
    Ok(json_response(StatusCode::OK, &preview)?.map(Body::from))
}
