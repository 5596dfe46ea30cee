//! What does the room do with events of another server?
//!
//! Each is judged as soon as everything it builds on is held. One that builds on unknown events is parked: unknown to
//! the graph, no tip, not answered to others, until the flow that received it has fetched what it lacks.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedEventId, OwnedServerName};
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::{admission::Checked, event::Pdu};

use super::{
    Connect, Lack, Life, Outcome, Position, Purpose, Receive, Received, Refusal, Result, Room, Sn,
    Unknown, Unpark,
    insert::Source,
    judge::{Judged, Judgement},
    state::Overlay,
    timeline::{Before, Entry, Standing},
};
use crate::objects::Stop;

/// The most events a room parks; beyond, new ones are dropped and may come again.
const MAX_PARKED: i64 = 1000;

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
        return Ok(Received { outcomes, lacking: Vec::new(), tips: Vec::new() });
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
    if batch.purpose == Purpose::Backfill {
        room.backfilled(&mut batch, pdus)?;
    } else {
        room.take(&mut batch, pdus)?;
    }
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
        room.note_hole(sn, &pdu)?;
        room.forget_parked(&pdu.event_id)?;
        batch.outcomes.push((pdu.event_id.clone(), outcome(&judged)));
        room.take(&mut batch, Vec::new())?;
    }
    room.received(batch)
}

