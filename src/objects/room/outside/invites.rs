//! What is known of a room we are not in: which invites and knocks of local users?
//!
//! Such a room is a handful of rows: who, by which event, through whom, and the stripped state that was shown.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::{EventId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId};
use serde_json::{json, value::RawValue};
use tombolo_platform::{Row, values};
use tombolo_protocol::{
    admission::Checked,
    event::{self, client_event},
    membership::Membership,
    room_version::RoomVersion,
};

use crate::{
    objects::room::{
        Result, Room, STEP, Telling, invalid,
        messages::{
            DueLeave, DueLeaveReply, Knocked, OutOfBand, OutOfBandReply, OutsideNews, Position,
            Refusal, UserNews, Withdraw, Withdrawn,
        },
        row::{Life, RoomRow},
    },
    shell::{Stop, membership},
};

/// When a leave that no server took is told again (ms); twice as long each time,
const FIRST_RETRY: u64 = 15_000;
/// and so often: for three days.
const MOST_RETRIES: i64 = 14;

/// A local user knocked through another server.
pub fn knocked(room: &mut Room<'_>, message: Knocked) -> Result<Vec<UserNews>> {
    let version = supported(&message.version)?;
    room.must_be_open()?;
    let pdu = message
        .event
        .pdu(version)
        .map_err(|fault| Stop::Refused(Refusal::Invalid(fault.to_string())))?;
    let entry = OutOfBandRow {
        user: &pdu.sender,
        membership: Membership::Knock,
        via: &message.via,
        stripped: &message.stripped,
    };
    room.note_out_of_band(version, &message.event, &entry)
}

/// A local user's membership in a room we are not in, and the servers that may be asked to take a leave or a join.
pub fn out_of_band(room: &mut Room<'_>, message: OutOfBand) -> Result<OutOfBandReply> {
    let version = room.row()?.version.id.to_string();
    let query = "SELECT membership, via, json, retry_at IS NOT NULL AND NOT ended AS due FROM out_of_band WHERE user = ?";
    let row = room.sql.row(query, values![message.user.as_str()], |row| {
        Ok((membership(row, 0)?, row.text(1)?, row.text(2)?, row.int(3)? != 0))
    })?;
    let (membership, via, json, due) = row.ok_or(Stop::Refused(Refusal::NotFound))?;
    let leaving = due && membership == Membership::Leave;
    let mut servers: Vec<OwnedServerName> = via.try_into().into_iter().collect();
    servers.extend(sender_of(json)?.map(|sender| sender.server_name().to_owned()));
    servers.dedup();
    servers.retain(|server| *server != room.config.server_name);
    Ok(OutOfBandReply { version, membership, via: servers, leaving })
}

/// A local user declines an invite or takes back a knock. If the request does not bring that to a server in the room,
/// the alarm does.
pub fn withdraw(room: &mut Room<'_>, message: Withdraw) -> Result<Vec<UserNews>> {
    room.row()?;
    let leave = own_leave(room, &message);
    let news = room.end(&message.user, &leave)?;
    let retry_at = room.moment.now + FIRST_RETRY;
    let update = "UPDATE out_of_band SET retry_at = ?, attempts = 0 WHERE user = ?";
    room.sql.run(update, values![retry_at, message.user.as_str()])?;
    room.wake_at(retry_at);
    Ok(news)
}

/// Whose leave is to be told again.
pub fn due_leave(room: &mut Room<'_>, _: DueLeave) -> Result<DueLeaveReply> {
    room.row()?;
    let (leave, next) = room.due_leave()?;
    Ok(DueLeaveReply { leave, next })
}

/// Notes that a server in the room took the leave: a server that would still let the user in by that invite has not
/// heard of it.
pub fn withdrawn(room: &mut Room<'_>, message: Withdrawn) -> Result<()> {
    room.row()?;
    let update = "UPDATE out_of_band SET ended = 1 WHERE user = ? AND membership = 'leave'";
    room.sql.run(update, values![message.user.as_str()])?;
    Ok(())
}

/// A user who left, and the servers that may be told.
type Leave = (OwnedUserId, Vec<OwnedServerName>);

/// One row of `out_of_band`.
pub struct OutOfBandRow<'a> {
    pub user: &'a UserId,
    pub membership: Membership,
    pub via: &'a ServerName,
    pub stripped: &'a [Box<RawValue>],
}

