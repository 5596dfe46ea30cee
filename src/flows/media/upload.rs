//! How do our users upload? ([`/upload`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav3upload),
//! [`/create`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav1create))

use ruma::UserId;
use tombolo_platform::{Body, World};

use super::{cleaning, failures::Unkept, keep};
use crate::{
    config::Config,
    flows::ours::Ours,
    stores::media::{self, Described, Media, Name, Owner},
};

/// How long what was created may be uploaded (ms): as the specification recommends.
const PENDING: u64 = 86_400_000;
/// How many uploads of a user may be pending.
const MOST_PENDING: usize = 5;

/// What a user uploads.
pub struct Upload {
    pub body: Body,
    pub described: Described,
}

/// Keeps what a user uploads; its media ID.
pub async fn upload(world: &World, user: &UserId, upload: Upload) -> Result<String, Unkept> {
    let config = Config::of(world).map_err(Ours::from)?;
    let server = config.server_name.as_str();
    within_quota(world, user, &upload.body).await?;
    let content = keep::write(world, upload.body, config.media.max_upload_size, None).await?;
    let media_id = keep::new_media_id(world);
    let name = Name { server, media_id: &media_id };
    let owner = Owner {
        localpart: Some(user.localpart()),
        quota: config.media.quota,
        authenticated: !config.media.is_open,
    };
    let noted = media::insert(world, name, owner, &content, &upload.described).await;
    let noted = noted.map_err(Ours::from)?;
    cleaning::soon(world);
    if keep::settled(world, &content, noted).await { Ok(media_id) } else { Err(Unkept::Quota) }
}

/// Makes a media ID for what a user uploads later, and until when (ms).
pub async fn create(world: &World, user: &UserId) -> Result<(String, u64), Unkept> {
    let config = Config::of(world).map_err(Ours::from)?;
    let (media_id, now) = (keep::new_media_id(world), world.now());
    let name = Name { server: config.server_name.as_str(), media_id: &media_id };
    let expires = now + PENDING;
    let created = media::create(world, name, user.localpart(), expires, MOST_PENDING).await;
    if created.map_err(Ours::from)? {
        return Ok((media_id, expires));
    }
    let first = media::first_expiry(world, user.localpart()).await.map_err(Ours::from)?;
    Err(Unkept::Pending(first.unwrap_or(now).saturating_sub(now)))
}

/// Keeps what a user uploads under a media ID that was created.
pub async fn upload_to(
    world: &World,
    user: &UserId,
    name: Name<'_>,
    upload: Upload,
) -> Result<(), Unkept> {
    let config = Config::of(world).map_err(Ours::from)?;
    may_complete(world, user, name).await?;
    within_quota(world, user, &upload.body).await?;
    let content = keep::write(world, upload.body, config.media.max_upload_size, None).await?;
    let rules = (config.media.quota, !config.media.is_open);
    let noted = media::complete(world, name, rules, &content, &upload.described).await;
    if keep::settled(world, &content, noted.map_err(Ours::from)?).await {
        return Ok(());
    }
    // Somebody was faster, or it took too long; else it is the quota.
    may_complete(world, user, name).await?;
    Err(Unkept::Quota)
}

async fn may_complete(world: &World, user: &UserId, name: Name<'_>) -> Result<(), Unkept> {
    let config = Config::of(world).map_err(Ours::from)?;
    if name.server != config.server_name.as_str() {
        return Err(Unkept::NotCreated);
    }
    let Some(media) = media::find(world, name).await.map_err(Ours::from)? else {
        return Err(Unkept::NotCreated);
    };
    let Media { localpart, content, expires_ts, quarantined, .. } = media;
    if localpart.as_deref() != Some(user.localpart()) {
        return Err(Unkept::NotYours);
    }
    if content.is_some() {
        return Err(Unkept::Uploaded);
    }
    // Kept under a name that is quarantined, a content would be quarantined for whoever else has it.
    if quarantined || expires_ts.is_some_and(|expires| expires <= world.now()) {
        return Err(Unkept::NotCreated);
    }
    Ok(())
}

/// Refuses what is known to be too much before it is read.
async fn within_quota(world: &World, user: &UserId, body: &Body) -> Result<(), Unkept> {
    let config = Config::of(world).map_err(Ours::from)?;
    let (Some(quota), Some(bytes)) = (config.media.quota, body.announced()) else { return Ok(()) };
    let kept = media::kept_by(world, user.localpart()).await.map_err(Ours::from)?;
    if kept.saturating_add(bytes as u64) > quota { Err(Unkept::Quota) } else { Ok(()) }
}
