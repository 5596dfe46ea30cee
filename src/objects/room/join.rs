//! How does the room begin (or begin again) through another server?
//!
//! The signed join is stored before the other server is asked to take it. What that server gives comes in parts: each
//! event is stored as an outlier, judged by its auth events. In one transaction the whole becomes the state.

use std::rc::Rc;

use ruma::EventId;
use serde_json::value::RawValue;
use tombolo_platform::{Row, values};
use tombolo_protocol::{admission::Checked, event::Pdu, room_version::RoomVersion};

use super::{
    AbandonJoin, BeginJoin, DueJoin, DueJoinReply, FinishJoin, GiveJoin, Head, Joined, Life,
    Receive, Refusal, Result, Room, STEP, Telling,
    insert::Source,
    judge::Judgement,
    left_out::may_be_left_out,
    timeline::{Before, Entry, Standing, Stored},
};
use crate::objects::Stop;

/// How long after a failure a server is asked again that may have taken our join (ms); twice as long each time,
const PAUSE: u64 = 150_000;
/// up to a day (ms),
const LONGEST_PAUSE: u64 = 24 * 3600 * 1000;
/// and so often: for a week.
const MOST_TIMES: i64 = 16;
/// How many attempts are remembered, of all users.
const MAX_ATTEMPTS: u32 = 10;
/// How many servers are asked in turn how an attempt ended.
const MAX_VIA: usize = 5;

/// What becomes of an event that was given.
enum Taken {
    Held(Rc<Stored>),
    /// It cites events we were not given.
    Lacking,
    /// It is rejected, or of another room.
    Refused,
}

/// Stores the intention.
pub fn begin(room: &mut Room<'_>, message: BeginJoin) -> Result<()> {
    let unsupported = || Stop::Refused(Refusal::Invalid("unsupported room version".to_owned()));
    let version = RoomVersion::of(&message.version).ok_or_else(unsupported)?;
    match room.find_head()? {
        Some(head) if head.life == Life::Live => return Err(Stop::Refused(Refusal::AlreadyLive)),
        Some(head) => {
            if let Some(until) = room.joined_by_another(&message.event.event_id)? {
                return Err(Stop::Refused(Refusal::Joining(until)));
            }
            // The version that was stored with an invite is only what another server said.
            if head.version.id != version.id && room.now("m.room.create", "")?.is_some() {
                return Err(refuse("the room is of another version"));
            }
            room.set_head(Head { version, ..head })?;
            if room.rests_on_the_past(&message)? {
                return Err(Stop::Refused(Refusal::Behind));
            }
        }
        None => {
            let id = ruma::RoomId::parse(room.name).map_err(|_| Stop::Refused(Refusal::Absent))?;
            room.set_head(Head::new(id, version, Life::Joining))?;
        }
    }
    room.sql.run("DELETE FROM given", values![])?;
    room.forget_left_out()?;
    room.sql.run(
        "INSERT INTO joining (id, version, user, via, json, active, attempts, until) VALUES (?, ?, ?, ?, ?, 1, 0, ?)
         ON CONFLICT DO UPDATE SET active = 1, until = excluded.until",
        values![
            message.event.event_id.as_str(),
            version.id.as_str(),
            message.user.as_str(),
            message.via.as_str(),
            message.event.json.get(),
            message.until
        ],
    )?;
    let delete = "DELETE FROM joining WHERE id NOT IN (SELECT id FROM joining ORDER BY active DESC, until DESC LIMIT ?)";
    room.sql.run(delete, values![MAX_ATTEMPTS])?;
    // Who joins does not leave any more.
    let update = "UPDATE out_of_band SET retry_at = NULL WHERE user = ?";
    room.sql.run(update, values![message.user.as_str()])?;
    // The request that began it may not live to see its end.
    room.wake_at(message.until);
    Ok(())
}