impl Room<'_> {
    /// Whose leave is to be told again now, and to whom; and when to look again. Counts the attempt.
    pub fn due_leave(&mut self) -> Result<(Option<Leave>, Option<u64>)> {
        let now = self.moment.now;
        let query = "SELECT user, retry_at FROM out_of_band WHERE retry_at IS NOT NULL AND membership = 'leave'
                     AND NOT ended AND attempts < ? ORDER BY retry_at LIMIT 1";
        let read = |row: &Row<'_>| Ok((row.text(0)?, row.int(1)?));
        let Some((user, retry_at)) = self.sql.row(query, values![MOST_RETRIES], read)? else {
            return Ok((None, None));
        };
        let retry_at = u64::try_from(retry_at).map_err(|_| Stop::broken("a time before 1970"))?;
        if retry_at > now {
            return Ok((None, Some(retry_at)));
        }
        let update = "UPDATE out_of_band SET attempts = attempts + 1, retry_at = CAST(? AS INTEGER) + (CAST(? AS INTEGER) << attempts) WHERE user = ?";
        self.sql.run(update, values![now, FIRST_RETRY, &user])?;
        let user = UserId::parse(user).map_err(|_| Stop::broken("a local user's ID is none"))?;
        let via = out_of_band(self, OutOfBand { user: user.clone() })?.via;
        Ok((Some((user, via)), Some(now + FIRST_RETRY)))
    }

    /// Ends an invite if this event is a leave or ban by the inviter, or a knock if it is one from the server the knock
    /// went through; answers whether it is. Nobody here can tell what others in the room may do. A membership event
    /// cites the one it replaces: so an older leave, which comes late, ends no newer invite.
    pub fn rescind(&mut self, event: &Checked, origin: &ServerName) -> Result<bool> {
        let version = self.row()?.version;
        let Ok(pdu) = event.pdu(version) else { return Ok(false) };
        let ends =
            pdu.kind() == "m.room.member" && pdu.membership().is_some_and(Membership::is_out);
        let Some(user) =
            pdu.state_key.as_deref().filter(|_| ends).and_then(|key| UserId::parse(key).ok())
        else {
            return Ok(false);
        };
        let query = "SELECT membership, via, json, id FROM out_of_band WHERE user = ? AND membership IN ('invite', 'knock')";
        let read =
            |row: &Row<'_>| Ok((membership(row, 0)?, row.text(1)?, row.text(2)?, row.text(3)?));
        let Some((waits, via, json, id)) = self.sql.row(query, values![user.as_str()], read)?
        else {
            return Ok(false);
        };
        let by = pdu.sender.server_name();
        if by != origin || !pdu.auth_events.iter().any(|cited| *cited == id) {
            return Ok(false);
        }
        let may_end = match waits {
            Membership::Invite => sender_of(json)?.is_some_and(|inviter| inviter == pdu.sender),
            _ => via == by.as_str(),
        };
        if !may_end {
            return Ok(false);
        }
        self.end(&user, &client_event(&pdu, false))?;
        withdrawn(self, Withdrawn { user })?;
        Ok(true)
    }

    /// News of invites and knocks since a position.
    pub fn news_out_of_band(&mut self, since: Position) -> Result<Vec<UserNews>> {
        let query = "SELECT user, membership, stripped, pos, id FROM out_of_band WHERE pos > ?";
        let rows = self.sql.rows(query, values![since], |row| {
            Ok((row.text(0)?, membership(row, 1)?, row.text(2)?, row.int(3)?, row.text(4)?))
        })?;
        rows.into_iter()
            .map(|(user, membership, stripped, to, id)| {
                let user =
                    UserId::parse(user).map_err(|_| Stop::broken("a local user's ID is none"))?;
                let invite = (membership == Membership::Invite).then(|| EventId::parse(id));
                Ok(UserNews {
                    active: true,
                    stripped: Some(RawValue::from_string(stripped)?),
                    invite: invite.and_then(|id| id.ok()),
                    ..UserNews::of(user, to, membership)
                })
            })
            .collect()
    }

    /// The invites and knocks in a range, and what ended them, as application services get them.
    pub fn outside_since(&mut self, from: Position, to: Position) -> Result<Vec<OutsideNews>> {
        let query = "SELECT user, membership, stripped, id, json, pos FROM out_of_band WHERE pos > ? AND pos <= ? ORDER BY pos";
        let rows = self.sql.rows(query, values![from, to], |row| {
            let event = (row.text(2)?, row.text(3)?, row.text(4)?);
            Ok((row.text(0)?, membership(row, 1)?, event, row.int(5)?))
        })?;
        let mut news = Vec::new();
        for (user, membership, event, pos) in rows {
            let user =
                UserId::parse(user).map_err(|_| Stop::broken("a local user's ID is none"))?;
            let event = self.outside_event(membership, event)?;
            news.extend(event.map(|event| OutsideNews { pos, user, event }));
        }
        Ok(news)
    }

    /// The event by which a user has a membership, in the format of clients. What ended it stands in the place of the
    /// stripped state.
    fn outside_event(
        &mut self,
        membership: Membership,
        (stripped, id, json): (String, String, String),
    ) -> Result<Option<Box<RawValue>>> {
        if !membership.is_waiting() {
            let ended: Vec<Box<RawValue>> = serde_json::from_str(&stripped)?;
            let Some(event) = ended.last().and_then(|event| event.get().strip_suffix('}')) else {
                return Ok(None);
            };
            let room_id = serde_json::to_string(self.name)?;
            return Ok(Some(RawValue::from_string(format!("{event},\"room_id\":{room_id}}}"))?));
        }
        let event_id = EventId::parse(id).map_err(|_| Stop::broken("an event's ID is none"))?;
        let event = Checked { event_id, json: RawValue::from_string(json)? };
        let pdu =
            event.pdu(self.row()?.version).map_err(|fault| Stop::broken(fault.to_string()))?;
        let mut text = client_event(&pdu, true);
        if membership == Membership::Invite {
            text.pop();
            text.push_str(&format!(",\"unsigned\":{{\"invite_room_state\":{stripped}}}}}"));
        }
        Ok(Some(RawValue::from_string(text)?))
    }

    pub fn note_out_of_band(
        &mut self,
        version: &'static RoomVersion,
        event: &Checked,
        known: &OutOfBandRow<'_>,
    ) -> Result<Vec<UserNews>> {
        let row = match self.find_row()? {
            Some(row) => row,
            None => {
                let id = RoomId::parse(self.name).map_err(|_| Stop::Refused(Refusal::Absent))?;
                RoomRow::new(id, version, Life::OutOfBand)
            }
        };
        let before = row.pos;
        let pos = before + STEP;
        self.set_row(RoomRow { pos, ..row })?;
        let given = known.stripped.iter().chain([&event.json]);
        let shown: Vec<Box<RawValue>> =
            given.filter_map(|event| event::as_stripped(event)).collect();
        self.sql.run(
            "INSERT INTO out_of_band (user, id, membership, via, stripped, json, pos, ended) VALUES (?, ?, ?, ?, ?, ?, ?, 0)
             ON CONFLICT DO UPDATE SET id = excluded.id, membership = excluded.membership, via = excluded.via,
             stripped = excluded.stripped, json = excluded.json, pos = excluded.pos, ended = excluded.ended",
            values![
                known.user.as_str(),
                event.event_id.as_str(),
                known.membership.as_str(),
                known.via.as_str(),
                &serde_json::to_string(&shown)?,
                event.json.get(),
                pos
            ],
        )?;
        self.tell(Telling::Soon);
        self.news_out_of_band(before)
    }

    /// Ends the attempts to tell a server that a user declined an invite or took back a knock.
    pub fn stop_telling_of_leave(&mut self, user: &UserId) -> Result<()> {
        let update = "UPDATE out_of_band SET retry_at = NULL WHERE user = ?";
        self.sql.run(update, values![user.as_str()])?;
        Ok(())
    }

    /// Forgets a user's invite or knock: the state of the room itself says what their membership is.
    pub fn forget_out_of_band(&mut self, user: &UserId) -> Result<()> {
        self.sql.run("DELETE FROM out_of_band WHERE user = ?", values![user.as_str()])?;
        Ok(())
    }

    /// Ends an invite or a knock; `by` is the event that does so, as clients are shown it.
    fn end(&mut self, user: &UserId, by: &str) -> Result<Vec<UserNews>> {
        let row = self.row()?;
        let before = row.pos;
        let pos = before + STEP;
        self.set_row(RoomRow { pos, ..row })?;
        let update = "UPDATE out_of_band SET membership = 'leave', stripped = ?, pos = ? WHERE user = ? AND membership IN ('invite', 'knock')";
        let shown = format!("[{by}]");
        if self.sql.run(update, values![&shown, pos, user.as_str()])? == 0 {
            return Err(Stop::Refused(Refusal::NotFound));
        }
        self.tell(Telling::Soon);
        self.news_out_of_band(before)
    }
}

/// The leave of a local user as their clients are shown it. The event itself is made with the server that takes it, if
/// there is one: it is not known here.
fn own_leave(room: &Room<'_>, message: &Withdraw) -> String {
    let mut content = json!({ "membership": Membership::Leave });
    if let Some(reason) = &message.reason {
        content["reason"] = json!(reason);
    }
    let event_id = format!("${}", URL_SAFE_NO_PAD.encode(room.moment.draw()));
    let leave = json!({
        "content": content,
        "event_id": event_id,
        "origin_server_ts": room.moment.now,
        "sender": message.user,
        "state_key": message.user,
        "type": "m.room.member",
    });
    leave.to_string()
}

/// The sender of an event that is kept as text.
fn sender_of(json: String) -> Result<Option<OwnedUserId>> {
    let event = RawValue::from_string(json)?;
    Ok(event::field(&event, "sender").and_then(|sender| serde_json::from_str(sender.get()).ok()))
}

/// The version of this name, if it is one that we know.
pub fn supported(version: &str) -> Result<&'static RoomVersion> {
    RoomVersion::of(version).ok_or_else(|| invalid("unsupported room version"))
}
