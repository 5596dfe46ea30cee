//! What of the media is removed without being asked?
//!
//! Uploads that were never made, contents that nobody has, and what was fetched from other servers and not read for
//! long. Whoever keeps media does some of it afterwards, now and then: no timer runs where nothing happens.

use std::cell::Cell;

use tombolo_platform::World;

use super::keep;
use crate::{
    config::Config,
    flows::ours::Ours,
    stores::media::{self, Name},
};

/// How often an isolate cleans (ms).
const EVERY: u64 = 600_000;
/// How many of each kind are removed at once.
const AT_ONCE: usize = 20;

#[derive(Default)]
struct Cleaned(Cell<u64>);

/// Cleans after the response was sent, if this isolate has not done so lately.
pub fn soon(world: &World) {
    let cleaned = world.isolate(|_| Cleaned::default());
    if cleaned.0.get() + EVERY > world.now() {
        return;
    }
    cleaned.0.set(world.now());
    let inner = world.clone();
    world.later(async move {
        // What fails is left for the next time.
        if let Err(error) = clean(&inner).await {
            tracing::warn!(%error, "media could not be cleaned up");
        }
    });
}

/// Removes some of what is to go.
pub async fn clean(world: &World) -> Result<(), Ours> {
    let config = Config::of(world)?;
    media::forget_expired(world, AT_ONCE).await?;
    if let Some(lifetime) = config.media.remote_lifetime {
        let since = world.now().saturating_sub(lifetime);
        for (server, media_id) in media::unread_since(world, since, (None, AT_ONCE)).await? {
            delete(world, Name { server: &server, media_id: &media_id }).await?;
        }
    }
    for key in media::left(world, AT_ONCE).await? {
        keep::remove(world, &key).await?;
    }
    Ok(())
}

/// Removes media, and their content if nobody else has it; answers whether there were any.
pub async fn delete(world: &World, name: Name<'_>) -> Result<bool, Ours> {
    let deleted = media::delete(world, name).await?;
    if let Some(key) = deleted.left {
        keep::discard(world, &key).await;
    }
    Ok(deleted.was_there)
}
