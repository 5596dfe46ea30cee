//! How is a thumbnail answered? ([`/thumbnail`](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid))

use http::{Method, Response, StatusCode};
use tombolo_platform::Body;

use super::{AUTHENTICATED, Asked, download::found, legacy, response::File, stream};
use crate::{
    error::{Error, Result, missing_param},
    flows::media::{self, Format, Looked, Thumbnail, Unread, Wanted},
    http::{
        auth,
        rate_limit::{self, Kind},
        router::Router,
    },
    objects::user_sync::messages::Cost,
    stores::media::Media,
};

const PATH: &str = "/thumbnail/{server_name}/{media_id}";

pub fn routes(router: &mut Router) {
    stream(router, &Method::GET, &[format!("{AUTHENTICATED}{PATH}")], authenticated);
    stream(router, &Method::GET, &legacy(PATH), unauthenticated);
}

async fn authenticated(asked: Asked) -> Result<Response<Body>> {
    auth::session(&asked.world, &asked.request, Cost::Free).await?;
    let wanted = wanted(|name| asked.parameter(name))?;
    thumbnail(&asked, found(&asked, true).await?, wanted).await
}

async fn unauthenticated(asked: Asked) -> Result<Response<Body>> {
    let wanted = wanted(|name| asked.parameter(name))?;
    thumbnail(&asked, found(&asked, false).await?, wanted).await
}

async fn thumbnail(
    asked: &Asked,
    (media, content): (Media, String),
    wanted: Wanted,
) -> Result<Response<Body>> {
    let source = (&*content, media.size);
    let shown = match media::find_thumbnail(&asked.world, source, wanted).await? {
        Looked::There(shown) => shown,
        Looked::Unmade(shape) => {
            rate_limit::count(&asked.world, &asked.request, Kind::Media)?;
            let made = media::make_thumbnail(&asked.world, source, shape).await;
            made.map_err(|unread| unmade(unread, &media))?
        }
    };
    match shown {
        Thumbnail::Here(format, bytes, key) => file(format).given(&asked.request, &key, bytes),
        Thumbnail::Content(format) => {
            file(format).answer(&asked.world, &asked.request, source).await
        }
    }
}

/// What is too large is another server's fault where the media are.
fn unmade(unread: Unread, media: &Media) -> Error {
    if unread == Unread::NoThumbnail && media.localpart.is_none() {
        return Error::new(StatusCode::BAD_GATEWAY, "M_TOO_LARGE", unread.to_string());
    }
    unread.into()
}

fn file(format: Format) -> File {
    let content_type = format.content_type();
    let (_, extension) = content_type.split_once('/').unwrap_or_default();
    let filename = Some(format!("thumbnail.{extension}"));
    File { content_type: content_type.to_owned(), filename }
}

/// What the query asks for.
pub fn wanted(parameter: impl Fn(&str) -> Option<String>) -> Result<Wanted> {
    let nonsense = |what: &str| Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", what);
    let side = |name: &str| {
        let given = parameter(name).ok_or_else(|| missing_param(format!("{name} is missing")))?;
        let side = given.parse::<u32>().ok().filter(|side| *side > 0);
        side.ok_or_else(|| nonsense("Width and height are numbers above 0"))
    };
    let method = match parameter("method").as_deref() {
        None | Some("scale") => media::Method::Scale,
        Some("crop") => media::Method::Crop,
        Some(_) => return Err(nonsense("The method is scale or crop")),
    };
    Ok(Wanted { width: side("width")?, height: side("height")?, method })
}
