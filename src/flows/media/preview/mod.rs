//! What is shown of a URL in a message? ([URL previews](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediapreview_url))
//!
//! The server asks the page in the client's place, so the page learns nothing of who reads the message. Whoever writes a
//! message decides where it asks, so nothing is believed: each hop's address is looked at (`remote::pages`), all of it
//! has ten seconds, and of a page only its first megabyte is read ([`page`]). An image is kept as media of ours
//! ([`image`]). A preview is kept for an hour, for all who ask in the same language ([`cache`]): so an older preview
//! than that is not there to be given, whatever time a client prefers.

mod askers;
mod cache;
mod charset;
mod entities;
mod fetch;
mod image;
mod markup;
mod page;
#[cfg(test)]
mod tests;
mod windows_1252;

use std::{cell::Cell, collections::BTreeMap};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::UserId;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tombolo_platform::World;

use self::fetch::Fetch;
use super::{keep, room::LATER};
use crate::{flows::ours::Ours, remote::pages};

/// How long everything may take, and how much of that is left for us when others have sent (ms).
const TIME: u64 = 10_000;
const OURS: u64 = 1_000;
/// The longest language that is asked for, in bytes.
const LONGEST_LANGUAGE: usize = 35;
/// The language that is asked for where the client names none.
const LANGUAGE: &str = "en";

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
    /// That is not the page's doing.
    #[error("The page cannot be asked: {0}")]
    Unasked(String),
    /// So much is read or written now that this would have to wait for long, and when to try again (ms).
    #[error("Too many pages are read at once")]
    Busy(u64),
    /// How long it takes until images are read again for who asks (ms).
    #[error("Too many images were shown to you")]
    Spent(u64),
    #[error(transparent)]
    Ours(#[from] Ours),
}

impl Unpreviewed {
    /// Whether the page, or where it leads, is the reason, and no doing of ours.
    fn is_of_the_page(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Blocked)
    }
}

/// What is shown of a URL to a user whose client prefers these languages (`Accept-Language`).
pub async fn preview(
    world: &World,
    user: &UserId,
    url: &str,
    languages: Option<&str>,
) -> Result<Preview, Unpreviewed> {
    let url = pages::web(url).ok_or(Unpreviewed::Malformed)?;
    let language = languages.and_then(first_language).unwrap_or(LANGUAGE);
    let hash = Sha256::new().chain_update(language).chain_update(" ").chain_update(url.as_str());
    let key = format!("preview:{}", URL_SAFE_NO_PAD.encode(hash.finalize()));
    let (asker, until) = (user.localpart(), world.now().saturating_add(TIME - OURS));
    let fetch = async |waited: u64| {
        let fetch = Fetch { world, asker, language, until, waited: Cell::new(waited) };
        fetch.preview(url).await
    };
    let cached = keep::within(world, TIME, cache::cached(world, key, asker, fetch)).await;
    cached.unwrap_or(Err(Unpreviewed::Busy(LATER)))
}

/// The language that a client names first. Were all of them passed on, hardly two clients would ask the same.
fn first_language(languages: &str) -> Option<&str> {
    let first = languages.split([',', ';']).next()?.trim();
    let fits = (1..=LONGEST_LANGUAGE).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    fits.then_some(first)
}