/// Forgets a parked event.
pub fn unpark(room: &mut Room<'_>, message: Unpark) -> Result<()> {
    room.head()?;
    room.forget_parked(&message.event_id)
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
        Ok(Received { outcomes, lacking: Vec::new(), tips: Vec::new() })
    }

    fn store_parked(
        &mut self,
        id: &OwnedEventId,
        origin: &OwnedServerName,
        json: &str,
    ) -> Result<()> {
        let insert = "INSERT INTO parked (id, origin, since, json) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
        self.sql.run(insert, values![id.as_str(), origin.as_str(), self.moment.now, json])?;
        Ok(())
    }

    fn received(&mut self, batch: Batch) -> Result<Received> {
        let tips = self.head()?.tips;
        let tips = tips
            .into_iter()
            .map(|sn| Ok(self.event(sn)?.pdu.event_id.clone()))
            .collect::<Result<_>>()?;
        Ok(Received { outcomes: batch.outcomes, lacking: batch.lacking, tips })
    }

    /// Takes events in until none of the rest can be judged, those parked earlier included.
    fn take(&mut self, batch: &mut Batch, pdus: Vec<Pdu>) -> Result<()> {
        let mut waiting: BTreeMap<OwnedEventId, Pdu> = BTreeMap::new();
        for pdu in pdus {
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

    fn may_park(&mut self) -> Result<bool> {
        let count =
            self.sql.row("SELECT count(*) FROM parked", values![], |row| row.int(0))?.unwrap_or(0);
        Ok(count < MAX_PARKED)
    }

    /// Every parked event, with the server it came from.
    pub fn all_parked(&mut self) -> Result<Vec<(OwnedServerName, Checked)>> {
        let rows = self.sql.rows("SELECT origin, id, json FROM parked", values![], |row| {
            Ok((row.text(0)?, row.text(1)?, row.text(2)?))
        })?;
        rows.into_iter().map(|(origin, id, json)| parked_event(origin, id, json)).collect()
    }

    fn parked(&mut self, id: &OwnedEventId) -> Result<Option<(OwnedServerName, Checked)>> {
        let query = "SELECT origin, id, json FROM parked WHERE id = ?";
        let row = self.sql.row(query, values![id.as_str()], |row| {
            Ok((row.text(0)?, row.text(1)?, row.text(2)?))
        })?;
        row.map(|(origin, id, json)| parked_event(origin, id, json)).transpose()
    }

    pub fn forget_parked(&mut self, id: &OwnedEventId) -> Result<()> {
        self.sql.run("DELETE FROM parked WHERE id = ?", values![id.as_str()])?;
        Ok(())
    }

    /// The state that another server gave, as an overlay of the mainline now. What was rejected is left out.
    fn given_state(&mut self, state: &[OwnedEventId]) -> Result<Before> {
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

    /// Notes which parents of an event we do not hold.
    pub fn note_hole(&mut self, child: Sn, pdu: &Pdu) -> Result<()> {
        let mut missing = Vec::new();
        for id in &pdu.prev_events {
            // One that was refused is held, though no place in the timeline shows it.
            if self.find(id)?.is_none_or(|event| event.before.is_none()) {
                missing.push(id.clone());
            }
        }
        if missing.is_empty() {
            self.sql.run("DELETE FROM holes WHERE child = ?", values![child])?;
            return Ok(());
        }
        let insert = "INSERT INTO holes (child, missing) VALUES (?, ?) ON CONFLICT DO UPDATE SET missing = excluded.missing";
        self.sql.run(insert, values![child, &serde_json::to_string(&missing)?])?;
        Ok(())
    }

    /// Puts history below the hole it fills: newest first, each right below its child.
    fn backfilled(&mut self, batch: &mut Batch, mut pdus: Vec<Pdu>) -> Result<()> {
        pdus.sort_by(|a, b| (b.depth, &b.event_id).cmp(&(a.depth, &a.event_id)));
        for pdu in pdus {
            if self.find(&pdu.event_id)?.is_some_and(|held| held.pos.is_some()) {
                batch.outcomes.push((pdu.event_id, Outcome::Known));
                continue;
            }
            let Some(children) = self.children_missing(&pdu.event_id)? else {
                batch
                    .outcomes
                    .push((pdu.event_id, Outcome::Dropped("no hole waits for it".to_owned())));
                continue;
            };
            match self.judge_outlier(&pdu)? {
                Judgement::Judged(judged) => {
                    self.fill(&pdu, judged, &children)?;
                    batch.outcomes.push((pdu.event_id, Outcome::Accepted));
                }
                Judgement::Dropped(reason) => {
                    batch.outcomes.push((pdu.event_id, Outcome::Dropped(reason)))
                }
                Judgement::Lacking { prev_events, auth_events } => {
                    batch.lacking.push(Lack { event_id: pdu.event_id, prev_events, auth_events });
                }
            }
        }
        Ok(())
    }

    /// The events that wait for this one as their parent, lowest first.
    fn children_missing(&mut self, id: &OwnedEventId) -> Result<Option<Vec<Sn>>> {
        let query =
            "SELECT h.child FROM holes h JOIN events e ON e.sn = h.child, json_each(h.missing) m
                     WHERE m.value = ? ORDER BY e.pos";
        let children = self.sql.rows(query, values![id.as_str()], |row| row.int(0))?;
        Ok((!children.is_empty()).then_some(children))
    }

    fn fill(&mut self, pdu: &Pdu, judged: Judged, children: &[Sn]) -> Result<()> {
        let lowest = self.event(children[0])?;
        let standing =
            if judged.standing == Standing::Outlier { Standing::Accepted } else { judged.standing };
        let pos = if standing == Standing::Accepted {
            Some(self.free_below(lowest.pos.unwrap_or_default())?)
        } else {
            None
        };
        let entry = Entry {
            pdu,
            pos,
            standing,
            reason: judged.reason.as_deref(),
            auth: &judged.auth,
            prev: &judged.prev,
            before: lowest.before,
            ours: false,
            for_server: None,
            transaction: None,
        };
        let sn = match self.find(&pdu.event_id)? {
            Some(held) => {
                self.place(held.sn, &entry)?;
                held.sn
            }
            None => self.add(&entry)?,
        };
        self.note_hole(sn, pdu)?;
        for child in children {
            let child = self.event(*child)?;
            self.note_hole(child.sn, &child.pdu)?;
        }
        self.redact_late(sn)
    }

    /// The highest free position below an event.
    fn free_below(&mut self, pos: Position) -> Result<Position> {
        let query = "SELECT max(pos) FROM events WHERE pos < ?";
        let below =
            self.sql.row(query, values![pos], |row| row.int_or_null(0))?.flatten().unwrap_or(0);
        if pos - 1 <= below {
            return Err(Stop::Refused(Refusal::Invalid("the gap is full".to_owned())));
        }
        Ok(pos - 1)
    }
}

fn parked_event(origin: String, id: String, json: String) -> Result<(OwnedServerName, Checked)> {
    let broken = || Stop::broken("a parked event cannot be read");
    let event_id = id.try_into().map_err(|_| broken())?;
    Ok((
        origin.try_into().map_err(|_| broken())?,
        Checked { event_id, json: RawValue::from_string(json)? },
    ))
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