/// The attempt that is to be taken up again, and the server whose turn it is; and the leave that is to be told again.
pub fn due(room: &mut Room<'_>, _: DueJoin) -> Result<DueJoinReply> {
    room.head()?;
    let (leave, next) = room.due_leave()?;
    let none = DueJoinReply { attempt: None, unproven: false, leave, next };
    let query =
        "SELECT id, until, json, user, version, via, attempts FROM joining ORDER BY until LIMIT 1";
    let row = room.sql.row(query, values![], |row| {
        let (id, until, json, user) = (row.text(0)?, row.int(1)?, row.text(2)?, row.text(3)?);
        Ok(((id, until, json, user), (row.text(4)?, row.text(5)?, row.int(6)?)))
    })?;
    let Some(((id, until, json, user), (version, via, attempts))) = row else { return Ok(none) };
    let until = u64::try_from(until).unwrap_or_default();
    if until > room.moment.now {
        let next = next.into_iter().chain([until]).min();
        return Ok(DueJoinReply { next, ..none });
    }
    let broken = || Stop::broken("a stored attempt to join has no form");
    let servers: Vec<&str> = via.split(' ').collect();
    let turn = usize::try_from(attempts).unwrap_or_default() % servers.len();
    let event_id = id.try_into().map_err(|_| broken())?;
    let user = user.try_into().map_err(|_| broken())?;
    let via = servers[turn].try_into().map_err(|_| broken())?;
    let event = Checked { event_id, json: RawValue::from_string(json)? };
    let attempt = BeginJoin { version, user, event, via, until };
    Ok(DueJoinReply { attempt: Some(attempt), unproven: turn > 0, ..none })
}

/// Forgets the intention, or puts it off.
pub fn abandon(room: &mut Room<'_>, message: AbandonJoin) -> Result<()> {
    room.head()?;
    let id = message.event_id.as_str();
    let query = "SELECT attempts FROM joining WHERE id = ?";
    let Some(attempts) = room.sql.row(query, values![id], |row| row.int(0))? else { return Ok(()) };
    if !message.again || attempts >= MOST_TIMES {
        room.sql.run("DELETE FROM joining WHERE id = ?", values![id])?;
        return Ok(());
    }
    let doubled = PAUSE << u32::try_from(attempts).unwrap_or_default();
    let until = room.moment.now + doubled.min(LONGEST_PAUSE);
    let update = "UPDATE joining SET active = 0, attempts = attempts + 1, until = ? WHERE id = ?";
    room.sql.run(update, values![until, id])?;
    room.wake_at(until);
    Ok(())
}

/// Stores a part of what was given.
pub fn give(room: &mut Room<'_>, message: GiveJoin) -> Result<u64> {
    let version = room.head()?.version;
    room.under_way(&message.event_id)?;
    let (mut standing, mut left_out) = (0, Vec::new());
    for id in message.left_out {
        // What was verified once needs no key any more.
        match room.find(&id)? {
            Some(held) => standing += u64::from(room.note_given(&held)?),
            None => left_out.push(id),
        }
    }
    for event in &message.events {
        let pdu = event.pdu(version).map_err(|fault| refuse(fault.to_string()))?;
        // Who was asked before may have changed it.
        room.complete(event)?;
        let (taken, is_state) = (room.take_given(&pdu)?, message.state.contains(&pdu.event_id));
        match taken {
            Taken::Held(stored) if is_state => standing += u64::from(room.note_given(&stored)?),
            Taken::Lacking if is_state => {
                may_be_left_out(&pdu)?;
                left_out.push(pdu.event_id);
            }
            Taken::Held(_) | Taken::Lacking | Taken::Refused => {}
        }
    }
    room.note_left_out(&left_out)?;
    Ok(standing)
}

