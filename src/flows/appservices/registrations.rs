//! Which application services are registered? Read from D1, and remembered in the isolate for a moment.
//!
//! Requests and rooms ask this all the time. What is remembered is renewed in the background, so nobody waits for D1; a
//! token that is not known has it read at once, so a service that was just registered is let in.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use ruma::{OwnedUserId, UserId};
use sha2::{Digest, Sha256};
use tombolo_platform::World;
use tombolo_protocol::appservice::{Compiled, Registration, Tokens};

use super::sealed;
use crate::{
    config::Config,
    flows::ours::Ours,
    objects::{
        appservice::messages::{Purge, Retry},
        appservice_object,
    },
    remote::appservices::Place,
    stores::{
        accounts,
        appservices::{self as store, Stored},
    },
};

/// For how long what was read is remembered (ms).
const REMEMBERED: u64 = 10_000;
/// For how long it stands while D1 does not answer (ms): then nobody acts by a token that was taken away since.
const OLDEST: u64 = 60_000;
/// How soon an unknown token has it read again (ms): strangers make tokens up.
const AGAIN: u64 = 1_000;

/// A registered application service.
#[derive(Debug)]
pub struct Appservice {
    pub registration: Registration,
    /// The user that the service is where it names none.
    pub sender: OwnedUserId,
    /// With which we ask the service; none where it cannot be read, as after a change of the server's secret.
    hs_token: Option<String>,
    token_hash: String,
    namespaces: Compiled,
}

/// All application services, by their IDs.
#[derive(Debug, Default)]
pub struct Appservices(Vec<Rc<Appservice>>);

/// What an isolate remembers, and when it was read and last began to be renewed (ms).
#[derive(Default)]
struct Memory {
    read: RefCell<Option<(u64, Rc<Appservices>)>>,
    renewing: Cell<u64>,
    /// When an unknown token last had it read (ms).
    asked: Cell<u64>,
}

