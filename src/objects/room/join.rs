//! How does the room begin (or begin again) through another server?
//!
//! The signed join is stored before the other server is asked to take it; what that server gives is stored as outliers,
//! each judged by its auth events, and becomes the state in one transaction.

use std::collections::BTreeMap;

use ruma::OwnedEventId;
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::{admission::Checked, event::Pdu, room_version::RoomVersion};

use super::{
    AbandonJoin, BeginJoin, DueJoin, DueJoinReply, FIRST, FinishJoin, Head, Joined, Life, Refusal,
    Result, Room, STEP, Sn,
    insert::Source,
    judge::Judgement,
    timeline::{Before, Entry, Standing},
};
use crate::objects::Stop;

/// An attempt to join.
pub struct Joining {
    pub event: Checked,
    pub until: u64,
    user: String,
    via: String,
}

/// Stores the intention.
pub fn begin(room: &mut Room<'_>, message: BeginJoin) -> Result<()> {
    let unsupported = || Stop::Refused(Refusal::Invalid("unsupported room version".to_owned()));
    let version = RoomVersion::of(&message.version).ok_or_else(unsupported)?;
    match room.find_head()? {
        Some(head) if head.life == Life::Live => return Err(Stop::Refused(Refusal::AlreadyLive)),
        Some(head) => {
            let pending = room.joining()?.filter(|joining| joining.until > room.moment.now);
            if let Some(joining) =
                pending.filter(|joining| joining.event.event_id != message.event.event_id)
            {
                return Err(Stop::Refused(Refusal::Joining(joining.until)));
            }
            room.save(Head { version, ..head })?;
            if room.rests_on_the_past(&message)? {
                return Err(Stop::Refused(Refusal::Behind));
            }
        }
        None => {
            let id = ruma::RoomId::parse(room.name).map_err(|_| Stop::Refused(Refusal::Absent))?;
            let (tips, life) = (Vec::new(), Life::Joining);
            room.save(Head {
                id,
                version,
                life,
                tips,
                pos: FIRST,
                told: FIRST,
                joined: 0,
                invited: 0,
                floor: 0,
            })?;
        }
    }
    room.sql.run(
        "INSERT INTO joining (one, user, id, via, until, json) VALUES (1, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET user = excluded.user, id = excluded.id, via = excluded.via, until = excluded.until, json = excluded.json",
        values![
            message.user.as_str(),
            message.event.event_id.as_str(),
            message.via.as_str(),
            message.until,
            message.event.json.get()
        ],
    )?;
    // Whoever began it may not live to see its end.
    room.wake_at(message.until);
    Ok(())
}

/// The attempt whose lease is over.
pub fn due(room: &mut Room<'_>, _: DueJoin) -> Result<DueJoinReply> {
    let version = room.head()?.version.id.to_string();
    let Some(Joining { event, until, user, via }) = room.joining()? else {
        return Ok(DueJoinReply { attempt: None, next: None });
    };
    if until > room.moment.now {
        return Ok(DueJoinReply { attempt: None, next: Some(until) });
    }
    let broken = || Stop::broken("a stored attempt to join has no form");
    let user = user.try_into().map_err(|_| broken())?;
    let via = via.try_into().map_err(|_| broken())?;
    Ok(DueJoinReply { attempt: Some(BeginJoin { version, user, event, via, until }), next: None })
}

/// Forgets the intention.
pub fn abandon(room: &mut Room<'_>, message: AbandonJoin) -> Result<()> {
    room.head()?;
    room.sql.run("DELETE FROM joining WHERE id = ?", values![message.event_id.as_str()])?;
    Ok(())
}

/// Stores the room as it was given, and goes live.
pub fn finish(room: &mut Room<'_>, message: FinishJoin) -> Result<Joined> {
    let head = room.head()?;
    let event_id = message.event.event_id.clone();
    if room.find(&event_id)?.is_none_or(|held| held.pos.is_none()) {
        room.joining()?.filter(|joining| joining.event.event_id == event_id).ok_or_else(|| {
            Stop::Refused(Refusal::Invalid("no such join is under way".to_owned()))
        })?;
        let read =
            |event: &Checked| event.pdu(head.version).map_err(|fault| refuse(fault.to_string()));
        let join = read(&message.event)?;
        let mut events: BTreeMap<OwnedEventId, Pdu> = BTreeMap::new();
        for event in message.auth_chain.iter().chain(&message.state) {
            events.insert(event.event_id.clone(), read(event)?);
        }
        room.store_create(&mut events)?;
        room.store_outliers(events)?;
        room.replace_state(&message.state)?;
        room.go_live(&join)?;
    }
    let parked = room.all_parked()?;
    for (_, event) in &parked {
        room.forget_parked(&event.event_id)?;
    }
    let users: Vec<_> = message.event.pdu(head.version).map(|pdu| pdu.sender).into_iter().collect();
    Ok(Joined { event_id, news: room.news_for(&users)?, parked })
}

