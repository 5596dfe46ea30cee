//! What does the room do with events of another server?
//!
//! Each is judged as soon as everything it builds on is held. One that builds on unknown events is parked: unknown to
//! the graph, no tip, not answered to others, until the flow that received it has fetched what it lacks.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedEventId, OwnedServerName};
use tombolo_protocol::event::Pdu;

use super::{
    Connect, Lack, Life, Outcome, Purpose, Receive, Received, Result, Room, Unknown,
    insert::Source,
    judge::{Judged, Judgement},
    state::Overlay,
    timeline::{Before, Standing},
};
use crate::objects::Stop;

/// Judges events that came from another server.
pub fn receive(room: &mut Room<'_>, message: Receive) -> Result<Received> {
    let head = room.head()?;
    if head.life != Life::Live {
        return room.receive_while_away(message);
    }
    if !room.allows(&message.origin)? {
        let refused = Outcome::Dropped("the server is banned from the room".to_owned());
        let outcomes =
            message.events.into_iter().map(|event| (event.event_id, refused.clone())).collect();
        return Ok(Received { outcomes, lacking: Vec::new(), tips: Vec::new(), min_depth: 0 });
    }
    let mut batch = Batch {
        origin: message.origin,
        purpose: message.purpose,
        outcomes: Vec::new(),
        lacking: Vec::new(),
    };
    let mut pdus = Vec::new();
    for event in &message.events {
        match event.pdu(head.version) {
            Ok(pdu) => pdus.push(pdu),
            Err(fault) => {
                batch.outcomes.push((event.event_id.clone(), Outcome::Dropped(fault.to_string())))
            }
        }
    }
    room.take(&mut batch, pdus)?;
    room.received(batch)
}

/// Lets in a parked event whose parents nobody has, with the state another server gave for it.
pub fn connect(room: &mut Room<'_>, message: Connect) -> Result<Received> {
    room.live()?;
    let mut batch = Batch {
        origin: message.origin,
        purpose: Purpose::Gap,
        outcomes: Vec::new(),
        lacking: Vec::new(),
    };
    let Some((_, event)) = room.parked(&message.event_id)? else { return room.received(batch) };
    let version = room.head()?.version;
    let pdu = event.pdu(version).map_err(|fault| Stop::broken(fault.to_string()))?;
    let before = room.given_state(&message.state)?;
    if let Judgement::Judged(judged) = room.judge_at(&pdu, before)? {
        let (sn, _) = room.insert(&pdu, &judged, Source::default())?;
        room.note_hole(sn)?;
        room.forget_parked(&pdu.event_id)?;
        batch.outcomes.push((pdu.event_id.clone(), outcome(&judged)));
        room.take(&mut batch, Vec::new())?;
    }
    room.received(batch)
}

/// Which of these events are not held.
pub fn unknown(room: &mut Room<'_>, message: Unknown) -> Result<Vec<OwnedEventId>> {
    room.graph()?;
    let mut unknown = Vec::new();
    for id in message.event_ids {
        if room.find(&id)?.is_none() {
            unknown.push(id);
        }
    }
    Ok(unknown)
}

/// Events on their way in, and what became of those before them.
struct Batch {
    origin: OwnedServerName,
    purpose: Purpose,
    outcomes: Vec<(OwnedEventId, Outcome)>,
    lacking: Vec<Lack>,
}

