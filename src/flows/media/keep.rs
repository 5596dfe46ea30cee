//! How is a content written, and how is its hash known?
//!
//! The hash is known only when the content is written, so the key under which it lies is random. Where an equal content
//! is there already, what was just written is removed again.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use futures_util::stream;
use sha2::{Digest, Sha256};
use tombolo_platform::{Body, R2Error, Unread, World};

use super::{failures::Unkept, thumbnail};
use crate::{
    flows::ours::Ours,
    stores::media::{self, Content, Noted},
};

/// Of which characters media IDs are made
/// ([`mxc://` URIs](https://spec.matrix.org/v1.19/client-server-api/#matrix-content-mxc-uris)).
const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// How long our media IDs are.
const LENGTH: usize = 24;
/// The longest media ID of another server that is asked for.
const LONGEST: usize = 255;

/// A media ID that nobody can guess.
pub fn new_media_id(world: &World) -> String {
    let dice = world.random();
    let characters =
        dice.iter().take(LENGTH).filter_map(|byte| CHARACTERS.get(usize::from(byte % 64)));
    characters.map(|byte| char::from(*byte)).collect()
}

/// Whether this can be a media ID.
pub fn is_media_id(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| CHARACTERS.contains(&byte))
}

/// Writes a content of at most so many bytes, while it comes.
pub async fn write(world: &World, body: Body, most: usize) -> Result<Content, Unkept> {
    let announced = body.announced();
    if announced.is_some_and(|bytes| bytes > most) {
        return Err(Unkept::TooLarge(most));
    }
    let key: String = world.random().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    media::begin(world, &key).await.map_err(Ours::from)?;
    let hash = Rc::new(RefCell::new(Sha256::new()));
    let hashed = hashed(body.limited(most), Rc::clone(&hash)).announcing(announced);
    let written = world.r2().put(&key, hashed).await;
    let size = match written {
        Ok(size) => size,
        Err(error) => {
            discard(world, &key).await;
            return Err(unwritten(error));
        }
    };
    // A connection that breaks off may look like the end of the body.
    if announced.is_some_and(|bytes| bytes as u64 != size) {
        discard(world, &key).await;
        return Err(Unkept::Broken);
    }
    let sha256 =
        hash.borrow().clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Content { key, sha256, size })
}

fn unwritten(error: R2Error) -> Unkept {
    match error {
        R2Error::Unread(Unread::TooLarge(most)) => Unkept::TooLarge(most),
        R2Error::Unread(Unread::Broken(why)) => {
            tracing::debug!(why, "an upload broke off");
            Unkept::Broken
        }
        error => Ours::from(error).into(),
    }
}

fn hashed(body: Body, hash: Rc<RefCell<Sha256>>) -> Body {
    Body::stream(stream::unfold((body, hash), async |(mut body, hash)| {
        let chunk: Result<Bytes, Unread> = body.next().await?;
        if let Ok(bytes) = &chunk {
            hash.borrow_mut().update(bytes);
        }
        Some((chunk, (body, hash)))
    }))
}

/// Removes what was written where nobody has it, and says whether it was taken.
pub async fn settled(world: &World, content: &Content, noted: Noted) -> bool {
    if noted.left {
        discard(world, &content.key).await;
    }
    noted.taken
}

/// Removes a content that nobody has. Where that fails, it is removed later.
pub async fn discard(world: &World, key: &str) {
    if let Err(error) = remove(world, key).await {
        tracing::warn!(%error, "a content is left over for now");
    }
}

/// Removes a content that nobody has, and the thumbnails of it.
pub async fn remove(world: &World, key: &str) -> Result<(), Ours> {
    let keys: Vec<String> = thumbnail::keys(key).chain([key.to_owned()]).collect();
    world.r2().delete(&keys).await?;
    Ok(media::forget(world, key).await?)
}
