//! What of our users' media may other servers read?
//! ([content repository](https://spec.matrix.org/v1.19/server-server-api/#content-repository))

use std::rc::Rc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Method, Response, header};
use ruma::api::federation::authentication::ServerSignatures;
use tombolo_platform::{Body, World};

use super::signed::Signed;
use crate::{
    config::Config,
    error::{Error, Result, internal},
    flows::media::{self, Found, Looked, Thumbnail, Unread, disposition},
    http::{
        arguments::Arguments,
        client::media::{MediaId, patience, thumbnail::wanted},
        endpoint::{MAX_BODY, Scheme, whole},
        rate_limit::{Kind, Stranger},
        router::{Handler, Router},
    },
    objects::user_sync::messages::Cost,
    stores::media::Media,
};

const DOWNLOAD: &str = "/_matrix/federation/v1/media/download/{media_id}";
const THUMBNAIL: &str = "/_matrix/federation/v1/media/thumbnail/{media_id}";

pub fn routes(router: &mut Router) {
    parts(router, DOWNLOAD, download);
    parts(router, THUMBNAIL, thumbnail);
}

/// Who asks: the server, and the address that it asks from.
struct Caller {
    signed: Signed,
    stranger: Stranger,
}

/// Registers a handler whose answer has parts.
fn parts<H, F>(router: &mut Router, path: &str, handler: H)
where
    H: Fn(World, Caller, MediaId) -> F + Copy + 'static,
    F: Future<Output = Result<File>>,
{
    let answer: Handler = Rc::new(move |world, request, arguments| {
        Box::pin(async move {
            let request = whole(request, MAX_BODY).await?;
            let signed = ServerSignatures::caller(&world, &request, Cost::Free).await?;
            let caller = Caller { signed, stranger: Stranger::of(&world, &request)? };
            let media_id = MediaId::read(&arguments)?;
            handler(world.clone(), caller, media_id).await?.in_parts(&world)
        })
    });
    router.add(&Method::GET, path, answer);
}

/// A file that is answered.
struct File {
    content_type: String,
    filename: Option<String>,
    body: Body,
}

async fn download(world: World, caller: Caller, media_id: MediaId) -> Result<File> {
    let (media, content) = found(&world, &caller.signed, &media_id).await?;
    let body = media::served(&world, &content, None).await?;
    Ok(File { content_type: media.content_type, filename: media.filename, body })
}

async fn thumbnail(world: World, caller: Caller, media_id: MediaId) -> Result<File> {
    let Caller { signed, stranger } = caller;
    let wanted = wanted(|name| signed.all(name).first().map(|value| (*value).to_owned()))?;
    let (media, content) = found(&world, &signed, &media_id).await?;
    let source = (&*content, media.size);
    let shown = match media::find_thumbnail(&world, source, wanted).await? {
        Looked::There(shown) => shown,
        Looked::Unmade(shape) => {
            stranger.count(&world, Kind::Media)?;
            media::make_thumbnail(&world, source, shape).await?
        }
    };
    let (format, body) = match shown {
        Thumbnail::Here(format, bytes, _) => (format, bytes.into()),
        Thumbnail::Content(format) => (format, media::served(&world, &content, None).await?),
    };
    Ok(File { content_type: format.content_type().to_owned(), filename: None, body })
}

/// Media of our users, and the key of their content.
async fn found(world: &World, caller: &Signed, media_id: &MediaId) -> Result<(Media, String)> {
    let config = Config::of(world)?;
    let patience = patience(caller.all("timeout_ms").first().copied())?;
    match media::find(world, &config.server_name, &media_id.0, patience).await? {
        Found::Here(media, content) => Ok((*media, content)),
        Found::Elsewhere => Err(Unread::NotFound.into()),
    }
}

impl File {
    /// The file as the second part of an answer; the first says nothing of it yet.
    fn in_parts(self, world: &World) -> Result<Response<Body>> {
        let boundary = URL_SAFE_NO_PAD.encode(world.random());
        let disposition = disposition::disposition(&self.content_type, self.filename.as_deref());
        let head = format!(
            "--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Disposition: {disposition}\r\n\r\n",
            self.content_type,
        );
        let end = format!("\r\n--{boundary}--\r\n");
        let length = self.body.announced().map(|bytes| head.len() + bytes + end.len());
        let content = stream::unfold(self.body, async |mut body| {
            let chunk = body.next().await?;
            Some((chunk, body))
        });
        let whole = |text: String| stream::iter([Ok::<_, tombolo_platform::Unread>(text.into())]);
        let body = Body::stream(whole(head).chain(content).chain(whole(end)));
        let mut response = Response::new(body.announcing(length));
        let kind = HeaderValue::from_str(&format!("multipart/mixed; boundary={boundary}"));
        response.headers_mut().insert(header::CONTENT_TYPE, kind.map_err(internal)?);
        if let Some(length) = length {
            response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        Ok::<_, Error>(response)
    }
}
