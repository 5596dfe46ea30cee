//! How is content downloaded? ([`/download`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaid))

use http::{Method, Response};
use ruma::OwnedServerName;
use tombolo_platform::Body;

use super::{AUTHENTICATED, Asked, MediaId, legacy, response::File, stream};
use crate::{
    config::Config,
    error::{Error, Result, not_found},
    flows::media::{self, Found, Unread, disposition},
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
    let filename = given.or(media.filename);
    let file = File { content_type: media.content_type, filename };
    file.answer(&asked.world, &asked.request, (&content, media.size)).await
}

/// The media that the path names, and the key of their content.
pub async fn found(asked: &Asked, authenticated: bool) -> Result<(Media, String)> {
    let server = OwnedServerName::read(asked.argument(0))?;
    let MediaId(media_id) = &MediaId::read(asked.argument(1))?;
    // What is uploaded or fetched now is kept from who is not logged in: they neither wait for it nor hear of it.
    let may_wait = authenticated || Config::of(&asked.world)?.media.is_open;
    let patience = if may_wait { asked.patience()? } else { 0 };
    let (media, content) = match media::find(&asked.world, &server, media_id, patience).await {
        Ok(Found::Here(media, content)) => (*media, content),
        Ok(Found::Elsewhere) if may_wait && may_fetch(asked, authenticated) => {
            rate_limit::count(&asked.world, &asked.request, Kind::Media)?;
            media::fetch(&asked.world, &server, media_id, patience).await?
        }
        Err(Unread::NotUploaded) if may_wait => return Err(Unread::NotUploaded.into()),
        Ok(Found::Elsewhere) | Err(Unread::NotUploaded) => return Err(no_media()),
        Err(unread) => return Err(unread.into()),
    };
    if media.authenticated && !authenticated {
        return Err(no_media());
    }
    media::touch(&asked.world, &server, media_id, &media);
    Ok((media, content))
}

/// Whether another server may be asked: who is not logged in may say that it is not to be.
fn may_fetch(asked: &Asked, authenticated: bool) -> bool {
    authenticated || asked.parameter("allow_remote").is_none_or(|given| given != "false")
}

fn no_media() -> Error {
    not_found("There are no such media")
}
