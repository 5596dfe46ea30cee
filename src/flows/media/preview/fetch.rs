//! How is a page fetched, and its image?
//!
//! A page and each of its images take room in the isolate's memory before they are asked for, so nobody sends what nobody
//! takes. What turns out to be an image itself takes room before it is read.

use std::{cell::Cell, time::Duration};

use futures_util::stream;
use http::header;
use tombolo_platform::{Body, World};
use url::Url;

use super::{
    Preview, Unpreviewed,
    askers::{Askers, Place, What},
    charset,
    image::{self, Image},
    page::{self, Metadata},
};
use crate::{
    config::Config,
    flows::{
        media::{
            failures::Unkept,
            keep,
            room::{LATER, Purpose, Room},
        },
        ours::Ours,
    },
    remote::{
        RemoteError,
        pages::{self, Ask, Unopened},
    },
};

/// How much of a page is read, in bytes.
pub const PAGE: usize = 1 << 20;
/// How many of a page's images are asked for.
const MOST_IMAGES: usize = 2;
/// Who had to wait for longer had too little time for the page (ms).
const LONG: u64 = 1_000;
/// A user's image is read: how often it is looked whether it is there, and how long after its time it counts as ended (ms).
const LOOK: u64 = 50;
const STALE: u64 = 3_000;

/// Pages, and the images of which thumbnails can be made.
const ANYTHING: &str =
    "text/html,application/xhtml+xml,image/webp,image/png,image/jpeg,image/gif,*/*;q=0.1";
const IMAGES: &str = "image/webp,image/png,image/jpeg,image/gif,image/*;q=0.1";

/// What came of a fetch.
#[derive(Debug)]
pub struct Fetched {
    pub preview: Preview,
    /// Why an image is missing that may be there another time.
    pub missing: Option<Unpreviewed>,
}

/// Who fetches something.
pub struct Fetch<'a> {
    pub world: &'a World,
    pub asker: &'a str,
    pub language: &'a str,
    /// Until when others may send (ms).
    pub until: u64,
    /// How long was waited for what is ours (ms).
    pub waited: Cell<u64>,
}