impl Room<'_> {
    /// Events of a room we are not in: kept while a join is under way, and the end of an invite.
    fn receive_while_away(&mut self, message: Receive) -> Result<Received> {
        let joining = self.joining()?.is_some_and(|joining| joining.until > self.moment.now);
        let mut outcomes = Vec::new();
        for event in message.events {
            let outcome = if joining && self.may_park()? {
                self.store_parked(&event.event_id, &message.origin, event.json.get())?;
                Outcome::Parked
            } else if self.rescind(&event, &message.origin)? {
                Outcome::Accepted
            } else {
                Outcome::Dropped("no user of ours is in the room".to_owned())
            };
            outcomes.push((event.event_id, outcome));
        }
        Ok(Received { outcomes, lacking: Vec::new(), tips: Vec::new(), min_depth: 0 })
    }

    fn received(&mut self, batch: Batch) -> Result<Received> {
        let tips = self.tip_ids()?;
        let min_depth = self.head()?.floor;
        Ok(Received { outcomes: batch.outcomes, lacking: batch.lacking, tips, min_depth })
    }

    /// Takes events in until none of the rest can be judged, those parked earlier included.
    fn take(&mut self, batch: &mut Batch, pdus: Vec<Pdu>) -> Result<()> {
        let mut waiting: BTreeMap<OwnedEventId, Pdu> = BTreeMap::new();
        let floor = self.head()?.floor;
        for pdu in pdus {
            if batch.purpose == Purpose::Gap && pdu.depth < floor {
                batch.outcomes.push((pdu.event_id, Outcome::Dropped("it is history".to_owned())));
                continue;
            }
            match self.find(&pdu.event_id)? {
                Some(held)
                    if batch.purpose == Purpose::Outlier
                        || held.before.is_some()
                        || held.standing == Standing::Rejected =>
                {
                    batch.outcomes.push((pdu.event_id.clone(), Outcome::Known));
                }
                _ => {
                    waiting.insert(pdu.event_id.clone(), pdu);
                }
            }
        }
        let fresh: BTreeSet<OwnedEventId> = waiting.keys().cloned().collect();
        if batch.purpose != Purpose::Outlier {
            for (_, event) in self.all_parked()? {
                let version = self.head()?.version;
                if let Ok(pdu) = event.pdu(version) {
                    waiting.entry(pdu.event_id.clone()).or_insert(pdu);
                }
            }
        }
        while self.take_some(batch, &mut waiting)? {}
        self.park(batch, waiting, &fresh)
    }

    /// One pass over what waits; answers whether anything came in.
    fn take_some(
        &mut self,
        batch: &mut Batch,
        waiting: &mut BTreeMap<OwnedEventId, Pdu>,
    ) -> Result<bool> {
        let mut ready: Vec<(u64, OwnedEventId)> =
            waiting.values().map(|pdu| (pdu.depth, pdu.event_id.clone())).collect();
        ready.sort_unstable();
        let mut progress = false;
        for (_, id) in ready {
            let Some(pdu) = waiting.remove(&id) else { continue };
            let judgement = match batch.purpose {
                Purpose::Outlier => self.judge_outlier(&pdu)?,
                _ => self.judge(&pdu)?,
            };
            match judgement {
                Judgement::Lacking { .. } => {
                    waiting.insert(id, pdu);
                }
                Judgement::Dropped(reason) => batch.outcomes.push((id, Outcome::Dropped(reason))),
                Judgement::Judged(judged) => {
                    progress = true;
                    self.insert(&pdu, &judged, Source::default())?;
                    self.forget_parked(&id)?;
                    batch.outcomes.push((id, outcome(&judged)));
                }
            }
        }
        Ok(progress)
    }

    /// Parks what could not be judged, and says what it lacks.
    fn park(
        &mut self,
        batch: &mut Batch,
        waiting: BTreeMap<OwnedEventId, Pdu>,
        fresh: &BTreeSet<OwnedEventId>,
    ) -> Result<()> {
        for (id, pdu) in waiting {
            let judgement = if batch.purpose == Purpose::Outlier {
                self.judge_outlier(&pdu)?
            } else {
                self.judge(&pdu)?
            };
            let Judgement::Lacking { prev_events, auth_events } = judgement else { continue };
            batch.lacking.push(Lack { event_id: id.clone(), prev_events, auth_events });
            if !fresh.contains(&id) {
                continue;
            }
            if batch.purpose == Purpose::Outlier || !self.may_park()? {
                batch
                    .outcomes
                    .push((id, Outcome::Dropped("what it builds on is unknown".to_owned())));
                continue;
            }
            self.store_parked(&id, &batch.origin, &pdu.json)?;
            batch.outcomes.push((id, Outcome::Parked));
        }
        Ok(())
    }

    /// The state that another server gave, as an overlay of the mainline now. What was rejected is left out.
    pub fn given_state(&mut self, state: &[OwnedEventId]) -> Result<Before> {
        let at = self.head()?.pos;
        let mut given = BTreeMap::new();
        for id in state {
            let Some(event) = self.find(id)? else { continue };
            let Some((kind, key)) =
                event.pdu.key().filter(|_| event.standing != Standing::Rejected)
            else {
                continue;
            };
            given.insert((kind.to_owned(), key.to_owned()), event.sn);
        }
        let base = Before { at, fork: None };
        let mut overlay: Overlay = self
            .whole(base)?
            .into_keys()
            .filter(|key| !given.contains_key(key))
            .map(|key| (key, None))
            .collect();
        for (key, sn) in given {
            if self.mainline(at, &key.0, &key.1)? != Some(sn) {
                overlay.insert(key, Some(sn));
            }
        }
        self.fork(base, overlay)
    }
}

/// What became of a judged event, for whom it concerns.
pub fn outcome(judged: &Judged) -> Outcome {
    let reason = judged.reason.clone().unwrap_or_default();
    match judged.standing {
        Standing::Accepted | Standing::Outlier => Outcome::Accepted,
        Standing::SoftFailed => Outcome::SoftFailed(reason),
        Standing::Rejected => Outcome::Rejected(reason),
    }
}
