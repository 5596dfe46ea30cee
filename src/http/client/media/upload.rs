//! How is content uploaded? ([`/upload`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav3upload),
//! [`/create`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav1create),
//! [`/config`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediaconfig))

use http::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use tombolo_platform::Body;

use super::{AUTHENTICATED, Asked, legacy, stream};
use crate::{
    config::Config,
    error::Result,
    flows::media::{self, Upload, disposition},
    http::{
        auth::{self, Session},
        endpoint::json_response,
        rate_limit::{self, Kind},
        router::Router,
    },
    objects::user_sync::messages::Cost,
    stores::media::{Described, Name},
};

pub fn routes(router: &mut Router) {
    stream(router, &Method::POST, &legacy("/upload"), upload);
    let create = "/_matrix/media/v1/create".to_owned();
    stream(router, &Method::POST, &[create], self::create);
    let upload_to = "/_matrix/media/v3/upload/{server_name}/{media_id}".to_owned();
    stream(router, &Method::PUT, &[upload_to], self::upload_to);
    let configs = [legacy("/config"), vec![format!("{AUTHENTICATED}/config")]].concat();
    stream(router, &Method::GET, &configs, config);
}

async fn upload(asked: Asked) -> Result<Response<Body>> {
    let caller = uploader(&asked).await?;
    let (world, config) = (asked.world.clone(), Config::of(&asked.world)?);
    let media_id = media::upload(&world, &caller.user, uploaded(asked)).await?;
    json_answer(&json!({ "content_uri": format!("mxc://{}/{media_id}", config.server_name) }))
}

async fn create(asked: Asked) -> Result<Response<Body>> {
    let caller = uploader(&asked).await?;
    let config = Config::of(&asked.world)?;
    let (media_id, expires) = media::create(&asked.world, &caller.user).await?;
    let content_uri = format!("mxc://{}/{media_id}", config.server_name);
    json_answer(&json!({ "content_uri": content_uri, "unused_expires_at": expires }))
}

async fn upload_to(asked: Asked) -> Result<Response<Body>> {
    let caller = uploader(&asked).await?;
    let world = asked.world.clone();
    let (server, media_id) = (asked.argument(0).to_owned(), asked.argument(1).to_owned());
    let name = Name { server: &server, media_id: &media_id };
    media::upload_to(&world, &caller.user, name, uploaded(asked)).await?;
    json_answer(&json!({}))
}

async fn config(asked: Asked) -> Result<Response<Body>> {
    auth::session(&asked.world, &asked.request, Cost::Free).await?;
    let config = Config::of(&asked.world)?;
    json_answer(&json!({ "m.upload.size": config.media.max_upload_size }))
}

/// Who uploads, if not too often.
async fn uploader(asked: &Asked) -> Result<Session> {
    let caller = auth::session(&asked.world, &asked.request, Cost::Free).await?;
    rate_limit::count(&asked.world, &asked.request, Kind::Media)?;
    Ok(caller)
}

fn uploaded(asked: Asked) -> Upload {
    let content_type = asked.request.headers().get(header::CONTENT_TYPE);
    let content_type = disposition::typed(content_type.map(|value| value.as_bytes()));
    let filename = asked.parameter("filename").and_then(|name| disposition::named(&name));
    let described = Described { content_type, filename };
    Upload { body: asked.body, described }
}

fn json_answer(body: &Value) -> Result<Response<Body>> {
    Ok(json_response(StatusCode::OK, body)?.map(Body::from))
}
