//! What are others shown of the keys of our users?
//!
//! D1 has a copy of it, so that a question about a hundred users is one statement and not a hundred questions to
//! objects. The copy is renewed before anybody is told of a change (`telling`), so whoever asks because they were told
//! finds it. A Worker remembers what it has read, and D1 gives only what is newer.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use futures_util::{StreamExt, TryStreamExt, stream};
use ruma::{OwnedUserId, UserId};
use tombolo_platform::World;

use super::{AT_ONCE, failed};
use crate::{
    flows::ours::Ours,
    objects::{
        keys_object,
        user_keys::messages::{CopyOfKeys, KeysToCopy, UserKeysShown},
    },
    stores::{
        accounts,
        shown_keys::{self, Copied},
    },
};

/// How much the isolate remembers, in bytes of JSON.
const MOST_REMEMBERED: usize = 8 << 20;

/// What the isolate remembers of users, by their localparts.
#[derive(Default)]
struct Cache {
    known: BTreeMap<String, Known>,
    bytes: usize,
}

struct Known {
    version: i64,
    shown: Rc<UserKeysShown>,
    bytes: usize,
}

impl Cache {
    /// Remembers what is shown of a user. What would be too much is forgotten first.
    fn put(&mut self, localpart: String, known: Known) {
        let before = self.known.remove(&localpart).map_or(0, |known| known.bytes);
        self.bytes = self.bytes - before + known.bytes;
        if self.bytes > MOST_REMEMBERED {
            self.bytes = known.bytes;
            self.known.clear();
        }
        self.known.insert(localpart, known);
    }
}

/// What others are shown of these users of ours. Who is not there is left out.
pub async fn of(
    world: &World,
    users: Vec<OwnedUserId>,
) -> Result<Vec<(OwnedUserId, Rc<UserKeysShown>)>, Ours> {
    let cache = world.isolate(|_| RefCell::<Cache>::default());
    let version =
        |user: &OwnedUserId| cache.borrow().known.get(user.localpart()).map(|known| known.version);
    let known: Vec<_> = users.iter().map(|user| (user.localpart(), version(user))).collect();
    let copied = shown_keys::find(world, &known).await?.into_iter();
    let mut copied: BTreeMap<String, Copied> =
        copied.map(|copied| (copied.localpart.clone(), copied)).collect();
    let (mut found, mut asked) = (Vec::new(), Vec::new());
    for user in users {
        let copied = copied.remove(user.localpart());
        match copied.and_then(|copied| read(&cache, copied)) {
            Some(shown) => found.push((user, shown)),
            None => asked.push(user),
        }
    }
    found.extend(ask_all(world, asked).await?);
    Ok(found)
}

/// What a copy shows; `None`: its object has to be asked.
fn read(cache: &RefCell<Cache>, copied: Copied) -> Option<Rc<UserKeysShown>> {
    let Copied { localpart, version, shown } = copied;
    let Some(text) = shown else {
        let cache = cache.borrow();
        let known = cache.known.get(&localpart).filter(|known| known.version == version);
        return known.map(|known| Rc::clone(&known.shown));
    };
    let shown: Rc<UserKeysShown> = match serde_json::from_str(&text) {
        Ok(shown) => Rc::new(shown),
        Err(error) => {
            tracing::warn!(localpart, %error, "a copy of a user's keys cannot be read");
            return None;
        }
    };
    let known = Known { version, shown: Rc::clone(&shown), bytes: text.len() };
    cache.borrow_mut().put(localpart, known);
    Some(shown)
}

/// Asks the objects of users of whom there is no copy that can be read, and makes one.
async fn ask_all(
    world: &World,
    users: Vec<OwnedUserId>,
) -> Result<Vec<(OwnedUserId, Rc<UserKeysShown>)>, Ours> {
    let names: Vec<&str> = users.iter().map(|user| user.localpart()).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let existing = accounts::existing(world, &names).await?;
    let users = users.into_iter().filter(|user| existing.contains(user.localpart()));
    let asked = stream::iter(users).map(|user| async move {
        let copy = ask(world, &user).await?;
        if let Err(error) = save(world, &user, &copy).await {
            tracing::info!(%user, %error, "a user's keys are not copied");
        }
        Ok::<_, Ours>((user, Rc::new(copy.shown)))
    });
    asked.buffer_unordered(AT_ONCE).try_collect().await
}

/// Makes the copy of a user's keys that of the newest version.
pub async fn renew(world: &World, user: &UserId) -> Result<(), Ours> {
    save(world, user, &ask(world, user).await?).await
}

async fn ask(world: &World, user: &UserId) -> Result<CopyOfKeys, Ours> {
    world.ask(&keys_object(user), &KeysToCopy {}).await.map_err(failed)
}

async fn save(world: &World, user: &UserId, copy: &CopyOfKeys) -> Result<(), Ours> {
    let shown = serde_json::to_string(&copy.shown)?;
    Ok(shown_keys::save(world, user.localpart(), (copy.version, &shown)).await?)
}
