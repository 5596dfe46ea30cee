//! What do the rules make of an event?
//!
//! The one judgement, for local and remote events alike ([checks on receipt], steps 4 to 6): against the events it
//! cites, against the state before it, and against the state now.
//!
//! [checks on receipt]: https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu

use std::{collections::BTreeMap, rc::Rc};

use ruma::OwnedEventId;
use tombolo_protocol::{
    event::Pdu,
    event_auth::{auth_types, check_auth_events, check_state},
};

use crate::objects::room::{
    Result, Room, Sn,
    graph::{
        events::{Before, Stored, Verdict},
        state::{After, Overlay},
    },
    messages::Outcome,
};

/// What is known of an event once it was judged.
#[derive(Debug)]
pub struct Judged {
    pub verdict: Verdict,
    /// Why it was rejected or soft-failed.
    pub reason: Option<String>,
    /// Its auth events.
    pub auth: Vec<Sn>,
    /// Those of its parents that we hold; none for an outlier.
    pub prev: Vec<Sn>,
    /// `None` for a linear event: the state before it is the state now. `None`, too, for an outlier.
    pub before: Option<Before>,
}

/// Whether an event could be judged, and how.
#[derive(Debug)]
pub enum Judgement {
    Judged(Judged),
    /// It cannot be judged: these events are not held.
    Lacking {
        prev_events: Vec<OwnedEventId>,
        auth_events: Vec<OwnedEventId>,
    },
    /// It is not of this room, or can have no place in its graph.
    Dropped(String),
}

/// The state an event is judged against.
#[derive(Clone, Copy)]
enum StateAt {
    Now,
    Before(Before),
}

