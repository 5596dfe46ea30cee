//! How does the room begin (or begin again) through another server?
//!
//! The signed join is stored before the other server is asked to take it. The state that this server gives comes in
//! parts: each event is stored as an outlier, judged by its auth events. In one transaction the whole becomes the
//! current state.

use std::rc::Rc;

use ruma::RoomId;
use tombolo_platform::values;
use tombolo_protocol::event::Pdu;

use crate::{
    objects::room::{
        Result, Room, STEP, Telling,
        graph::{
            events::{Before, Entry, Stored, Verdict},
            insertion::Source,
            judgement::Judgement,
            unverified::may_be_unverified,
        },
        invalid,
        messages::{BeginJoin, FinishJoin, GiveJoin, Joined, Refusal},
        outside::invites::supported,
        row::{Life, RoomRow},
    },
    shell::Stop,
};

/// What becomes of an event that was given.
enum Taken {
    Held(Rc<Stored>),
    /// It cites events we were not given.
    Lacking,
    /// It is rejected, or of another room.
    Refused,
}

/// Stores a signed join, before the resident server is asked to take it.
pub fn begin(room: &mut Room<'_>, message: BeginJoin) -> Result<()> {
    let version = supported(&message.version)?;
    room.must_be_open()?;
    match room.find_row()? {
        Some(row) if row.life == Life::Live => return Err(Stop::Refused(Refusal::AlreadyLive)),
        Some(row) => {
            if let Some(until) = room.joined_by_another(&message.event.event_id)? {
                return Err(Stop::Refused(Refusal::Joining(until)));
            }
            // The version that was stored with an invite is only what another server said.
            if row.version.id != version.id && room.now("m.room.create", "")?.is_some() {
                return Err(invalid("the room is of another version"));
            }
            room.set_row(RoomRow { version, ..row })?;
            if room.rests_on_the_past(&message)? {
                return Err(Stop::Refused(Refusal::Behind));
            }
        }
        None => {
            let id = RoomId::parse(room.name).map_err(|_| Stop::Refused(Refusal::Absent))?;
            room.set_row(RoomRow::new(id, version, Life::Joining))?;
        }
    }
    room.sql.run("DELETE FROM given", values![])?;
    room.forget_all_kept()?;
    room.forget_unverified()?;
    room.note_attempt(&message, version)?;
    // A user who joins has no declined invite left to tell of.
    room.stop_telling_of_leave(&message.user)?;
    // The request that began it may not live to see its end.
    room.wake_at(message.until);
    Ok(())
}

/// Stores a part of the state and the auth chain that the resident server gave; answers how many events were noted as
/// state.
pub fn give(room: &mut Room<'_>, message: GiveJoin) -> Result<u64> {
    let version = room.row()?.version;
    room.under_way(&message.event_id)?;
    let (mut in_state, mut unverified) = (0, Vec::new());
    for id in message.unverified {
        // An event that we hold was verified once, and needs no key any more.
        match room.find(&id)? {
            Some(held) => in_state += u64::from(room.note_state(&held)?),
            None => unverified.push(id),
        }
    }
    for event in &message.events {
        let pdu = event.pdu(version).map_err(|fault| invalid(fault.to_string()))?;
        // A server that was asked before may have changed the event's content.
        let completed = room.complete(event)?;
        let taken = room.take_part(&pdu, completed)?;
        let is_state = message.state.contains(&pdu.event_id);
        match taken {
            Taken::Held(stored) if is_state => in_state += u64::from(room.note_state(&stored)?),
            Taken::Lacking if is_state => {
                may_be_unverified(&pdu)?;
                unverified.push(pdu.event_id);
            }
            Taken::Held(_) | Taken::Lacking | Taken::Refused => {}
        }
    }
    room.note_unverified(&unverified)?;
    Ok(in_state)
}

/// Goes live with the state that was given.
pub fn finish(room: &mut Room<'_>, message: FinishJoin) -> Result<Joined> {
    let row = room.row()?;
    let event_id = &message.event.event_id;
    let join = message.event.pdu(row.version).map_err(|fault| invalid(fault.to_string()))?;
    if room.find(event_id)?.is_none_or(|held| held.pos.is_none()) {
        room.under_way(event_id)?;
        room.replace_state(message.state)?;
        room.go_live(&join)?;
    }
    let parked = room.all_parked()?;
    for (_, event) in &parked {
        room.forget_parked(&event.event_id)?;
    }
    Ok(Joined { news: room.news_for(&[join.sender])?, parked })
}

