//! What does a client learn of the presence of others?
//! ([presence](https://spec.matrix.org/v1.19/client-server-api/#presence))
//!
//! The user's object says what it heard since the client's token. D1's copy is asked by who has no token, by who was
//! away for longer than the object remembers, and of whoever newly shares a room with the user. Where it does not
//! answer, the client learns of the next changes: nobody waits with their news for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::{Either, select};
use ruma::{OwnedUserId, UserId};
use tombolo_platform::{SqlError, World};

use super::{Request, Updates};
use crate::{
    flows::presence,
    objects::{
        room::messages::EventFilter,
        user_sync::messages::{Presence, PresencePoll, PresenceState, PulledPresence},
    },
    stores::presences::{self, STALE, Stored},
};

/// How long D1 may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// By how much the clocks of two objects may differ, and how long D1's copy may take (ms).
const MARGIN: u64 = 15_000;

/// What a client says of its user, and up to when it knows the presence of others (ms).
#[derive(Debug, Default)]
pub struct Polling {
    pub says: Option<PresenceState>,
    pub since: Option<u64>,
}

/// What a client is shown of presence, and up to when it knows it then (ms).
#[derive(Debug, Default)]
pub struct PresenceUpdate {
    pub presences: Vec<Presence>,
    pub next: Option<u64>,
}

/// What the user's object is told and asked, where presence is on.
pub(super) fn poll(request: &Request, until: u64, watched: bool) -> Option<PresencePoll> {
    let polling = request.presence.as_ref()?;
    Some(PresencePoll { says: polling.says, until, since: polling.since, watched })
}

/// Adds to the updates of a client what it is shown of presence, and tells others what its poll has changed.
pub(super) async fn add(
    world: &World,
    user: &UserId,
    request: &Request,
    (pulled, ignored): (Option<PulledPresence>, &BTreeSet<OwnedUserId>),
    updates: &mut Updates,
) {
    let Some(PulledPresence { heard, next, whole, tell }) = pulled else { return };
    if let Some(tell) = tell {
        presence::tell_meanwhile(world, tell);
    }
    updates.presence.next = Some(next);
    let filter = &request.filter.presence;
    if !filter.passes_type("m.presence") {
        return;
    }
    let (now, since) = (world.now(), request.presence.as_ref().and_then(|polling| polling.since));
    let mut shown: BTreeMap<OwnedUserId, Presence> = BTreeMap::new();
    if !whole {
        let after = match since {
            // Who begins has to know who is there; who comes again, also who is there no more.
            None => (now.saturating_sub(STALE), false),
            Some(since) => (since.saturating_sub(MARGIN), true),
        };
        let around = in_time(world, presences::around(world, user, after)).await;
        shown.extend(around.into_iter().map(|stored| of(stored, now)));
    }
    if request.since.is_some() && !updates.device_lists.changed.is_empty() {
        // The devices of who is only invited are known, but not whether they are online.
        let came = presences::sharing(world, user, &updates.device_lists.changed);
        let came = in_time(world, came).await;
        shown.extend(came.into_iter().map(|stored| of(stored, now)));
    }
    for presence in heard {
        let told_ts = presence.told_ts;
        let is_newer = shown.get(&presence.user).is_none_or(|held| held.told_ts <= told_ts);
        // D1 has what was told again since.
        if is_newer && (whole || told_ts.saturating_add(STALE) > now) {
            shown.insert(presence.user.clone(), presence);
        }
    }
    let passing = shown
        .into_values()
        .filter(|presence| !ignored.contains(&presence.user) && passes(filter, &presence.user));
    let limit = filter.limit.map_or(usize::MAX, |limit| limit as usize);
    updates.presence.presences = passing.take(limit).collect();
}

fn of(stored: Stored, now: u64) -> (OwnedUserId, Presence) {
    (stored.user.clone(), presence::read(stored, now))
}

/// Whether the presence of a user passes a filter.
fn passes(filter: &EventFilter, user: &OwnedUserId) -> bool {
    filter.senders.as_ref().is_none_or(|senders| senders.contains(user))
        && !filter.not_senders.contains(user)
}

/// What D1 answers in time.
async fn in_time<T: Default>(
    world: &World,
    asking: impl Future<Output = Result<T, SqlError>>,
) -> T {
    match select(Box::pin(asking), Box::pin(world.sleep(PATIENCE))).await {
        Either::Left((Ok(found), _)) => return found,
        Either::Left((Err(error), _)) => {
            tracing::warn!(%error, "D1 does not say who is online");
        }
        Either::Right(_) => tracing::warn!("D1 takes long to say who is online"),
    }
    T::default()
}
