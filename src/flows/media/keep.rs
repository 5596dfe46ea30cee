//! How is a content written, and how is its hash known?
//!
//! The hash is known only when the content is written, so the key under which it lies is random. Where an equal content
//! is there already, what was just written is removed again.

use std::{cell::RefCell, pin::pin, rc::Rc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::{
    future::{Either, select},
    stream,
};
use sha2::{Digest, Sha256};
use tombolo_platform::{Body, PART, R2Error, Unread, World};

use super::{
    failures::Unkept,
    room::{LATER, Purpose, Room, STALE},
    thumbnail,
};
use crate::{
    flows::ours::Ours,
    stores::media::{self, Content, Noted},
};

/// How many random bytes our media IDs and the keys of contents are made of.
const RANDOM: usize = 18;
/// The longest media ID of another server that is asked for.
const LONGEST: usize = 255;
/// Who sends nothing for so long is not waited for (ms). It is heard of before its room is given away.
const IDLE: u64 = STALE / 2;
/// How slowly a content may come (bytes per ms), from when on (ms): who sends less keeps others from writing.
const SLOWEST: u64 = 4;
const GRACE: u64 = 60_000;

/// A media ID, or a key, that nobody can guess.
pub fn new_media_id(world: &World) -> String {
    let dice = world.random();
    URL_SAFE_NO_PAD.encode(dice.get(..RANDOM).unwrap_or(&dice))
}

/// Whether this can be a media ID
/// ([`mxc://` URIs](https://spec.matrix.org/v1.19/client-server-api/#matrix-content-mxc-uris)).
pub fn is_media_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// Writes a content of at most so many bytes, while it comes. Where it does not say how long it is, what it came in may:
/// `around` has so many bytes, and the content fewer.
pub async fn write(
    world: &World,
    body: Body,
    most: usize,
    around: Option<usize>,
) -> Result<Content, Unkept> {
    let part = announced(&body, most)?.or(around).map_or(PART, |bytes| bytes.min(PART));
    let room = Room::of(world, Purpose::Writing, part).await.ok_or(Unkept::Busy(LATER))?;
    write_held(world, body, most, Some(room)).await
}

/// The same in this room; `None`: in one that the caller holds.
pub async fn write_held(
    world: &World,
    body: Body,
    most: usize,
    room: Option<Room>,
) -> Result<Content, Unkept> {
    let announced = announced(&body, most)?;
    let key = new_media_id(world);
    media::begin(world, &key).await.map_err(Ours::from)?;
    let hash = Rc::new(RefCell::new(Sha256::new()));
    let coming = Coming {
        world: world.clone(),
        body: body.limited(most),
        hash: Rc::clone(&hash),
        room,
        begun: world.now(),
        size: 0,
    };
    let written = world.r2().put(&key, coming.hashed().announcing(announced)).await;
    let size = match written {
        Ok(size) => size,
        Err(error) => {
            // What was lost on its way may still be written: what was noted is removed when that is over.
            if matches!(error, R2Error::Unread(_)) {
                discard(world, &key).await;
            }
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

/// How long a body says that it is; refused if that is too long.
fn announced(body: &Body, most: usize) -> Result<Option<usize>, Unkept> {
    match body.announced() {
        Some(bytes) if bytes > most => Err(Unkept::TooLarge(most)),
        announced => Ok(announced),
    }
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

/// A content that is written while it comes.
struct Coming {
    world: World,
    body: Body,
    hash: Rc<RefCell<Sha256>>,
    room: Option<Room>,
    begun: u64,
    size: u64,
}

impl Coming {
    fn hashed(self) -> Body {
        Body::stream(stream::unfold(self, async |mut coming| {
            let chunk = coming.next().await?;
            Some((chunk, coming))
        }))
    }

    async fn next(&mut self) -> Option<Result<Bytes, Unread>> {
        let slow = || Some(Err(Unread::Broken("it comes too slowly".to_owned())));
        let Some(chunk) = within(&self.world, IDLE, self.body.next()).await else {
            return slow();
        };
        let chunk = chunk?;
        if let Ok(bytes) = &chunk {
            let now = self.world.now();
            self.size = self.size.saturating_add(bytes.len() as u64);
            if self.size / SLOWEST < now.saturating_sub(self.begun.saturating_add(GRACE)) {
                return slow();
            }
            if let Some(room) = &self.room {
                room.touch(now);
            }
            self.hash.borrow_mut().update(bytes);
        }
        Some(chunk)
    }
}

/// What comes within so long (ms).
pub(super) async fn within<T>(
    world: &World,
    time: u64,
    future: impl Future<Output = T>,
) -> Option<T> {
    match select(pin!(future), pin!(world.sleep(Duration::from_millis(time)))).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(_) => None,
    }
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