impl Room<'_> {
    /// Whether a join cites a membership of the user that we know has ended. The resident server has not heard of the
    /// end. On servers that have, the join would lose against the end, and nobody would tell us.
    fn rests_on_the_past(&mut self, message: &BeginJoin) -> Result<bool> {
        let version = self.row()?.version;
        let join = message.event.pdu(version).map_err(|fault| invalid(fault.to_string()))?;
        let user = message.user.as_str();
        let query = "SELECT id FROM out_of_band WHERE user = ? AND ended";
        let ended = self.sql.row(query, values![user], |row| row.text(0))?;
        let now = self.now("m.room.member", user)?;
        for id in &join.auth_events {
            // We never saw an outlier in the current state, and so did not see it end.
            let held = self.find(id)?.filter(|held| held.before.is_some());
            let held = held.filter(|held| held.pdu.is("m.room.member", user));
            let replaced = held.is_some_and(|held| now.is_some_and(|now| now != held.sn));
            if replaced || ended.as_deref() == Some(id.as_str()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Stores a given event as an outlier. One that was rejected without its content is judged again with it.
    fn take_part(&mut self, pdu: &Pdu, completed: bool) -> Result<Taken> {
        if let Some(held) = self.find(&pdu.event_id)? {
            let revised = completed && held.verdict == Verdict::Rejected && held.before.is_none();
            if !revised {
                return Ok(Taken::Held(held));
            }
        }
        if pdu.is("m.room.create", "") {
            return self.take_create(pdu).map(Taken::Held);
        }
        // In version 12 no event cites the create event, and yet every one is judged with it.
        self.now("m.room.create", "")?.ok_or_else(|| invalid("the state has no create event"))?;
        match self.judge_outlier(pdu)? {
            Judgement::Judged(judged) if judged.verdict != Verdict::Rejected => {
                let (sn, _) = self.insert(pdu, &judged, Source::default())?;
                self.event(sn).map(Taken::Held)
            }
            Judgement::Lacking { .. } => Ok(Taken::Lacking),
            Judgement::Judged(_) | Judgement::Dropped(_) => Ok(Taken::Refused),
        }
    }

    fn take_create(&mut self, create: &Pdu) -> Result<Rc<Stored>> {
        let row = self.row()?;
        let version = create.content_str("room_version").unwrap_or_else(|| "1".to_owned());
        if create.room_id != row.id || version != row.version.id.as_str() {
            return Err(invalid("the create event is of another room or version"));
        }
        if self.now("m.room.create", "")?.is_some() {
            return Err(invalid("the room had another create event"));
        }
        let Judgement::Judged(judged) = self.judge_outlier(create)? else {
            return Err(invalid("the create event cites others"));
        };
        if judged.verdict == Verdict::Rejected {
            return Err(invalid(judged.reason.unwrap_or_default()));
        }
        let (sn, _) = self.insert(create, &judged, Source::default())?;
        self.change(&("m.room.create".to_owned(), String::new()), Some(sn), row.pos + 1)?;
        self.event(sn)
    }

    /// Notes an event as part of the state that was given, unless it was rejected; answers whether it was noted.
    fn note_state(&mut self, event: &Stored) -> Result<bool> {
        let Some((kind, key)) = event.pdu.key() else { return Ok(false) };
        if event.verdict == Verdict::Rejected {
            return Ok(false);
        }
        let insert = "INSERT INTO given (type, key, sn) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET sn = excluded.sn";
        self.sql.run(insert, values![kind, key, event.sn])?;
        Ok(true)
    }

    /// Makes the given state the current one, at a position between the last event and the join.
    fn replace_state(&mut self, given: u64) -> Result<()> {
        let pos = self.row()?.pos + 1;
        let count = self.sql.row("SELECT count(*) AS n FROM given", values![], |row| row.int(0))?;
        if count != i64::try_from(given).ok() || self.now("m.room.create", "")?.is_none() {
            return Err(invalid("the state is not whole"));
        }
        self.note_everybody(pos)?;
        let query = "SELECT type, key FROM now n WHERE NOT EXISTS
                     (SELECT 1 FROM given g WHERE g.type = n.type AND g.key = n.key)";
        let gone = self.sql.rows(query, values![], |row| Ok((row.text(0)?, row.text(1)?)))?;
        for key in gone {
            self.change(&key, None, pos)?;
        }
        let query = "SELECT type, key, sn FROM given g WHERE NOT EXISTS
                     (SELECT 1 FROM now n WHERE n.type = g.type AND n.key = g.key AND n.sn = g.sn)";
        let new = self
            .sql
            .rows(query, values![], |row| Ok(((row.text(0)?, row.text(1)?), row.int(2)?)))?;
        for (key, sn) in new {
            self.change(&key, Some(sn), pos)?;
        }
        self.sql.run("DELETE FROM given", values![])?;
        self.begin_unverified(pos)
    }

    /// Puts the join into the timeline, as its only forward extremity.
    fn go_live(&mut self, join: &Pdu) -> Result<()> {
        let pos = self.row()?.pos + STEP;
        let before = Before::linear(pos);
        let Judgement::Judged(judged) = self.judge_at(join, before)? else {
            return Err(invalid("the auth chain of our join is missing"));
        };
        if judged.verdict != Verdict::Accepted {
            return Err(Stop::Refused(Refusal::Forbidden(judged.reason.unwrap_or_default())));
        }
        let entry = Entry {
            pdu: join,
            pos: Some(pos),
            verdict: Verdict::Accepted,
            reason: None,
            auth: &judged.auth,
            prev: &judged.prev,
            before: Some(before),
            ours: false,
            given_by: None,
            transaction: None,
        };
        let sn = match self.find(&join.event_id)? {
            Some(held) => {
                self.replace_row(held.sn, &entry)?;
                held.sn
            }
            None => self.add(&entry)?,
        };
        self.note_gap(sn)?;
        self.change(&("m.room.member".to_owned(), join.sender.to_string()), Some(sn), pos)?;
        let resident = self.end_attempts(&join.event_id)?;
        let row = self.row()?;
        self.set_row(RoomRow {
            life: Life::Live,
            extremities: vec![sn],
            pos,
            floor: join.depth,
            resident,
            ..row
        })?;
        self.tell(Telling::Soon);
        Ok(())
    }
}
