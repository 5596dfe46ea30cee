//! Which thumbnail is shown, and is it made already? ([thumbnails](https://spec.matrix.org/v1.19/client-server-api/#thumbnails))
//!
//! There are five sizes, so what strangers ask for makes no more than five objects of a picture. They lie in R2 beside
//! the content, under its key, and go with it.

use bytes::Bytes;
use tombolo_platform::World;

use super::{
    failures::Unread,
    open::served,
    picture::{self, Format, MAX_SOURCE, Method, Shape, Shown, Unshowable},
    room::{Purpose, Room},
};
use crate::{flows::ours::Ours, stores::media};

const fn crop(side: u32) -> Shape {
    Shape { width: side, height: side, method: Method::Crop }
}

const fn scale(width: u32, height: u32) -> Shape {
    Shape { width, height, method: Method::Scale }
}

/// The sizes that the specification recommends, from small to large.
const SHAPES: [Shape; 5] = [crop(32), crop(96), scale(320, 240), scale(640, 480), scale(800, 600)];
/// The largest of them.
const LARGEST: Shape = scale(800, 600);

/// The largest thumbnail, in bytes: 800 by 600 pixels that cannot be compressed are smaller.
const MAX_THUMBNAIL: usize = 4 << 20;

/// What a client would like to see.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub width: u32,
    pub height: u32,
    pub method: Method,
}

/// What it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thumbnail {
    /// A smaller picture, and the key under which it is kept.
    Made(Format, Bytes, String),
    /// The content itself.
    Content(Format),
}

/// The keys of all thumbnails of a content.
pub fn keys(content: &str) -> impl Iterator<Item = String> {
    SHAPES.iter().map(move |shape| key(content, *shape))
}

fn key(content: &str, shape: Shape) -> String {
    let method = match shape.method {
        Method::Crop => "crop",
        Method::Scale => "scale",
    };
    format!("{content}/{}x{}-{method}", shape.width, shape.height)
}

/// A thumbnail of a content of this size (bytes).
pub async fn thumbnail(
    world: &World,
    (content, size): (&str, u64),
    is_ours: bool,
    wanted: Wanted,
) -> Result<Thumbnail, Unread> {
    let fitting = fitting(wanted);
    if fitting.is_none() {
        let format = format(world, content, size).await?;
        if !format.may_move() {
            return Ok(Thumbnail::Content(format));
        }
    }
    // What may move is never shown as it is: the largest size has to do.
    let shape = fitting.unwrap_or(LARGEST);
    let key = key(content, shape);
    if let Some(made) = world.r2().get(&key, None).await.map_err(Ours::from)? {
        let bytes = made.whole(MAX_THUMBNAIL).await.map_err(unread)?;
        let format = Format::of(&bytes).ok_or(Unread::NoPicture)?;
        return Ok(Thumbnail::Made(format, bytes, key));
    }
    let shown = make(world, (content, size), shape).await.map_err(|unread| match unread {
        Unread::TooLarge => Unread::NoThumbnail { is_ours },
        unread => unread,
    })?;
    match shown {
        Some(bytes) => {
            let format = Format::of(&bytes).ok_or(Unread::NoPicture)?;
            keep(world, content, (&key, bytes.clone())).await;
            Ok(Thumbnail::Made(format, bytes, key))
        }
        None => Ok(Thumbnail::Content(format(world, content, size).await?)),
    }
}

/// Keeps a thumbnail. Where it cannot be kept, it is made again.
async fn keep(world: &World, content: &str, (key, bytes): (&str, Bytes)) {
    if let Err(error) = world.r2().put(key, bytes.into()).await {
        tracing::warn!(%error, "a thumbnail is not kept");
    }
    // The content may have been removed while this was made: nobody would remove the thumbnail.
    let is_kept = media::is_kept(world, content).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "whether its content is there is not known");
        false
    });
    if !is_kept && let Err(error) = world.r2().delete(&[key.to_owned()]).await {
        tracing::warn!(%error, "a thumbnail is left over");
    }
}

/// The smallest size that is not smaller than what is wanted. Of a size that is cropped otherwise than wanted, one side
/// may be half as long as the other.
fn fitting(wanted: Wanted) -> Option<Shape> {
    let enough = |shape: &Shape| shape.width >= wanted.width && shape.height >= wanted.height;
    let twice = Wanted {
        width: wanted.width.saturating_mul(2),
        height: wanted.height.saturating_mul(2),
        ..wanted
    };
    let twice = |shape: &Shape| shape.width >= twice.width && shape.height >= twice.height;
    match wanted.method {
        Method::Crop => SHAPES.iter().copied().find(|shape| match shape.method {
            Method::Crop => enough(shape),
            Method::Scale => twice(shape),
        }),
        Method::Scale => {
            SHAPES.iter().copied().find(|shape| shape.method == Method::Scale && enough(shape))
        }
    }
}

/// The format of a content, by its first bytes.
async fn format(world: &World, content: &str, size: u64) -> Result<Format, Unread> {
    const FIRST: u64 = 16;
    let first = served(world, content, Some((0, size.min(FIRST)))).await?;
    let first = first.whole(FIRST as usize).await.map_err(unread)?;
    Format::of(&first).ok_or(Unread::NoPicture)
}

/// Makes a thumbnail; `None` if the content is as small.
async fn make(
    world: &World,
    (content, size): (&str, u64),
    shape: Shape,
) -> Result<Option<Bytes>, Unread> {
    // What is no picture is not read.
    format(world, content, size).await?;
    let bytes = usize::try_from(size).ok().filter(|bytes| *bytes <= MAX_SOURCE);
    let _room = Room::of(world, Purpose::Thumbnail, bytes.ok_or(Unread::TooLarge)?).await;
    let file = served(world, content, None).await?;
    let file = file.whole(MAX_SOURCE).await.map_err(unread)?;
    match picture::thumbnail(&file, shape) {
        Ok(Shown::Made(bytes)) => Ok(Some(bytes.into())),
        Ok(Shown::AsItIs) => Ok(None),
        Err(Unshowable::Unreadable) => Err(Unread::NoPicture),
        Err(Unshowable::TooLarge) => Err(Unread::TooLarge),
    }
}

fn unread(unread: tombolo_platform::Unread) -> Unread {
    Ours::Unreachable(unread.to_string()).into()
}