/// Why a registration is not stored.
#[derive(Debug, thiserror::Error)]
pub enum Unregistered {
    #[error("{0}")]
    Unusable(String),
    #[error(transparent)]
    Ours(#[from] Ours),
}

/// The application services.
pub async fn appservices(world: &World) -> Result<Rc<Appservices>, Ours> {
    let memory = world.isolate(|_| Memory::default());
    let read = memory.read.borrow().clone();
    let Some((at, known)) = read else { return renewed(world).await };
    if at.saturating_add(OLDEST) <= world.now() {
        return renewed(world).await;
    }
    let due = at.max(memory.renewing.get()).saturating_add(REMEMBERED);
    if due <= world.now() {
        memory.renewing.set(world.now());
        let renewing = world.clone();
        world.later(async move {
            if let Err(error) = renewed(&renewing).await {
                tracing::warn!(%error, "the application services were not read");
            }
        });
    }
    Ok(known)
}

/// The application services as they were a moment ago: whoever has just been registered misses no more than that.
pub async fn recent(world: &World) -> Result<Rc<Appservices>, Ours> {
    let memory = world.isolate(|_| Memory::default());
    let read = memory.read.borrow().clone();
    match read {
        Some((at, known)) if at.saturating_add(REMEMBERED) > world.now() => Ok(known),
        _ => renewed(world).await,
    }
}

/// The application services that are remembered, however old that is.
pub fn remembered(world: &World) -> Option<Rc<Appservices>> {
    let memory = world.isolate(|_| Memory::default());
    let read = memory.read.borrow();
    read.as_ref().map(|(_, known)| Rc::clone(known))
}

/// The application service that has this token.
pub async fn by_token(world: &World, token: &str) -> Result<Option<Rc<Appservice>>, Ours> {
    let hash = hash(token);
    let found = |all: &Appservices| all.0.iter().find(|one| one.token_hash == hash).cloned();
    if let Some(found) = found(&*appservices(world).await?) {
        return Ok(Some(found));
    }
    let memory = world.isolate(|_| Memory::default());
    let at = memory.read.borrow().as_ref().map_or(0, |(at, _)| *at);
    if at.max(memory.asked.get()).saturating_add(AGAIN) > world.now() {
        return Ok(None);
    }
    memory.asked.set(world.now());
    Ok(found(&*renewed(world).await?))
}

/// Stores a registration, in the place of an older one of its ID.
pub async fn register(world: &World, text: &str) -> Result<Registration, Unregistered> {
    let (registration, tokens) =
        Registration::read(text).map_err(|error| Unregistered::Unusable(error.to_string()))?;
    let stored = stored(world, &registration, &tokens)?;
    let appservice = compiled(world, &stored, Some(tokens.hs_token))
        .map_err(|error| Unregistered::Unusable(error.to_string()))?;
    let others = renewed(world).await?;
    let taken = |other: &Rc<Appservice>| {
        other.sender == appservice.sender && other.registration.id != registration.id
    };
    if others.0.iter().any(taken) {
        let sentence = "Another application service has this `sender_localpart`".to_owned();
        return Err(Unregistered::Unusable(sentence));
    }
    let account = accounts::find(world, appservice.sender.localpart()).await.map_err(Ours::from)?;
    if account.is_some_and(|account| account.admin || account.password_hash.is_some()) {
        let sentence = "Somebody has the name in `sender_localpart`".to_owned();
        return Err(Unregistered::Unusable(sentence));
    }
    if !store::put(world, &stored).await.map_err(Ours::from)? {
        let sentence = "Another application service has this `as_token`".to_owned();
        return Err(Unregistered::Unusable(sentence));
    }
    renewed(world).await?;
    // What waits for the service goes where it says now.
    let woken = world.ask(&appservice_object(&registration.id), &Retry {}).await;
    if let Err(error) = woken {
        tracing::warn!(id = registration.id, %error, "an application service waits for its back-off");
    }
    Ok(registration)
}

/// Removes a registration, and what the service is owed; answers whether there was one.
pub async fn remove(world: &World, id: &str) -> Result<bool, Ours> {
    let removed = store::remove(world, id).await?;
    renewed(world).await?;
    let purged = world.ask(&appservice_object(id), &Purge {}).await;
    purged.map_err(|error| Ours::Unreachable(error.to_string()))?;
    Ok(removed)
}

async fn renewed(world: &World) -> Result<Rc<Appservices>, Ours> {
    let at = world.now();
    let rows = store::list(world).await?;
    let read = |stored: &Stored| {
        let hs_token = sealed::open(world, &stored.id, &stored.hs_token);
        if let Err(error) = &hs_token {
            tracing::error!(id = %stored.id, %error, "an application service cannot be asked");
        }
        compiled(world, stored, hs_token.ok()).map(Rc::new)
    };
    let all = Rc::new(Appservices(rows.iter().map(read).collect::<Result<_, _>>()?));
    let memory = world.isolate(|_| Memory::default());
    // One that was begun later and ended before knows more.
    if memory.read.borrow().as_ref().is_none_or(|(newest, _)| *newest <= at) {
        memory.read.replace(Some((at, Rc::clone(&all))));
    }
    Ok(all)
}

fn stored(world: &World, registration: &Registration, tokens: &Tokens) -> Result<Stored, Ours> {
    Ok(Stored {
        id: registration.id.clone(),
        token_hash: hash(&tokens.as_token),
        hs_token: sealed::seal(world, &registration.id, &tokens.hs_token)?,
        registration: serde_json::to_string(registration)?,
    })
}

fn compiled(world: &World, stored: &Stored, hs_token: Option<String>) -> Result<Appservice, Ours> {
    let registration: Registration = serde_json::from_str(&stored.registration)?;
    let server = &Config::of(world)?.server_name;
    let sender = format!("@{}:{server}", registration.sender_localpart);
    Ok(Appservice {
        sender: UserId::parse(sender).map_err(Ours::broken)?,
        namespaces: registration.namespaces.compiled().map_err(Ours::broken)?,
        token_hash: stored.token_hash.clone(),
        registration,
        hs_token,
    })
}

fn hash(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Appservice {
    /// The ID of the service.
    pub fn id(&self) -> &str {
        &self.registration.id
    }

    /// Where the service is asked, if it listens.
    pub fn place(&self) -> Option<Place<'_>> {
        let url = self.registration.url.as_deref()?;
        Some(Place { url, hs_token: self.hs_token.as_deref() })
    }

    /// Whether the service may act as a user, who must be ours, and is concerned with them.
    pub fn has_user(&self, user: &UserId) -> bool {
        let is_ours = user.server_name() == self.sender.server_name();
        is_ours && (*user == self.sender || self.namespaces.users.has(user.as_str()))
    }

    /// Whether nobody but the service may make a user.
    pub fn owns_user(&self, user: &UserId) -> bool {
        let is_ours = user.server_name() == self.sender.server_name();
        is_ours && (*user == self.sender || self.namespaces.users.owns(user.as_str()))
    }

    /// Whether the service may make an alias, and is concerned with the rooms that have it.
    pub fn has_alias(&self, alias: &str) -> bool {
        self.namespaces.aliases.has(alias)
    }

    /// Whether nobody but the service may make an alias.
    pub fn owns_alias(&self, alias: &str) -> bool {
        self.namespaces.aliases.owns(alias)
    }

    /// Whether the service is concerned with a room, whoever is in it.
    pub fn has_room(&self, room_id: &str) -> bool {
        self.namespaces.rooms.has(room_id)
    }
}

impl Appservices {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Appservice>> {
        self.0.iter()
    }

    /// The service of this ID.
    pub fn get(&self, id: &str) -> Option<&Rc<Appservice>> {
        self.0.iter().find(|one| one.registration.id == id)
    }

    /// Whether an alias is of the namespace of a service.
    pub fn has_alias(&self, alias: &str) -> bool {
        self.0.iter().any(|one| one.has_alias(alias))
    }

    /// Whether a user is the sender of a service, who needs no account.
    pub fn has_sender(&self, user: &UserId) -> bool {
        self.0.iter().any(|one| one.sender == *user)
    }

    /// Whether a user may be made only by a service other than this one.
    pub fn owned_by_others(&self, user: &UserId, by: Option<&Appservice>) -> bool {
        self.others(by).any(|one| one.owns_user(user))
    }

    /// Whether an alias may be made only by a service other than this one.
    pub fn alias_owned_by_others(&self, alias: &str, by: Option<&Appservice>) -> bool {
        self.others(by).any(|one| one.owns_alias(alias))
    }

    fn others<'a>(
        &'a self,
        by: Option<&'a Appservice>,
    ) -> impl Iterator<Item = &'a Rc<Appservice>> {
        self.0
            .iter()
            .filter(move |one| by.is_none_or(|by| by.registration.id != one.registration.id))
    }
}
