//! How is an image kept that a page shows?
//!
//! As media of this server that nobody uploaded: they count against nobody's quota, and go when nobody has read them for
//! as long as what other servers' users uploaded is kept. Equal images have one media ID, so that a page that is looked at
//! every hour makes no more media.

use std::{cell::RefCell, rc::Rc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::stream;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tombolo_platform::{Body, World};

use crate::{
    config::Config,
    flows::{
        media::{
            cleaning,
            failures::Unkept,
            keep,
            picture::{self, Format},
        },
        ours::Ours,
    },
    stores::media::{self, Described, Name, Owner},
};

/// The largest image that is kept, in bytes.
pub const MOST: usize = 3 << 20;
/// So many bytes say of every format which it is, and so many of nearly every picture how large it is.
const NAMED: usize = 16;
const SIZED: usize = 256 << 10;
/// By how much more room is made at once for what comes, in bytes.
const STEP: usize = 64 << 10;

/// An image that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub media_id: String,
    pub format: Format,
    pub bytes: u64,
    /// Width and height, where it says them soon.
    pub size: Option<(u32, u32)>,
}

/// Keeps an image for which the caller holds room; `None` where it is none of which thumbnails can be made, as which
/// clients show it.
pub async fn keep(world: &World, mut body: Body) -> Result<Option<Image>, Unkept> {
    let config = Config::of(world).map_err(Ours::from)?;
    let most = MOST.min(config.media.max_upload_size);
    let announced = body.announced();
    if announced.is_some_and(|bytes| bytes > most) {
        return Err(Unkept::TooLarge(most));
    }
    let (first, broken) = beginning(&mut body, NAMED).await;
    if broken.is_some() {
        return Err(Unkept::Broken);
    }
    let Some(format) = Format::of(&first) else { return Ok(None) };
    let seen = Rc::new(RefCell::new(Vec::new()));
    let body = watched(first, body, Rc::clone(&seen)).announcing(announced);
    let content = keep::write_held(world, body, most, None).await?;
    let size = picture::size(format, &seen.borrow());
    let media_id = media_id(&config, &content.sha256)?;
    let name = Name { server: config.server_name.as_str(), media_id: &media_id };
    let owner = Owner { localpart: None, quota: None, authenticated: !config.media.is_open };
    let described = Described { content_type: format.content_type().to_owned(), filename: None };
    let noted = media::insert(world, name, owner, &content, &described).await;
    let noted = noted.map_err(Ours::from)?;
    cleaning::soon(world);
    if !keep::settled(world, &content, noted).await {
        // It is there already, and wanted again.
        media::touch(world, name).await.map_err(Ours::from)?;
    }
    Ok(Some(Image { media_id, format, bytes: content.size, size }))
}

/// Which media ID an image has. Nobody else can work it out, and so find out whether the image was ever shown here.
fn media_id(config: &Config, sha256: &str) -> Result<String, Ours> {
    let mac = Hmac::<Sha256>::new_from_slice(&config.token_secret).map_err(Ours::broken)?;
    let mac = mac.chain_update(b"preview ").chain_update(sha256.as_bytes()).finalize();
    let mac = mac.into_bytes();
    Ok(URL_SAFE_NO_PAD.encode(mac.get(..18).unwrap_or(&mac)))
}

/// The beginning of a body, of at least so many bytes if it has them; and why no more came, if it broke off.
pub async fn beginning(
    body: &mut Body,
    least: usize,
) -> (Vec<u8>, Option<tombolo_platform::Unread>) {
    let mut first = Vec::new();
    while first.len() < least {
        match body.next().await {
            Some(Ok(chunk)) => {
                if first.capacity() < first.len().saturating_add(chunk.len()) {
                    first.reserve_exact(chunk.len().max(STEP));
                }
                first.extend_from_slice(&chunk);
            }
            Some(Err(unread)) => return (first, Some(unread)),
            None => break,
        }
    }
    (first, None)
}

/// A body of which the first chunk was read already; its beginning can be seen when it has come.
fn watched(first: Vec<u8>, body: Body, seen: Rc<RefCell<Vec<u8>>>) -> Body {
    let coming = (Some(Bytes::from(first)), body, seen);
    Body::stream(stream::unfold(coming, async |(first, mut body, seen)| {
        let chunk = match first {
            Some(first) => Ok(first),
            None => body.next().await?,
        };
        if let Ok(bytes) = &chunk {
            let mut seen = seen.borrow_mut();
            let left = SIZED.saturating_sub(seen.len()).min(bytes.len());
            seen.extend_from_slice(bytes.get(..left).unwrap_or_default());
        }
        Some((chunk, (None, body, seen)))
    }))
}