/// Goes live with what was given.
pub fn finish(room: &mut Room<'_>, message: FinishJoin) -> Result<Joined> {
    let head = room.head()?;
    let event_id = &message.event.event_id;
    let join = message.event.pdu(head.version).map_err(|fault| refuse(fault.to_string()))?;
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
    /// Whether a join cites a membership of the user that we know has ended. The server we join through has not heard
    /// of that: among those that have, the join would lose against the end, and nobody would tell us.
    fn rests_on_the_past(&mut self, message: &BeginJoin) -> Result<bool> {
        let version = self.head()?.version;
        let join = message.event.pdu(version).map_err(|fault| refuse(fault.to_string()))?;
        let user = message.user.as_str();
        let query = "SELECT id FROM out_of_band WHERE user = ? AND ended";
        let ended = self.sql.row(query, values![user], |row| row.text(0))?;
        let now = self.now("m.room.member", user)?;
        for id in &join.auth_events {
            // An outlier is nothing that we ever saw to hold, so nothing that we saw end.
            let held = self.find(id)?.filter(|held| held.before.is_some());
            let held = held.filter(|held| held.pdu.is("m.room.member", user));
            let replaced = held.is_some_and(|held| now.is_some_and(|now| now != held.sn));
            if replaced || ended.as_deref() == Some(id.as_str()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether somebody is joining now.
    pub fn is_being_joined(&mut self) -> Result<bool> {
        let query = "SELECT 1 FROM joining WHERE active AND until > ? LIMIT 1";
        Ok(self.sql.row(query, values![self.moment.now], |row| row.int(0))?.is_some())
    }

    /// A server that sends us events of the room may have heard of a join of which we know no end, if it knows the room:
    /// events in it rest on the same power levels and join rules as our join. It has its turn to be asked, when it has
    /// shown that it heard of the join; whoever did not get the join cannot show it.
    pub fn ask_to_be_let_in(&mut self, message: &Receive) -> Result<()> {
        let query = "SELECT id, version, json, via, active FROM joining";
        let read = |row: &Row<'_>| {
            Ok(((row.text(0)?, row.text(1)?, row.text(2)?), (row.text(3)?, row.int(4)? != 0)))
        };
        let joins = self.sql.rows(query, values![], read)?;
        let origin = message.origin.as_str();
        for ((id, version, json), (via, active)) in joins {
            let known = via.split(' ').any(|server| server == origin);
            if known || via.split(' ').count() == MAX_VIA {
                continue;
            }
            let broken = || Stop::broken("a stored attempt to join has no form");
            let version = RoomVersion::of(&version).ok_or_else(broken)?;
            let event_id = id.as_str().try_into().map_err(|_| broken())?;
            let join = Checked { event_id, json: RawValue::from_string(json)? };
            let join = join.pdu(version).map_err(|fault| Stop::broken(fault.to_string()))?;
            // What cannot be read is dropped by whoever takes the event in.
            let pdus: Vec<Pdu> =
                message.events.iter().filter_map(|event| event.pdu(version).ok()).collect();
            let mut cited =
                pdus.iter().flat_map(|pdu| pdu.prev_events.iter().chain(&pdu.auth_events));
            let knows =
                cited.any(|cited| *cited == join.event_id || join.auth_events.contains(cited));
            if !knows {
                continue;
            }
            let next = format!("{via} {origin}");
            self.sql.run("UPDATE joining SET via = ? WHERE id = ?", values![&next, &id])?;
            if !active {
                let now = self.moment.now;
                self.sql.run("UPDATE joining SET until = ? WHERE id = ?", values![now, &id])?;
                self.wake_at(now);
            }
        }
        Ok(())
    }

    /// Whether somebody is joining, or may turn out to have joined.
    pub fn may_be_joined(&mut self) -> Result<bool> {
        Ok(self.sql.row("SELECT 1 FROM joining LIMIT 1", values![], |row| row.int(0))?.is_some())
    }

    /// Until when another attempt is under way.
    fn joined_by_another(&mut self, event_id: &EventId) -> Result<Option<u64>> {
        let query = "SELECT until FROM joining WHERE active AND until > ? AND id <> ? LIMIT 1";
        let values = values![self.moment.now, event_id.as_str()];
        let until = self.sql.row(query, values, |row| row.int(0))?;
        Ok(until.map(|until| u64::try_from(until).unwrap_or_default()))
    }

    fn under_way(&mut self, event_id: &EventId) -> Result<()> {
        let query = "SELECT 1 FROM joining WHERE id = ?";
        let found = self.sql.row(query, values![event_id.as_str()], |row| row.int(0))?;
        found.map(|_| ()).ok_or_else(|| refuse("no such join is under way"))
    }

    /// Stores an event as an outlier.
    fn take_given(&mut self, pdu: &Pdu) -> Result<Taken> {
        if let Some(held) = self.find(&pdu.event_id)? {
            return Ok(Taken::Held(held));
        }
        if pdu.is("m.room.create", "") {
            return self.take_create(pdu).map(Taken::Held);
        }
        // In version 12 no event cites the create event, and yet every one is judged with it.
        self.now("m.room.create", "")?.ok_or_else(|| refuse("the state has no create event"))?;
        match self.judge_outlier(pdu)? {
            Judgement::Judged(judged) if judged.standing != Standing::Rejected => {
                let (sn, _) = self.insert(pdu, &judged, Source::default())?;
                self.event(sn).map(Taken::Held)
            }
            Judgement::Lacking { .. } => Ok(Taken::Lacking),
            Judgement::Judged(_) | Judgement::Dropped(_) => Ok(Taken::Refused),
        }
    }

    fn take_create(&mut self, create: &Pdu) -> Result<Rc<Stored>> {
        let head = self.head()?;
        let version = create.content_str("room_version").unwrap_or_else(|| "1".to_owned());
        if create.room_id != head.id || version != head.version.id.as_str() {
            return Err(refuse("the create event is of another room or version"));
        }
        if self.now("m.room.create", "")?.is_some() {
            return Err(refuse("the room had another create event"));
        }
        let Judgement::Judged(judged) = self.judge_outlier(create)? else {
            return Err(refuse("the create event cites others"));
        };
        if judged.standing == Standing::Rejected {
            return Err(refuse(judged.reason.unwrap_or_default()));
        }
        let (sn, _) = self.insert(create, &judged, Source::default())?;
        self.change(&("m.room.create".to_owned(), String::new()), Some(sn), head.pos + 1)?;
        self.event(sn)
    }

    /// Notes an event as part of the state we were given; answers whether it stands.
    fn note_given(&mut self, event: &Stored) -> Result<bool> {
        let Some((kind, key)) = event.pdu.key() else { return Ok(false) };
        if event.standing == Standing::Rejected {
            return Ok(false);
        }
        let insert = "INSERT INTO given (type, key, sn) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET sn = excluded.sn";
        self.sql.run(insert, values![kind, key, event.sn])?;
        Ok(true)
    }

    /// Makes the given state the current one, at a position between the last event and the join.
    fn replace_state(&mut self, given: u64) -> Result<()> {
        let pos = self.head()?.pos + 1;
        let count = self.sql.row("SELECT count(*) AS n FROM given", values![], |row| row.int(0))?;
        if count != i64::try_from(given).ok() || self.now("m.room.create", "")?.is_none() {
            return Err(refuse("the state is not whole"));
        }
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
        self.begin_left_out(pos)
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
        self.note_hole(sn)?;
        self.change(&("m.room.member".to_owned(), join.sender.to_string()), Some(sn), pos)?;
        let query = "SELECT via FROM joining WHERE id = ?";
        let via = self.sql.row(query, values![join.event_id.as_str()], |row| row.text(0))?;
        let resident = via.and_then(|via| via.split(' ').next()?.try_into().ok());
        self.sql.run("DELETE FROM joining", values![])?;
        let head = self.head()?;
        self.set_head(Head {
            life: Life::Live,
            tips: vec![sn],
            pos,
            floor: join.depth,
            resident,
            ..head
        })?;
        self.tell(Telling::Soon);
        Ok(())
    }
}

fn refuse(reason: impl Into<String>) -> Stop<Refusal> {
    Stop::Refused(Refusal::Invalid(reason.into()))
}
