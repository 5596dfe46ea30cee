//! What is shown of a URL in a message? ([URL previews](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediapreview_url))
//!
//! The server asks the page in the client's place, so the page learns nothing of who reads the message. Whoever writes a
//! message decides where it asks, so nothing is believed: each hop's address is looked at (`remote::pages`), all of it
//! has ten seconds, and of a page only its first megabyte is read ([`page`]). An image is kept as media of ours
//! ([`image`]). What was seen is kept for an hour, for all who ask in the same language ([`known`]): so an older preview
//! than that is not there to be given, whatever time a client prefers.

mod charset;
mod entities;
mod image;
mod known;
mod markup;
mod page;
#[cfg(test)]
mod tests;
mod windows_1252;

use std::collections::BTreeMap;

use http::header;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tombolo_platform::{Body, World};
use url::Url;

use self::{image::Image, page::Metadata};
use super::{
    failures::Unkept,
    keep,
    room::{LATER, Purpose, Room},
};
use crate::{
    config::Config,
    flows::ours::Ours,
    remote::pages::{self, Ask, Unopened},
};

/// How long everything may take (ms).
const TIME: u64 = 10_000;
/// How much of a page is read, in bytes.
const PAGE: usize = 1 << 20;
/// The longest language that is asked for, in bytes.
const LONGEST_LANGUAGE: usize = 35;
/// The language that is asked for where the client names none.
const LANGUAGE: &str = "en";

/// Pages, and the images of which thumbnails can be made.
const ANYTHING: &str =
    "text/html,application/xhtml+xml,image/webp,image/png,image/jpeg,image/gif,*/*;q=0.1";
const IMAGES: &str = "image/webp,image/png,image/jpeg,image/gif,image/*;q=0.1";

/// What a client is shown, by the names of [OpenGraph](https://ogp.me/) and the specification.
pub type Preview = BTreeMap<String, Value>;

/// Why nothing is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpreviewed {
    #[error("This is no URL of a page that anybody may ask for")]
    Malformed,
    #[error("The address of this URL is not on the public network")]
    Blocked,
    #[error("The page cannot be read: {0}")]
    Unreachable(String),
    /// So much is read or written now that this would have to wait for long, and when to try again (ms).
    #[error("Too many pages are read at once")]
    Busy(u64),
    #[error(transparent)]
    Ours(#[from] Ours),
}

/// What was seen of a URL.
struct Seen {
    preview: Preview,
    /// Whether nothing is missing that may be there another time.
    whole: bool,
}

/// What is shown of a URL to a client that prefers these languages (`Accept-Language`).
pub async fn preview(
    world: &World,
    url: &str,
    languages: Option<&str>,
) -> Result<Preview, Unpreviewed> {
    let url = pages::web(url).ok_or(Unpreviewed::Malformed)?;
    let language = languages.and_then(first_language).unwrap_or(LANGUAGE);
    let hash = Sha256::new().chain_update(language).chain_update(" ").chain_update(url.as_str());
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let look = async || look(world, url, language).await;
    known::once(world, &format!("preview:{hash}"), look).await
}

/// The language that a client names first. Were all of them passed on, hardly two clients would ask the same.
fn first_language(languages: &str) -> Option<&str> {
    let first = languages.split([',', ';']).next()?.trim();
    let fits = (1..=LONGEST_LANGUAGE).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    fits.then_some(first)
}

async fn look(world: &World, url: Url, language: &str) -> Result<Seen, Unpreviewed> {
    let ask = Ask { accept: ANYTHING, language, until: world.now().saturating_add(TIME) };
    let (url, content_type, body) = open(world, url, ask).await?;
    if is_of(&content_type, &["text/html", "application/xhtml+xml"]) {
        let metadata = read_page(world, &content_type, body, ask.until).await?;
        return of_page(world, (&url, metadata), ask).await;
    }
    if is_image(&content_type) {
        let image = of_kept(image::keep(world, body).await)?;
        return Ok(Seen { preview: of_image(world, image.as_ref())?, whole: true });
    }
    Ok(Seen { preview: Preview::new(), whole: true })
}

