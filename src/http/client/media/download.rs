//! How is content downloaded? ([`/download`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaid))

use http::{Method, Response};
use ruma::OwnedServerName;
use tombolo_platform::Body;

use super::{AUTHENTICATED, Asked, legacy, response::File, stream};
use crate::{
    config::Config,
    error::{Result, not_found},
    flows::media::{self, Found, disposition},
    http::{
        arguments::Argument,
        auth,
        rate_limit::{self, Kind},
        router::Router,
    },
    objects::user_sync::messages::Cost,
    stores::media::Media,
};

const PATHS: [&str; 2] =
    ["/download/{server_name}/{media_id}", "/download/{server_name}/{media_id}/{file_name}"];

pub fn routes(router: &mut Router) {
    for path in PATHS {
        stream(router, &Method::GET, &[format!("{AUTHENTICATED}{path}")], authenticated);
        stream(router, &Method::GET, &legacy(path), unauthenticated);
    }
}

async fn authenticated(asked: Asked) -> Result<Response<Body>> {
    auth::session(&asked.world, &asked.request, Cost::Free).await?;
    let (media, content) = found(&asked, true).await?;
    download(&asked, media, content).await
}

async fn unauthenticated(asked: Asked) -> Result<Response<Body>> {
    let (media, content) = found(&asked, false).await?;
    download(&asked, media, content).await
}

async fn download(asked: &Asked, media: Media, content: String) -> Result<Response<Body>> {
    let given = asked.arguments.get(2).and_then(|name| disposition::named(name));
    let content_type = media.content_type.unwrap_or_else(|| disposition::UNKNOWN_TYPE.to_owned());
    let file = File { content_type, filename: given.or(media.filename), size: media.size };
    file.answer(&asked.world, &asked.request, &content).await
}

/// The media that the path names, and the key of their content.
pub async fn found(asked: &Asked, authenticated: bool) -> Result<(Media, String)> {
    let server = OwnedServerName::read(asked.argument(0))?;
    let media_id = asked.argument(1);
    if !media::is_media_id(media_id) {
        return Err(not_found("This is no media ID"));
    }
    let patience = asked.patience()?;
    let (media, content) = match media::find(&asked.world, &server, media_id, patience).await? {
        Found::Here(media, content) => (*media, content),
        Found::Elsewhere if may_fetch(asked, authenticated)? => {
            rate_limit::count(&asked.world, &asked.request, Kind::Media)?;
            media::fetch(&asked.world, &server, media_id, patience).await?
        }
        Found::Elsewhere => return Err(not_found("There are no such media")),
    };
    if media.authenticated && !authenticated {
        return Err(not_found("There are no such media"));
    }
    media::touch(&asked.world, &server, media_id, &media);
    Ok((media, content))
}

/// Whether another server may be asked. What would be kept from who is not logged in is not fetched for them.
fn may_fetch(asked: &Asked, authenticated: bool) -> Result<bool> {
    if authenticated {
        return Ok(true);
    }
    let is_allowed = asked.parameter("allow_remote").is_none_or(|given| given != "false");
    Ok(is_allowed && Config::of(&asked.world)?.media.is_open)
}
