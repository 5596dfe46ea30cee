//! What does the room do with events of another server?
//!
//! Each event is judged as soon as everything it builds on is held. One that builds on unknown events is parked:
//! unknown to the graph, no forward extremity, not answered to others, until the flow that received it has fetched what
//! it lacks.

use std::collections::BTreeMap;

use ruma::{EventId, OwnedEventId, OwnedServerName};
use tombolo_protocol::{admission::Checked, event::Pdu};

use crate::{
    objects::room::{
        Result, Room,
        arrival::parked::Parking,
        graph::{
            events::Verdict,
            insertion::Source,
            judgement::{Judged, Judgement, outcome},
        },
        messages::{Connect, Lack, Outcome, Purpose, Receive, Received, Unknown},
        row::Life,
    },
    shell::Stop,
};

/// Judges events that came from another server.
pub fn receive(room: &mut Room<'_>, message: Receive) -> Result<Received> {
    let row = room.row()?;
    if row.life != Life::Live {
        return room.receive_while_away(message);
    }
    if !room.allows(&message.origin)? {
        let refused = Outcome::Dropped("the server is banned from the room".to_owned());
        let outcomes =
            message.events.into_iter().map(|event| (event.event_id, refused.clone())).collect();
        return Ok(Received { outcomes, ..Received::default() });
    }
    let mut batch = room.batch(message.origin, message.purpose)?;
    batch.helps = message.again.first().cloned();
    let mut waiting = BTreeMap::new();
    for event in message.events {
        match event.pdu(row.version) {
            Ok(pdu) => room.take_up(&mut batch, event, pdu, &mut waiting)?,
            Err(fault) => {
                batch.outcomes.push((event.event_id, Outcome::Dropped(fault.to_string())));
            }
        }
    }
    for id in message.again {
        room.take_up_again(&mut batch, id, &mut waiting)?;
    }
    room.judge_all(&mut batch, waiting)?;
    room.received(batch)
}

/// Lets in a parked event whose parents nobody has, with the state another server gave for it.
pub fn connect(room: &mut Room<'_>, message: Connect) -> Result<Received> {
    let row = room.live()?;
    let mut batch = room.batch(message.origin, Purpose::Gap)?;
    let mut waiting = BTreeMap::new();
    if let Some((_, event)) = room.parked(&message.event_id)?
        && batch.known
    {
        let pdu = event.pdu(row.version).map_err(|fault| Stop::broken(fault.to_string()))?;
        if let Some(before) = room.received_state(&pdu, &message.state, &message.missing)?
            && let Judgement::Judged(judged) = room.judge_at(&pdu, before)?
        {
            let (sn, _) = room.insert(&pdu, &judged, Source::default())?;
            room.note_gap(sn)?;
            batch.outcomes.push((pdu.event_id.clone(), outcome(&judged)));
            room.release(&batch, &pdu.event_id, &mut waiting)?;
        }
    }
    room.judge_all(&mut batch, waiting)?;
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
    if message.but_unverified { room.without_unverified(&unknown) } else { Ok(unknown) }
}

/// A batch of incoming events, and what became of those that were judged.
struct Batch {
    origin: OwnedServerName,
    purpose: Purpose,
    /// Whether the origin is or was in the room.
    known: bool,
    /// The parked event for which these were fetched.
    helps: Option<OwnedEventId>,
    outcomes: Vec<(OwnedEventId, Outcome)>,
    lacking: Vec<Lack>,
}

/// An event that is to be judged once everything it builds on is held.
struct Waiting {
    event: Checked,
    pdu: Pdu,
    is_parked: bool,
    /// Whether the reply says what the event lacks.
    concerns: bool,
    lack: Option<Lack>,
}

