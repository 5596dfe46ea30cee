//! How are media found, and their content read?

use std::time::Duration;

use ruma::ServerName;
use tombolo_platform::{Body, World};

use super::failures::Unread;
use crate::{
    config::Config,
    flows::ours::Ours,
    stores::media::{self, Media, Name},
};

/// How often it is looked whether what was created has been uploaded (ms).
const LOOK: u64 = 1_000;
/// Media are noted as read once in so long (ms).
pub const TOUCH: u64 = 86_400_000;

/// What is here of media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The media, and the key of their content.
    Here(Box<Media>, String),
    /// Another server's, which would have to be fetched.
    Elsewhere,
}

/// Finds media. What was created and not uploaded yet is waited for, at most so long (ms).
pub async fn find(
    world: &World,
    server: &ServerName,
    media_id: &str,
    patience: u64,
) -> Result<Found, Unread> {
    let config = Config::of(world).map_err(Ours::from)?;
    let name = Name { server: server.as_str(), media_id };
    let until = world.now().saturating_add(patience);
    loop {
        let found = media::find(world, name).await.map_err(Ours::from)?;
        let Some(mut media) = found else {
            let is_ours = *server == config.server_name;
            return if is_ours { Err(Unread::NotFound) } else { Ok(Found::Elsewhere) };
        };
        if media.quarantined {
            return Err(Unread::NotFound);
        }
        if let Some(content) = media.content.take() {
            return Ok(Found::Here(Box::new(media), content));
        }
        let now = world.now();
        if media.expires_ts.is_some_and(|expires| expires <= now) {
            return Err(Unread::NotFound);
        }
        if now >= until {
            return Err(Unread::NotUploaded);
        }
        world.sleep(Duration::from_millis(LOOK.min(until - now))).await;
    }
}

/// Reads a content, or some bytes of it: from the first number on and before the second.
pub async fn served(
    world: &World,
    content: &str,
    range: Option<(u64, u64)>,
) -> Result<Body, Unread> {
    // R2 gives no range of nothing.
    if range.is_some_and(|(from, to)| from >= to) {
        return Ok(Body::default());
    }
    let body = world.r2().get(content, range).await.map_err(Ours::from)?;
    // It was removed since its name was read.
    body.ok_or(Unread::NotFound)
}

/// Notes that media were read, after the response was sent.
pub fn touch(world: &World, server: &ServerName, media_id: &str, media: &Media) {
    if media.localpart.is_some() || media.accessed_ts + TOUCH > world.now() {
        return;
    }
    let (inner, server, media_id) = (world.clone(), server.to_owned(), media_id.to_owned());
    world.later(async move {
        let name = Name { server: server.as_str(), media_id: &media_id };
        // Where this fails, the next who reads it tries again.
        media::touch(&inner, name).await.ok();
    });
}
