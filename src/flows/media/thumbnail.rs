//! Which thumbnail is shown, and is it made already? ([thumbnails](https://spec.matrix.org/v1.19/client-server-api/#thumbnails))
//!
//! There are seven sizes, so what strangers ask for makes no more than seven objects of a picture. They lie in R2 beside
//! the content, under its key, and go with it.

use bytes::Bytes;
use tombolo_platform::World;

use super::{
    failures::Unread,
    open::served,
    picture::{self, Format, MAX_SOURCE, Method, Shape, Shown, Unshowable},
    room::{LATER, Purpose, Room},
};
use crate::{flows::ours::Ours, stores::media};

const fn crop(side: u32) -> Shape {
    Shape { width: side, height: side, method: Method::Crop }
}

const fn scale(width: u32, height: u32) -> Shape {
    Shape { width, height, method: Method::Scale }
}

/// The sizes that the specification recommends, and larger ones that are cropped: of each method from small to large.
const SHAPES: [Shape; 7] =
    [crop(32), crop(96), crop(320), crop(640), scale(320, 240), scale(640, 480), scale(800, 600)];

/// The largest thumbnail, in bytes: 800 by 600 pixels that cannot be compressed are smaller.
const MAX_THUMBNAIL: usize = 4 << 20;
/// How many bytes of a content say what it is.
const FIRST: usize = 64 << 10;

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
    /// A picture, and the key under which it is kept: a smaller one, or the content itself.
    Here(Format, Bytes, String),
    /// The content itself, which is not read yet.
    Content(Format),
}

/// Whether a thumbnail is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    There(Thumbnail),
    /// It would have to be made.
    Unmade(Shape),
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

/// Looks for a thumbnail of a content of this size (bytes).
pub async fn find_thumbnail(
    world: &World,
    (content, size): (&str, u64),
    wanted: Wanted,
) -> Result<Looked, Unread> {
    let shape = match fitting(wanted) {
        Some(shape) => shape,
        None => {
            let (format, first) = first(world, content, size).await?;
            if !format.may_move(&first) {
                return Ok(Looked::There(Thumbnail::Content(format)));
            }
            // What may move is never shown as it is: the largest size has to do.
            largest(wanted.method)
        }
    };
    let key = key(content, shape);
    let Some(made) = world.r2().get(&key, None).await.map_err(Ours::from)? else {
        return Ok(Looked::Unmade(shape));
    };
    let bytes = made.whole(MAX_THUMBNAIL).await.map_err(unread)?;
    let format = Format::of(&bytes).ok_or(Unread::NoPicture)?;
    Ok(Looked::There(Thumbnail::Here(format, bytes, key)))
}

/// Makes a thumbnail of a content of this size (bytes). It is kept after it was answered.
pub async fn make_thumbnail(
    world: &World,
    (content, size): (&str, u64),
    shape: Shape,
) -> Result<Thumbnail, Unread> {
    // What is no picture is not read.
    let (format, first) = first(world, content, size).await?;
    let bytes = usize::try_from(size).ok().filter(|bytes| *bytes <= MAX_SOURCE);
    let bytes = bytes.ok_or(Unread::NoThumbnail)?;
    let room = Room::of(world, Purpose::Thumbnail, bytes).await;
    let _room = room.ok_or(Unread::Busy(LATER))?;
    let file = if first.len() == bytes {
        first
    } else {
        let file = served(world, content, None).await?;
        file.whole(MAX_SOURCE).await.map_err(unread)?
    };
    match picture::thumbnail(&file, shape) {
        Ok(Shown::Made(made)) => {
            let (made, key) = (Bytes::from(made), key(content, shape));
            let format = Format::of(&made).ok_or(Unread::NoPicture)?;
            let (inner, content) = (world.clone(), content.to_owned());
            let kept = (key.clone(), made.clone());
            world.later(async move { keep(&inner, &content, kept).await });
            Ok(Thumbnail::Here(format, made, key))
        }
        Ok(Shown::AsItIs) if file.len() <= MAX_THUMBNAIL => {
            Ok(Thumbnail::Here(format, file, content.to_owned()))
        }
        // Nothing so large is held while it is sent.
        Ok(Shown::AsItIs) => Ok(Thumbnail::Content(format)),
        Err(Unshowable::Unreadable) => Err(Unread::NoPicture),
        Err(Unshowable::TooLarge) => Err(Unread::NoThumbnail),
    }
}

/// Keeps a thumbnail. Where it cannot be kept, it is made again.
async fn keep(world: &World, content: &str, (key, bytes): (String, Bytes)) {
    if let Err(error) = world.r2().put(&key, bytes.into()).await {
        tracing::warn!(%error, "a thumbnail is not kept");
    }
    // The content may have been removed while this was made: nobody would remove the thumbnail.
    let is_kept = media::is_kept(world, content).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "whether its content is there is not known");
        false
    });
    if !is_kept && let Err(error) = world.r2().delete(&[key]).await {
        tracing::warn!(%error, "a thumbnail is left over");
    }
}

/// The smallest size that is not smaller than what is wanted.
fn fitting(wanted: Wanted) -> Option<Shape> {
    SHAPES.into_iter().find(|shape| {
        shape.method == wanted.method
            && shape.width >= wanted.width
            && shape.height >= wanted.height
    })
}

fn largest(method: Method) -> Shape {
    match method {
        Method::Crop => crop(640),
        Method::Scale => scale(800, 600),
    }
}

/// The format of a content, and the first bytes that say so: all of them, if they are few.
async fn first(world: &World, content: &str, size: u64) -> Result<(Format, Bytes), Unread> {
    let first = served(world, content, Some((0, size.min(FIRST as u64)))).await?;
    let first = first.whole(FIRST).await.map_err(unread)?;
    Ok((Format::of(&first).ok_or(Unread::NoPicture)?, first))
}

fn unread(unread: tombolo_platform::Unread) -> Unread {
    Ours::Unreachable(unread.to_string()).into()
}