impl Room<'_> {
    /// Takes events of a room we are not in. While a join is under way they are parked; else an event only counts if it
    /// ends an invite.
    fn receive_while_away(&mut self, message: Receive) -> Result<Received> {
        let joining = self.is_being_joined()?;
        self.ask_to_be_let_in(&message)?;
        if !joining {
            self.tell_that_we_left(&message)?;
        }
        let mut outcomes = Vec::new();
        for event in message.events {
            // Who is in the room is not known yet: nobody is taken for a stranger.
            let parking = Parking { origin: &message.origin, known: true, lack: None, helps: None };
            let outcome = if joining && self.park(&event, &parking)? {
                Outcome::Parked
            } else if self.rescind(&event, &message.origin)? {
                Outcome::Accepted
            } else {
                Outcome::Dropped("no user of ours is in the room".to_owned())
            };
            outcomes.push((event.event_id, outcome));
        }
        Ok(Received { outcomes, ..Received::default() })
    }

    fn batch(&mut self, origin: OwnedServerName, purpose: Purpose) -> Result<Batch> {
        let known = self.is_or_was_here(&origin)?;
        if known {
            self.hear(&origin);
        }
        let (outcomes, lacking) = (Vec::new(), Vec::new());
        Ok(Batch { origin, purpose, known, helps: None, outcomes, lacking })
    }

    fn received(&mut self, batch: Batch) -> Result<Received> {
        let (extremities, min_depth) = (self.extremity_ids()?, self.row()?.floor);
        let Batch { outcomes, lacking, known, .. } = batch;
        Ok(Received { outcomes, lacking, extremities, min_depth, stranger: !known })
    }

    /// Queues an event for judgement, unless it is held or is history.
    fn take_up(
        &mut self,
        batch: &mut Batch,
        event: Checked,
        pdu: Pdu,
        waiting: &mut BTreeMap<OwnedEventId, Waiting>,
    ) -> Result<()> {
        let id = pdu.event_id.clone();
        if batch.purpose == Purpose::Gap && pdu.depth < self.row()?.floor {
            batch.outcomes.push((id, Outcome::Dropped("it is history".to_owned())));
            return Ok(());
        }
        let completed = self.complete(&event)?;
        let done = self.find(&id)?.is_some_and(|held| {
            let placed = held.before.is_some();
            let rejected = held.verdict == Verdict::Rejected;
            // An event that was rejected without its content is judged again with it.
            placed || !(completed && rejected) && (rejected || batch.purpose == Purpose::Outlier)
        });
        if done {
            batch.outcomes.push((id, Outcome::Known));
        } else {
            let fresh = Waiting { event, pdu, is_parked: false, concerns: true, lack: None };
            waiting.insert(id, fresh);
        }
        Ok(())
    }

    /// Queues a parked event, to be judged again.
    fn take_up_again(
        &mut self,
        batch: &mut Batch,
        id: OwnedEventId,
        waiting: &mut BTreeMap<OwnedEventId, Waiting>,
    ) -> Result<()> {
        if waiting.contains_key(&id) {
            return Ok(());
        }
        let Some((_, event)) = self.parked(&id)? else {
            // Another request let it in, or it was forgotten.
            batch.outcomes.push((id, Outcome::Known));
            return Ok(());
        };
        self.wait_again(event, true, waiting)
    }

    /// Queues the parked events that lacked this one, which is parked no more.
    fn release(
        &mut self,
        batch: &Batch,
        id: &EventId,
        waiting: &mut BTreeMap<OwnedEventId, Waiting>,
    ) -> Result<()> {
        self.forget_parked(id)?;
        for (origin, event) in self.parked_for(id)? {
            self.wait_again(event, origin == batch.origin, waiting)?;
        }
        Ok(())
    }

    fn wait_again(
        &mut self,
        event: Checked,
        concerns: bool,
        waiting: &mut BTreeMap<OwnedEventId, Waiting>,
    ) -> Result<()> {
        let version = self.row()?.version;
        let pdu = event.pdu(version).map_err(|fault| Stop::broken(fault.to_string()))?;
        let again = Waiting { event, pdu, is_parked: true, concerns, lack: None };
        waiting.entry(again.event.event_id.clone()).or_insert(again);
        Ok(())
    }

    /// Judges events until none of the rest can be judged, and parks the rest.
    fn judge_all(
        &mut self,
        batch: &mut Batch,
        mut waiting: BTreeMap<OwnedEventId, Waiting>,
    ) -> Result<()> {
        while self.judge_ready(batch, &mut waiting)? {}
        for (id, Waiting { event, pdu, is_parked, concerns, lack }) in waiting {
            let Some(lack) = lack else { continue };
            if !is_parked {
                let known = batch.known || self.is_or_was_here(pdu.sender.server_name())?;
                let (origin, helps) = (&*batch.origin, batch.helps.as_deref());
                let parking = Parking { origin, known, lack: Some(&lack), helps };
                let is_parked = batch.purpose != Purpose::Outlier && self.park(&event, &parking)?;
                if !is_parked {
                    let reason = "what it builds on is unknown".to_owned();
                    batch.outcomes.push((id, Outcome::Dropped(reason)));
                    continue;
                }
                batch.outcomes.push((id, Outcome::Parked));
            }
            batch.lacking.extend(concerns.then_some(lack));
        }
        Ok(())
    }

    /// Judges each waiting event once; answers whether any came in.
    fn judge_ready(
        &mut self,
        batch: &mut Batch,
        waiting: &mut BTreeMap<OwnedEventId, Waiting>,
    ) -> Result<bool> {
        let mut ready: Vec<(u64, OwnedEventId)> =
            waiting.iter().map(|(id, waiting)| (waiting.pdu.depth, id.clone())).collect();
        ready.sort_unstable();
        let mut progress = false;
        for (_, id) in ready {
            let Some(held) = waiting.remove(&id) else { continue };
            let judgement = match batch.purpose {
                Purpose::Outlier => self.judge_outlier(&held.pdu)?,
                _ => self.judge(&held.pdu)?,
            };
            match judgement {
                Judgement::Lacking { prev_events, auth_events } => {
                    let lack = Some(Lack { event_id: id.clone(), prev_events, auth_events });
                    waiting.insert(id, Waiting { lack, ..held });
                }
                Judgement::Dropped(reason) => {
                    self.forget_parked(&id)?;
                    batch.outcomes.push((id, Outcome::Dropped(reason)));
                }
                Judgement::Judged(judged) => {
                    progress |= self.keep(batch, &held.pdu, &judged, waiting)?;
                }
            }
        }
        Ok(progress)
    }

    /// Lets a judged event in; answers whether it came in. A rejected event has a place in the graph only where a
    /// server that is or was in the room vouches for it: otherwise anyone who knows the room's ID could fill the graph.
    fn keep(
        &mut self,
        batch: &mut Batch,
        pdu: &Pdu,
        judged: &Judged,
        waiting: &mut BTreeMap<OwnedEventId, Waiting>,
    ) -> Result<bool> {
        let id = pdu.event_id.clone();
        if judged.verdict == Verdict::Rejected
            && !batch.known
            && !self.is_or_was_here(pdu.sender.server_name())?
        {
            self.forget_parked(&id)?;
            let reason = judged.reason.clone().unwrap_or_default();
            batch.outcomes.push((id, Outcome::Dropped(reason)));
            return Ok(false);
        }
        self.insert(pdu, judged, Source::default())?;
        // Each event on a fork has all extremities resolved: a server that makes many forks would make us slow.
        self.merge_extremities()?;
        if batch.purpose != Purpose::Outlier {
            self.release(batch, &id, waiting)?;
        } else if judged.verdict == Verdict::Rejected {
            // An allowed outlier stays parked: it still waits for its place.
            self.forget_parked(&id)?;
        }
        batch.outcomes.push((id, outcome(judged)));
        Ok(true)
    }
}
