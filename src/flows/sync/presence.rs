//! What does a client learn of the presence of others?
//! ([presence](https://spec.matrix.org/v1.19/client-server-api/#presence))
//!
//! The user's object says what it heard since the client's token. D1's copy is asked by who has no token, by who was
//! away for longer than the object remembers, now and then for who went silent, and of whoever newly shares a room with
//! the user. Where it does not answer, nobody waits with their news for it: the client's token goes on saying that it
//! does not know.

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
        user_sync::messages::{
            ASKS_EVERY, Presence, PresencePoll, PresenceState, Pulled, PulledPresence,
        },
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
    /// From when on D1 is still to be asked (ms), if it is: it did not answer.
    pub lacks: Option<u64>,
    /// Whether the user's object was asked for this request before: what the client says counts once.
    pub asked: bool,
}

/// What a client is shown of presence, up to when it knows it then (ms), and from when on D1 is still to be asked.
#[derive(Debug, Default)]
pub struct PresenceUpdate {
    pub presences: Vec<Presence>,
    pub next: Option<u64>,
    pub lacks: Option<u64>,
}

impl Polling {
    /// Goes on after an answer that is not given to the client.
    pub(super) fn go_on(&mut self, update: &PresenceUpdate) {
        (self.since, self.lacks, self.asked) = (update.next, update.lacks, true);
    }
}

/// What the user's object is told and asked, where presence is on.
pub(super) fn poll(request: &Request, until: u64, watched: bool) -> Option<PresencePoll> {
    let polling = request.presence.as_ref()?;
    Some(PresencePoll { says: polling.says, until, since: polling.since, watched })
}

/// Whether the user's object was asked for this request before.
pub(super) fn goes_on(request: &Request) -> bool {
    request.presence.as_ref().is_some_and(|polling| polling.asked)
}

/// Tells others what a poll has changed. It counts as told: whatever becomes of the rest of the request must not keep it.
pub(super) fn tell(world: &World, pulled: &mut Pulled) {
    if let Some(told) = pulled.presence.as_mut().and_then(|polled| polled.tell.take()) {
        presence::tell_meanwhile(world, told);
    }
}

/// Adds to the updates of a client what it is shown of presence. A limit of the filter is not kept to, as at Synapse, but
/// for that of 0: what it cuts off would never be told.
pub(super) async fn add(
    world: &World,
    user: &UserId,
    request: &Request,
    (pulled, ignored): (Option<PulledPresence>, &BTreeSet<OwnedUserId>),
    updates: &mut Updates,
) {
    let (Some(polled), Some(polling)) = (pulled, &request.presence) else { return };
    (updates.presence.next, updates.presence.lacks) = (Some(polled.next), polling.lacks);
    let filter = &request.filter.presence;
    if !filter.passes_type("m.presence") || filter.limit == Some(0) {
        return;
    }
    let now = world.now();
    let mut shown: BTreeMap<OwnedUserId, Presence> = BTreeMap::new();
    // What D1 did not say before keeps no other news waiting.
    if !polled.whole || polling.lacks.is_some() && updates.are_none() {
        let since = polling.lacks.or(polling.since);
        let around = in_time(world, around(world, user, since, &polled.heard)).await;
        // Who began goes on as one who comes again, who has to know of everybody.
        updates.presence.lacks = around.is_none().then_some(since.unwrap_or_default());
        shown.extend(around.into_iter().flatten().map(|stored| of(stored, now)));
    }
    if request.since.is_some() && !updates.device_lists.changed.is_empty() {
        // The devices of who is only invited are known, but not whether they are online.
        let came = presences::sharing(world, user, &updates.device_lists.changed);
        let came = in_time(world, came).await;
        if came.is_none() {
            // Who they are is not said again: everybody is asked for.
            updates.presence.lacks = Some(0);
        }
        shown.extend(came.into_iter().flatten().map(|stored| of(stored, now)));
    }
    for presence in polled.heard {
        // Of what is not new, D1 was told before this user was; it knows what was told again, and who still shares a room.
        let is_newer = match shown.get(&presence.user) {
            Some(held) => held.told_ts <= presence.told_ts,
            None => polled.whole || presence.user == user,
        };
        if is_newer && (polled.whole || presence.told_ts.saturating_add(STALE) > now) {
            shown.insert(presence.user.clone(), presence);
        }
    }
    let passing = shown
        .into_values()
        .filter(|presence| !ignored.contains(&presence.user) && passes(filter, &presence.user));
    updates.presence.presences = passing.collect();
}

/// What D1 knows: who begins has to know who is there; who comes again, also who is there no more, and who went silent
/// meanwhile. What was heard is among it, however late it was.
async fn around(
    world: &World,
    user: &UserId,
    since: Option<u64>,
    heard: &[Presence],
) -> Result<Vec<Stored>, SqlError> {
    let silent = world.now().saturating_sub(STALE);
    let Some(since) = since else {
        return presences::around(world, user, (silent, None), false).await;
    };
    let told = heard.iter().map(|presence| presence.told_ts.saturating_sub(1));
    let after = told.fold(since.saturating_sub(MARGIN), u64::min);
    let mut around = presences::around(world, user, (after, None), true).await?;
    let were_there = (since.saturating_sub(ASKS_EVERY + STALE), Some(silent.min(after)));
    around.extend(presences::around(world, user, were_there, false).await?);
    Ok(around)
}

fn of(stored: Stored, now: u64) -> (OwnedUserId, Presence) {
    (stored.user.clone(), presence::read(stored, now))
}

/// Whether the presence of a user passes a filter.
fn passes(filter: &EventFilter, user: &OwnedUserId) -> bool {
    filter.senders.as_ref().is_none_or(|senders| senders.contains(user))
        && !filter.not_senders.contains(user)
}

/// What D1 answers in time; `None`: it did not.
async fn in_time<T>(world: &World, asking: impl Future<Output = Result<T, SqlError>>) -> Option<T> {
    match select(Box::pin(asking), Box::pin(world.sleep(PATIENCE))).await {
        Either::Left((Ok(found), _)) => return Some(found),
        Either::Left((Err(error), _)) => {
            tracing::warn!(%error, "D1 does not say who is online");
        }
        Either::Right(_) => tracing::warn!("D1 takes long to say who is online"),
    }
    None
}