impl Fetch<'_> {
    /// Fetches what is at a URL.
    pub async fn preview(&self, url: Url) -> Result<Fetched, Unpreviewed> {
        let room = self.room(Purpose::Page, PAGE).await?;
        let (url, content_type, body) = self.open(url, ANYTHING).await?;
        if is_of(&content_type, &["text/html", "application/xhtml+xml"]) {
            let metadata = self.metadata(&content_type, body).await?;
            drop(room);
            return self.of_page(&url, metadata).await;
        }
        drop(room);
        if !is_image(&content_type) {
            return Ok(Fetched { preview: Preview::new(), missing: None });
        }
        let _room = self.image_room().await?;
        let image = self.keep(body).await?;
        Ok(Fetched { preview: of_image(self.world, image.as_ref())?, missing: None })
    }

    /// Reads what a page says of itself, as far as it has come in time.
    pub async fn metadata(
        &self,
        content_type: &[u8],
        mut body: Body,
    ) -> Result<Metadata, Unpreviewed> {
        let (mut bytes, broken) = image::beginning(&mut body, PAGE).await;
        // What has come may say all that there is to say.
        if let Some(broken) = broken.filter(|_| bytes.is_empty()) {
            return Err(self.failed(broken.to_string()));
        }
        bytes.truncate(PAGE);
        Ok(page::read(&charset::text(bytes, content_type)))
    }

    async fn of_page(&self, url: &Url, metadata: Metadata) -> Result<Fetched, Unpreviewed> {
        let (properties, links) = metadata.linked(url);
        let mut preview: Preview =
            properties.into_iter().map(|(name, value)| (name, value.into())).collect();
        let (mut image, mut missing) = (None, None);
        for (place, link) in links.into_iter().take(MOST_IMAGES).enumerate() {
            if place > 0 {
                // It describes the first.
                preview.remove(page::IMAGE_ALT);
            }
            image = match self.image(link).await {
                Ok(image) => image,
                Err(Unpreviewed::Ours(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::debug!(%error, "an image of a page is not shown");
                    missing = Some(error);
                    None
                }
            };
            if image.is_some() || !missing.as_ref().is_none_or(Unpreviewed::is_of_the_page) {
                break;
            }
        }
        if image.is_none() {
            preview.remove(page::IMAGE_ALT);
        }
        preview.extend(of_image(self.world, image.as_ref())?);
        Ok(Fetched { preview, missing: missing.filter(|_| image.is_none()) })
    }

    async fn image(&self, url: Url) -> Result<Option<Image>, Unpreviewed> {
        let _room = self.image_room().await?;
        let (_, content_type, body) = self.open(url, IMAGES).await?;
        let may_be = is_image(&content_type) || is_unsaid(&content_type);
        if may_be { self.keep(body).await } else { Ok(None) }
    }

    async fn keep(&self, body: Body) -> Result<Option<Image>, Unpreviewed> {
        let image = image::keep(self.world, self.counted(body)).await;
        image.map_err(|unkept| match unkept {
            Unkept::Ours(error) => error.into(),
            Unkept::TooLarge(_) => Unpreviewed::Unreachable(unkept.to_string()),
            unkept => self.failed(unkept.to_string()),
        })
    }

    /// A body whose bytes count against the budget of who asks as they are read: they cost the same where no image comes
    /// of them.
    fn counted(&self, body: Body) -> Body {
        let announced = body.announced();
        let coming = (self.world.clone(), self.asker.to_owned(), body);
        let chunks = stream::unfold(coming, async |(world, asker, mut body)| {
            let chunk = body.next().await?;
            if let Ok(bytes) = &chunk {
                let askers = world.isolate(|_| Askers::default());
                askers.spend(&asker, bytes.len() as u64, world.now());
            }
            Some((chunk, (world, asker, body)))
        });
        Body::stream(chunks).announcing(announced)
    }

    /// Room for an image, if more are read for who asks, and when no other is.
    pub async fn image_room(&self) -> Result<(Place, Room), Unpreviewed> {
        self.unspent()?;
        let room = self.patiently(async {
            let place = self.place().await;
            let room = Room::of(self.world, Purpose::Image, image::MOST).await?;
            Some((place, room))
        });
        let room = room.await?;
        self.unspent()?;
        Ok(room)
    }

    fn unspent(&self) -> Result<(), Unpreviewed> {
        let askers = self.world.isolate(|_| Askers::default());
        let wait = askers.spent(self.asker, self.world.now());
        wait.map_or(Ok(()), |wait| Err(Unpreviewed::Spent(wait)))
    }

    /// Waits until no other image is read for who asks.
    async fn place(&self) -> Place {
        let askers = self.world.isolate(|_| Askers::default());
        let stale = self.until.saturating_add(STALE);
        loop {
            let place = askers.begin(What::Image, self.asker, self.world.now(), stale);
            if let Some(place) = place {
                return place;
            }
            self.world.sleep(Duration::from_millis(LOOK)).await;
        }
    }

    /// Room for what comes.
    pub async fn room(&self, purpose: Purpose, bytes: usize) -> Result<Room, Unpreviewed> {
        self.patiently(Room::of(self.world, purpose, bytes)).await
    }

    /// Waits for what is ours. Half of the time is left for what comes.
    async fn patiently<T>(&self, ours: impl Future<Output = Option<T>>) -> Result<T, Unpreviewed> {
        let began = self.world.now();
        let patience = self.until.saturating_sub(began) / 2;
        let ours = keep::within(self.world, patience, ours).await.flatten();
        let waited = self.world.now().saturating_sub(began);
        self.waited.set(self.waited.get().saturating_add(waited));
        ours.ok_or(Unpreviewed::Busy(LATER))
    }

    /// Asks for what is at a URL: where that is in the end, its type, and what it is.
    async fn open(
        &self,
        url: Url,
        accept: &'static str,
    ) -> Result<(Url, Vec<u8>, Body), Unpreviewed> {
        let (language, until) = (self.language, self.until);
        let time = until.saturating_sub(self.world.now());
        let opened = pages::open(self.world, url, Ask { accept, language, until });
        let opened = keep::within(self.world, time, opened).await;
        let opened = opened.ok_or_else(|| self.failed("it does not answer in time".to_owned()))?;
        let (url, response) = opened.map_err(|unopened| match unopened {
            Unopened::Blocked => Unpreviewed::Blocked,
            Unopened::Remote(RemoteError::Unasked(why)) => Unpreviewed::Unasked(why),
            Unopened::Remote(error) => self.failed(error.to_string()),
        })?;
        if !response.status().is_success() {
            let why = format!("it answers {}", response.status());
            return Err(Unpreviewed::Unreachable(why));
        }
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.map(|value| value.as_bytes().to_vec()).unwrap_or_default();
        Ok((url, content_type, response.into_body()))
    }

    /// Whose doing it is that nothing came.
    fn failed(&self, why: String) -> Unpreviewed {
        if self.waited.get() > LONG {
            return Unpreviewed::Unasked(why);
        }
        Unpreviewed::Unreachable(why)
    }
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

/// Whether a server says nothing of what something is, as stores of files do of what was put there. What begins like an
/// image is one.
fn is_unsaid(content_type: &[u8]) -> bool {
    is_of(content_type, &["", "application/octet-stream", "binary/octet-stream"])
}