impl Room<'_> {
    /// Whether a join cites a membership of the user of which we know that it ended. Its server has not heard of that:
    /// among those who have, the join would lose against the end, and nobody would tell us.
    fn rests_on_the_past(&mut self, message: &BeginJoin) -> Result<bool> {
        let version = self.head()?.version;
        let join = message.event.pdu(version).map_err(|fault| refuse(fault.to_string()))?;
        let user = message.user.as_str();
        let query = "SELECT id FROM out_of_band WHERE user = ? AND ended";
        let ended = self.sql.row(query, values![user], |row| row.text(0))?;
        let now = self.now("m.room.member", user)?;
        for id in &join.auth_events {
            let held = self.find(id)?.filter(|held| held.pdu.is("m.room.member", user));
            let replaced = held.is_some_and(|held| now.is_some_and(|now| now != held.sn));
            if replaced || ended.as_deref() == Some(id.as_str()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The attempt under way, if there is one.
    pub fn joining(&mut self) -> Result<Option<Joining>> {
        let query = "SELECT id, until, json, user, via FROM joining";
        let row = self.sql.row(query, values![], |row| {
            Ok((row.text(0)?, row.int(1)?, row.text(2)?, row.text(3)?, row.text(4)?))
        })?;
        let Some((id, until, json, user, via)) = row else { return Ok(None) };
        let event_id = id.try_into().map_err(|_| Stop::broken("a stored event ID is none"))?;
        let event = Checked { event_id, json: RawValue::from_string(json)? };
        Ok(Some(Joining { event, until: u64::try_from(until).unwrap_or_default(), user, via }))
    }

    /// The create event comes first: in version 12 every other is judged with it.
    fn store_create(&mut self, events: &mut BTreeMap<OwnedEventId, Pdu>) -> Result<()> {
        let head = self.head()?;
        let id =
            events.values().find(|pdu| pdu.is("m.room.create", "")).map(|pdu| pdu.event_id.clone());
        let create = id
            .and_then(|id| events.remove(&id))
            .ok_or_else(|| refuse("the state has no create event"))?;
        let version = create.content_str("room_version").unwrap_or_else(|| "1".to_owned());
        if create.room_id != head.id || version != head.version.id.as_str() {
            return Err(refuse("the create event is of another room or version"));
        }
        if let Some(held) = self.now_event("m.room.create", "")? {
            return if held.pdu.event_id == create.event_id {
                Ok(())
            } else {
                Err(refuse("the room had another create event"))
            };
        }
        let Judgement::Judged(judged) = self.judge_outlier(&create)? else {
            return Err(refuse("the create event cites others"));
        };
        if judged.standing == Standing::Rejected {
            return Err(refuse(judged.reason.unwrap_or_default()));
        }
        let (sn, _) = self.insert(&create, &judged, Source::default())?;
        self.change(&("m.room.create".to_owned(), String::new()), Some(sn), head.pos + 1)
    }

    /// Stores events as outliers, each after those it cites. What cites unknown events is left out.
    fn store_outliers(&mut self, mut events: BTreeMap<OwnedEventId, Pdu>) -> Result<()> {
        loop {
            let mut rest = BTreeMap::new();
            let before = events.len();
            for (id, pdu) in events {
                if self.find(&id)?.is_some() {
                    continue;
                }
                match self.judge_outlier(&pdu)? {
                    Judgement::Judged(judged) => {
                        self.insert(&pdu, &judged, Source::default())?;
                    }
                    Judgement::Dropped(_) => {}
                    Judgement::Lacking { .. } => {
                        rest.insert(id, pdu);
                    }
                }
            }
            if rest.is_empty() || rest.len() == before {
                return Ok(());
            }
            events = rest;
        }
    }

    /// Makes the given state the current one, at a position between the last event and the join.
    fn replace_state(&mut self, state: &[Checked]) -> Result<()> {
        let head = self.head()?;
        let pos = head.pos + 1;
        let mut given: BTreeMap<(String, String), Sn> = BTreeMap::new();
        for event in state {
            let Some(stored) = self.find(&event.event_id)? else { continue };
            let Some((kind, key)) =
                stored.pdu.key().filter(|_| stored.standing != Standing::Rejected)
            else {
                continue;
            };
            given.insert((kind.to_owned(), key.to_owned()), stored.sn);
        }
        for key in self
            .whole(Before { at: pos, fork: None })?
            .into_keys()
            .filter(|key| !given.contains_key(key))
        {
            self.change(&key, None, pos)?;
        }
        for (key, sn) in given {
            if self.now(&key.0, &key.1)? != Some(sn) {
                self.change(&key, Some(sn), pos)?;
            }
        }
        Ok(())
    }

    /// Puts the join into the timeline, as its only tip.
    fn go_live(&mut self, join: &Pdu) -> Result<()> {
        let pos = self.head()?.pos + STEP;
        let before = Before::linear(pos);
        let Judgement::Judged(judged) = self.judge_at(join, before)? else {
            return Err(refuse("the auth chain of our join is missing"));
        };
        if judged.standing != Standing::Accepted {
            return Err(Stop::Refused(Refusal::Forbidden(judged.reason.unwrap_or_default())));
        }
        let entry = Entry {
            pdu: join,
            pos: Some(pos),
            standing: Standing::Accepted,
            reason: None,
            auth: &judged.auth,
            prev: &judged.prev,
            before: Some(before),
            ours: false,
            for_server: None,
            transaction: None,
        };
        let sn = match self.find(&join.event_id)? {
            Some(held) => {
                self.place(held.sn, &entry)?;
                held.sn
            }
            None => self.add(&entry)?,
        };
        self.note_hole(sn)?;
        self.change(&("m.room.member".to_owned(), join.sender.to_string()), Some(sn), pos)?;
        self.sql.run("DELETE FROM joining", values![])?;
        self.sql.run("DELETE FROM out_of_band WHERE user = ?", values![join.sender.as_str()])?;
        let head = self.head()?;
        self.save(Head { life: Life::Live, tips: vec![sn], pos, floor: join.depth, ..head })?;
        self.wake_soon();
        Ok(())
    }
}

fn refuse(reason: impl Into<String>) -> Stop<Refusal> {
    Stop::Refused(Refusal::Invalid(reason.into()))
}