/// Reads what a page says of itself, as far as it has come in time.
async fn read_page(
    world: &World,
    content_type: &[u8],
    mut body: Body,
    until: u64,
) -> Result<Metadata, Unpreviewed> {
    let time = until.saturating_sub(world.now());
    let room = keep::within(world, time, Room::of(world, Purpose::Page, PAGE)).await.flatten();
    let _room = room.ok_or(Unpreviewed::Busy(LATER))?;
    let (mut bytes, broken) = image::beginning(&mut body, PAGE).await;
    // What has come may say all that there is to say.
    if let Some(broken) = broken.filter(|_| bytes.is_empty()) {
        return Err(Unpreviewed::Unreachable(broken.to_string()));
    }
    bytes.truncate(PAGE);
    Ok(page::read(&charset::text(bytes, content_type)))
}

async fn of_page(
    world: &World,
    (url, metadata): (&Url, Metadata),
    ask: Ask<'_>,
) -> Result<Seen, Unpreviewed> {
    let (properties, links) = metadata.linked(url);
    let mut preview: Preview =
        properties.into_iter().map(|(name, value)| (name, value.into())).collect();
    let fetched = match links.into_iter().next() {
        Some(link) => fetch_image(world, link, ask).await,
        None => Ok(None),
    };
    let (image, whole) = match fetched {
        Ok(image) => (image, true),
        Err(Unpreviewed::Ours(error)) => return Err(error.into()),
        Err(error) => {
            tracing::debug!(%error, "an image of a page is not shown");
            (None, false)
        }
    };
    if image.is_none() {
        preview.remove(page::IMAGE_ALT);
    }
    preview.extend(of_image(world, image.as_ref())?);
    Ok(Seen { preview, whole })
}

async fn fetch_image(world: &World, url: Url, ask: Ask<'_>) -> Result<Option<Image>, Unpreviewed> {
    let (_, content_type, body) = open(world, url, Ask { accept: IMAGES, ..ask }).await?;
    if !is_image(&content_type) {
        return Ok(None);
    }
    of_kept(image::keep(world, body).await)
}

/// Asks for what is at a URL: where that is in the end, its type, and what it is.
async fn open(world: &World, url: Url, ask: Ask<'_>) -> Result<(Url, Vec<u8>, Body), Unpreviewed> {
    let unreachable = |why: String| Unpreviewed::Unreachable(why);
    let time = ask.until.saturating_sub(world.now());
    let opened = keep::within(world, time, pages::open(world, url, ask)).await;
    let opened = opened.ok_or_else(|| unreachable("it does not answer in time".to_owned()))?;
    let (url, response) = opened.map_err(|unopened| match unopened {
        Unopened::Blocked => Unpreviewed::Blocked,
        Unopened::Remote(error) => unreachable(error.to_string()),
    })?;
    if !response.status().is_success() {
        return Err(unreachable(format!("it answers {}", response.status())));
    }
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    Ok((url, content_type, response.into_body()))
}

/// What it means that an image is not kept.
fn of_kept(kept: Result<Option<Image>, Unkept>) -> Result<Option<Image>, Unpreviewed> {
    kept.map_err(|unkept| match unkept {
        Unkept::Ours(error) => error.into(),
        Unkept::Busy(ms) => Unpreviewed::Busy(ms),
        unkept => Unpreviewed::Unreachable(unkept.to_string()),
    })
}

/// What is shown of an image that is kept.
fn of_image(world: &World, image: Option<&Image>) -> Result<Preview, Ours> {
    let Some(image) = image else { return Ok(Preview::new()) };
    let uri = format!("mxc://{}/{}", Config::of(world)?.server_name, image.media_id);
    let mut preview = Preview::from([
        ("og:image".to_owned(), uri.into()),
        ("og:image:type".to_owned(), image.format.content_type().into()),
        ("matrix:image:size".to_owned(), image.bytes.into()),
    ]);
    if let Some((width, height)) = image.size {
        preview.insert("og:image:width".to_owned(), width.into());
        preview.insert("og:image:height".to_owned(), height.into());
    }
    Ok(preview)
}

fn is_of(content_type: &[u8], kinds: &[&str]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    kinds.iter().any(|kind| essence.eq_ignore_ascii_case(kind.as_bytes()))
}

fn is_image(content_type: &[u8]) -> bool {
    let begin = content_type.trim_ascii_start().get(..6);
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(b"image/"))
}