impl Room<'_> {
    /// Judges an event by the events it cites, the state before it and the state now.
    pub fn judge(&mut self, pdu: &Pdu) -> Result<Judgement> {
        let row = self.row()?;
        if pdu.room_id != row.id {
            return Ok(Judgement::Dropped("the event is of another room".to_owned()));
        }
        if pdu.kind() == "m.room.create" {
            return Ok(Judgement::Dropped("the room has a create event".to_owned()));
        }
        if pdu.prev_events.is_empty() {
            return Ok(Judgement::Dropped("only a create event has no parents".to_owned()));
        }
        let (auth, unknown_auth) = self.look_up(&pdu.auth_events, |_| true)?;
        let (prev, unknown_prev) = self.look_up(&pdu.prev_events, Stored::is_parent)?;
        if !unknown_auth.is_empty() || !unknown_prev.is_empty() {
            return Ok(Judgement::Lacking { prev_events: unknown_prev, auth_events: unknown_auth });
        }
        let before = self.before(&prev)?;
        let (verdict, reason) = self.verdict(pdu, &auth, before)?;
        let sns = |events: &[Rc<Stored>]| events.iter().map(|event| event.sn).collect::<Vec<_>>();
        Ok(Judgement::Judged(Judged {
            verdict,
            reason,
            auth: sns(&auth),
            prev: sns(&prev),
            before,
        }))
    }

    /// Judges an event by a given state before it, since its parents are not held.
    pub fn judge_at(&mut self, pdu: &Pdu, before: Before) -> Result<Judgement> {
        let (auth, unknown) = self.look_up(&pdu.auth_events, |_| true)?;
        if !unknown.is_empty() {
            return Ok(Judgement::Lacking { prev_events: Vec::new(), auth_events: unknown });
        }
        let (prev, _) = self.look_up(&pdu.prev_events, Stored::is_parent)?;
        let (verdict, reason) = self.verdict(pdu, &auth, Some(before))?;
        let prev = prev.iter().map(|event| event.sn).collect();
        Ok(Judgement::Judged(Judged {
            verdict,
            reason,
            auth: auth.iter().map(|event| event.sn).collect(),
            prev,
            before: Some(before),
        }))
    }

    /// Judges an event only by the events it cites: its place in the graph is unknown.
    pub fn judge_outlier(&mut self, pdu: &Pdu) -> Result<Judgement> {
        let row = self.row()?;
        if pdu.room_id != row.id {
            return Ok(Judgement::Dropped("the event is of another room".to_owned()));
        }
        let (auth, unknown) = self.look_up(&pdu.auth_events, |_| true)?;
        if !unknown.is_empty() {
            return Ok(Judgement::Lacking { prev_events: Vec::new(), auth_events: unknown });
        }
        let refused = self.refused_by_citations(pdu, &auth)?;
        let verdict = if refused.is_some() { Verdict::Rejected } else { Verdict::Outlier };
        let auth = auth.iter().map(|event| event.sn).collect();
        Ok(Judgement::Judged(Judged {
            verdict,
            reason: refused,
            auth,
            prev: Vec::new(),
            before: None,
        }))
    }

    fn verdict(
        &mut self,
        pdu: &Pdu,
        auth: &[Rc<Stored>],
        before: Option<Before>,
    ) -> Result<(Verdict, Option<String>)> {
        if let Some(reason) = self.refused_by_citations(pdu, auth)? {
            return Ok((Verdict::Rejected, Some(reason)));
        }
        let at = before.map_or(StateAt::Now, StateAt::Before);
        if let Some(reason) = self.refused_by_state(pdu, at)? {
            return Ok((Verdict::Rejected, Some(reason)));
        }
        if before.is_some()
            && let Some(reason) = self.refused_by_state(pdu, StateAt::Now)?
        {
            return Ok((Verdict::SoftFailed, Some(reason)));
        }
        Ok((Verdict::Accepted, None))
    }

    /// Why the cited events forbid the event, if they do: step 4.
    fn refused_by_citations(&mut self, pdu: &Pdu, auth: &[Rc<Stored>]) -> Result<Option<String>> {
        let version = self.row()?.version;
        let mut cited: Vec<Rc<Pdu>> = auth.iter().map(|event| Rc::clone(&event.judged)).collect();
        if version.room_id_is_create_hash()
            && let Some(create) = self.now_event("m.room.create", "")?
        {
            cited.push(Rc::clone(&create.judged));
        }
        Ok(check_auth_events(version, pdu, &cited).err().map(|rejection| rejection.to_string()))
    }

    /// Why a state forbids the event, if it does: the state before is step 5, the state now step 6.
    fn refused_by_state(&mut self, pdu: &Pdu, at: StateAt) -> Result<Option<String>> {
        let version = self.row()?.version;
        let types =
            auth_types(version, pdu.kind(), &pdu.sender, pdu.state_key.as_deref(), &pdu.content);
        let mut keys = match types {
            Ok(keys) => keys,
            Err(reason) => return Ok(Some(reason)),
        };
        keys.push(("m.room.create".to_owned(), String::new()));
        let mut state: BTreeMap<(String, String), Rc<Pdu>> = BTreeMap::new();
        for (kind, key) in keys {
            let sn = match at {
                StateAt::Now => self.now(&kind, &key)?,
                StateAt::Before(before) => self.value(before, &kind, &key)?,
            };
            if let Some(sn) = sn {
                state.insert((kind, key), Rc::clone(&self.event(sn)?.judged));
            }
        }
        let look_up =
            |kind: &str, key: &str| state.get(&(kind.to_owned(), key.to_owned())).cloned();
        Ok(check_state(version, pdu, look_up).err().map(|rejection| rejection.to_string()))
    }

    /// The state before an event with these parents; `None` where they are all the extremities: then it is the state
    /// now.
    fn before(&mut self, parents: &[Rc<Stored>]) -> Result<Option<Before>> {
        let mut sns: Vec<Sn> = parents.iter().map(|event| event.sn).collect();
        sns.sort_unstable();
        sns.dedup();
        let mut extremities = self.row()?.extremities;
        extremities.sort_unstable();
        let states: Vec<After> = parents.iter().filter_map(|event| event.after()).collect();
        let has_gap = self.has_gap_in(&states)?;
        // Where the states lack an unverified event, a fork is made: it can be rewritten when that event comes, the
        // mainline cannot.
        if sns == extremities && !has_gap {
            return Ok(None);
        }
        match states.as_slice() {
            [] => Ok(None),
            [After { before, plus: None }] => Ok(Some(*before)),
            // A flattened fork is a copy: it would not follow when its parent is rewritten.
            [After { before, plus: Some((key, sn)) }]
                if !has_gap || self.is_chained(*before)? =>
            {
                self.fork(*before, Overlay::from([(key.clone(), Some(*sn))])).map(Some)
            }
            states => self.fork_from(&sns, states, has_gap).map(Some),
        }
    }

    /// The events of these IDs that we hold and that satisfy `usable`, and the IDs of the others.
    fn look_up(
        &mut self,
        ids: &[OwnedEventId],
        usable: impl Fn(&Stored) -> bool,
    ) -> Result<(Vec<Rc<Stored>>, Vec<OwnedEventId>)> {
        let (mut held, mut unknown) = (Vec::new(), Vec::new());
        for id in ids {
            match self.find(id)?.filter(|event| usable(event)) {
                Some(event) => held.push(event),
                None => unknown.push(id.clone()),
            }
        }
        Ok((held, unknown))
    }
}

/// What became of a judged event, for the asker.
pub fn outcome(judged: &Judged) -> Outcome {
    let reason = judged.reason.clone().unwrap_or_default();
    match judged.verdict {
        Verdict::Accepted | Verdict::Outlier => Outcome::Accepted,
        Verdict::SoftFailed => Outcome::SoftFailed(reason),
        Verdict::Rejected => Outcome::Rejected(reason),
    }
}
