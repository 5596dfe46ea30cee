//! How does history come in below what we hold?
//!
//! An event whose parents nobody gave us stands above a hole. What fills it is put right below its child, so that a
//! filled gap renumbers nothing.

use ruma::OwnedEventId;
use tombolo_platform::values;
use tombolo_protocol::event::Pdu;

use super::{
    Lack, Outcome, Position, Refusal, Result, Room, Sn,
    judge::{Judged, Judgement},
    receive::Batch,
    timeline::{Entry, Standing},
};
use crate::objects::Stop;

impl Room<'_> {
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
    pub fn backfilled(&mut self, batch: &mut Batch, mut pdus: Vec<Pdu>) -> Result<()> {
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
        self.redact_on(sn)
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
