//! What of our users' media may other servers read?
//! ([content repository](https://spec.matrix.org/v1.19/server-server-api/#content-repository))

use std::rc::Rc;

use futures_util::{StreamExt, stream};
use http::{HeaderValue, Method, Response, header};
use ruma::api::federation::authentication::ServerSignatures;
use tombolo_platform::{Body, Unread, World};

use super::signed::Signed;
use crate::{
    config::Config,
    error::{Error, Result, internal, not_found},
    flows::media::{self, Found, Thumbnail, disposition},
    http::{
        client::media::{patience, thumbnail::wanted},
        endpoint::{MAX_BODY, Scheme, whole},
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

/// Registers a handler whose answer has parts.
fn parts<H, F>(router: &mut Router, path: &str, handler: H)
where
    H: Fn(World, Signed, String) -> F + Copy + 'static,
    F: Future<Output = Result<File>>,
{
    let answer: Handler = Rc::new(move |world, request, arguments| {
        Box::pin(async move {
            let request = whole(request, MAX_BODY).await?;
            let signed = ServerSignatures::caller(&world, &request, Cost::Free).await?;
            let media_id = arguments.into_iter().next().unwrap_or_default();
            if !media::is_media_id(&media_id) {
                return Err(not_found("This is no media ID"));
            }
            handler(world.clone(), signed, media_id).await?.in_parts(&world)
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

async fn download(world: World, caller: Signed, media_id: String) -> Result<File> {
    let (media, content) = found(&world, &caller, &media_id).await?;
    let body = media::served(&world, &content, None).await?;
    let content_type = media.content_type.unwrap_or_else(|| disposition::UNKNOWN_TYPE.to_owned());
    Ok(File { content_type, filename: media.filename, body })
}

async fn thumbnail(world: World, caller: Signed, media_id: String) -> Result<File> {
    let wanted = wanted(|name| caller.all(name).first().map(|value| (*value).to_owned()))?;
    let (media, content) = found(&world, &caller, &media_id).await?;
    let shown = media::thumbnail(&world, (&content, media.size), true, wanted).await?;
    let (format, body) = match shown {
        Thumbnail::Made(format, bytes, _) => (format, bytes.into()),
        Thumbnail::Content(format) => (format, media::served(&world, &content, None).await?),
    };
    Ok(File { content_type: format.content_type().to_owned(), filename: None, body })
}

/// Media of our users, and the key of their content.
async fn found(world: &World, caller: &Signed, media_id: &str) -> Result<(Media, String)> {
    let config = Config::of(world)?;
    let patience = patience(caller.all("timeout_ms").first().copied())?;
    match media::find(world, &config.server_name, media_id, patience).await? {
        Found::Here(media, content) => Ok((*media, content)),
        Found::Elsewhere => Err(not_found("There are no such media")),
    }
}

impl File {
    /// The file as the second part of an answer; the first says nothing of it yet.
    fn in_parts(self, world: &World) -> Result<Response<Body>> {
        let boundary: String = world.random().iter().map(|byte| format!("{byte:02x}")).collect();
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
        let whole = |text: String| stream::iter([Ok::<_, Unread>(text.into())]);
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
