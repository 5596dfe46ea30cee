//! What are others shown of the keys of our users?
//!
//! D1 has a copy of it, so that a question about a hundred users is one statement and not a hundred questions to
//! objects. The copy is renewed before one of our users is told of a change (`telling`), so whoever asks because they were
//! told finds it. A Worker remembers what it has read, and D1 gives only what is newer.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use futures_util::{StreamExt, TryStreamExt, stream};
use ruma::{OwnedUserId, UserId};
use tombolo_platform::World;

use super::{AT_ONCE, FEW, existing, failed};
use crate::{
    flows::ours::Ours,
    objects::{
        keys_object,
        user_keys::messages::{QueryKeys, UserKeysShown},
    },
    stores::shown_keys::{self, Copied},
};

/// How much the isolate remembers, in bytes of JSON.
const MOST_REMEMBERED: usize = 8 << 20;
/// How many copies one question makes; of others the next ones do.
const MOST_SAVED: usize = 100;

/// What the isolate remembers of users, by their localparts.
#[derive(Default)]
struct Cache {
    known: BTreeMap<String, Known>,
    bytes: usize,
}

/// What is shown of a user.
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
    let copied = match shown_keys::find(world, &known).await {
        Ok(copied) => copied,
        // Few are asked without D1.
        Err(error) if users.len() <= FEW => {
            tracing::info!(%error, "the copies of users' keys are not read");
            return ask_all(world, &cache, users.into_iter().map(|user| (user, None))).await;
        }
        Err(error) => return Err(error.into()),
    };
    let mut copied: BTreeMap<String, Copied> =
        copied.into_iter().map(|copied| (copied.localpart.clone(), copied)).collect();
    let (mut found, mut asked, mut unknown) = (Vec::new(), Vec::new(), BTreeMap::new());
    for user in users {
        let Some(copied) = copied.remove(user.localpart()) else {
            unknown.insert(user, ());
            continue;
        };
        let version = copied.version;
        match read(&cache, copied) {
            Some(shown) => found.push((user, shown)),
            None => asked.push((user, Some(version))),
        }
    }
    asked.extend(existing(world, unknown).await?.into_keys().map(|user| (user, None)));
    found.extend(ask_all(world, &cache, asked).await?);
    Ok(found)
}

/// What a copy shows; `None`: its object has to be asked.
fn read(cache: &RefCell<Cache>, copied: Copied) -> Option<Rc<UserKeysShown>> {
    let Copied { localpart, version, shown } = copied;
    if let Some(known) = cache.borrow().known.get(&localpart)
        && known.version >= version
    {
        return Some(Rc::clone(&known.shown));
    }
    let text = shown?;
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

/// Asks the objects of users of whom there is no copy that can be read, and copies those that D1 has not in this
/// version.
async fn ask_all(
    world: &World,
    cache: &RefCell<Cache>,
    users: impl IntoIterator<Item = (OwnedUserId, Option<i64>)>,
) -> Result<Vec<(OwnedUserId, Rc<UserKeysShown>)>, Ours> {
    let asked = stream::iter(users).map(|(user, copied)| async move {
        let shown = Rc::new(ask(world, &user).await?);
        Ok::<_, Ours>((user, copied, shown))
    });
    let answers: Vec<_> = asked.buffer_unordered(AT_ONCE).try_collect().await?;
    let (mut found, mut copies) = (Vec::new(), Vec::new());
    for (user, copied, shown) in answers {
        // An object of the build before says no version.
        if let Some(version) = shown.version {
            let text = serde_json::to_string(&*shown)?;
            let known = Known { version, shown: Rc::clone(&shown), bytes: text.len() };
            cache.borrow_mut().put(user.localpart().to_owned(), known);
            if copied < Some(version) && copies.len() < MOST_SAVED {
                copies.push((user.clone(), version, text));
            }
        }
        found.push((user, shown));
    }
    let copies: Vec<_> =
        copies.iter().map(|(user, version, text)| (user.localpart(), *version, &**text)).collect();
    if let Err(error) = shown_keys::save(world, &copies).await {
        tracing::info!(%error, "users' keys are not copied");
    }
    Ok(found)
}

/// Makes the copy of a user's keys that of the newest version.
pub async fn renew(world: &World, user: &UserId) -> Result<(), Ours> {
    let shown = ask(world, user).await?;
    let unsaid = || Ours::Unreachable("the object is of the build before".to_owned());
    let (version, text) = (shown.version.ok_or_else(unsaid)?, serde_json::to_string(&shown)?);
    Ok(shown_keys::save(world, &[(user.localpart(), version, &text)]).await?)
}

async fn ask(world: &World, user: &UserId) -> Result<UserKeysShown, Ours> {
    let query = QueryKeys { devices: Vec::new(), own: false };
    world.ask(&keys_object(user), &query).await.map_err(failed)
}
