//! Who may see an event?
//! ([history visibility](https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility))

use ruma::{ServerName, UserId};
use tombolo_platform::values;
use tombolo_protocol::{membership::Membership, visibility::HistoryVisibility};

use crate::{
    objects::room::{
        FOREVER, Result, Room,
        graph::events::{Before, Stored},
        messages::{Position, Refusal},
        sending::merge::DUMMY,
    },
    shell::Stop,
};

/// A period of the mainline in which a user's membership was the same.
#[derive(Clone, Debug)]
pub struct Period {
    pub since: Position,
    /// Exclusive; `None`: still so.
    pub until: Option<Position>,
    pub membership: Membership,
}

/// A user's memberships on the mainline, from the beginning to now.
#[derive(Clone, Debug, Default)]
pub struct Memberships(Vec<Period>);

impl Memberships {
    /// The membership on the mainline at a position.
    pub fn at(&self, pos: Position) -> Option<Membership> {
        self.period(pos).map(|period| period.membership)
    }

    /// When the membership began that the user has at a position.
    pub fn since(&self, pos: Position) -> Option<Position> {
        self.period(pos).map(|period| period.since)
    }

    fn period(&self, pos: Position) -> Option<&Period> {
        let holds =
            |period: &&Period| period.since <= pos && period.until.is_none_or(|until| pos < until);
        self.0.iter().find(holds)
    }

    /// The periods in which the user was joined.
    fn stays(&self) -> impl Iterator<Item = &Period> {
        self.0.iter().filter(|period| period.membership == Membership::Join)
    }

    /// Whether the user was joined at a position or any time after it.
    fn joined_after(&self, pos: Position) -> bool {
        self.stays().any(|stay| stay.until.is_none_or(|until| until > pos))
    }

    /// Whether the user was joined at any time from a position on until before another.
    pub fn joined_between(&self, since: Position, until: Position) -> bool {
        self.stays().any(|stay| stay.since < until && stay.until.is_none_or(|left| left > since))
    }

    /// Whether the user was joined at a position or any time before it.
    pub fn joined_until(&self, pos: Position) -> bool {
        self.stays().any(|stay| stay.since <= pos)
    }

    /// When the user first joined, up to a position.
    pub fn first_joined(&self, pos: Position) -> Option<Position> {
        self.stays().map(|stay| stay.since).filter(|since| *since <= pos).min()
    }

    /// When the user's next stay after a position began.
    fn next_joined(&self, pos: Position) -> Option<Position> {
        self.stays().map(|stay| stay.since).filter(|since| *since > pos).min()
    }

    /// Where the user's last stay ended, up to a position.
    pub fn last_left(&self, pos: Position) -> Option<Position> {
        self.stays().filter_map(|stay| stay.until).filter(|until| *until <= pos).max()
    }

    /// Where the user's view of the room ends: at their leave, or at `to`.
    pub fn visible_end(&self, to: Position) -> Position {
        if self.at(to) == Some(Membership::Join) { to } else { self.last_left(to).unwrap_or(to) }
    }

    /// Whether an invite or a knock, after an earlier stay, ended between two positions without another stay.
    pub fn uncovered(&self, since: Position, until: Position) -> bool {
        let covers = |pos| self.at(pos).is_some_and(Membership::is_waiting);
        covers(since)
            && !covers(until)
            && self.joined_until(since)
            && !self.joined_between(since, until + 1)
    }

    /// Whether the user, with this membership at a position, may see what is there under a visibility.
    fn see(&self, visibility: &str, membership: Option<Membership>, pos: Position) -> bool {
        HistoryVisibility::of(Some(visibility))
            .shows(membership.unwrap_or(Membership::Leave), self.joined_after(pos))
    }

    /// Whether the user is joined now.
    pub fn joined(&self) -> bool {
        self.stays().any(|stay| stay.until.is_none())
    }
}

/// Up to where a server may read.
#[derive(Clone, Copy, Debug)]
pub struct Horizon(Position);

impl Horizon {
    /// Whether an event is within the horizon. An event without a place is shown only to servers in the room.
    pub fn covers(self, event: &Stored) -> bool {
        let place = event.pos.or(event.before.map(|before| before.at));
        place.map_or(self.0 == FOREVER, |place| place <= self.0)
    }
}

impl Room<'_> {
    /// A user's memberships on the mainline.
    pub fn memberships(&mut self, user: &UserId) -> Result<Memberships> {
        let query = "SELECT sn, since, until FROM past WHERE type = 'm.room.member' AND key = ?1
                     UNION ALL SELECT sn, since, NULL FROM now WHERE type = 'm.room.member' AND key = ?1";
        let rows = self.sql.rows(query, values![user.as_str()], |row| {
            Ok((row.int(0)?, row.int(1)?, row.int_or_null(2)?))
        })?;
        let mut memberships = Vec::new();
        for (sn, since, until) in rows {
            let membership = self.event(sn)?.pdu.membership().unwrap_or(Membership::Leave);
            memberships.push(Period { since, until, membership });
        }
        Ok(Memberships(memberships))
    }

    /// A user's membership in the state before an event.
    pub fn membership_before(
        &mut self,
        user: &UserId,
        memberships: &Memberships,
        before: Before,
    ) -> Result<Option<Membership>> {
        if before.fork.is_none() {
            return Ok(memberships.at(before.at));
        }
        let member = self.value(before, "m.room.member", user.as_str())?;
        Ok(member.map(|sn| self.event(sn)).transpose()?.and_then(|event| event.pdu.membership()))
    }

    /// Whether a user may see an event of the timeline.
    pub fn user_sees(
        &mut self,
        user: &UserId,
        memberships: &Memberships,
        event: &Stored,
    ) -> Result<bool> {
        let (Some(pos), Some(before)) = (event.pos, event.before) else { return Ok(false) };
        if event.pdu.kind() == DUMMY {
            return Ok(false);
        }
        // Clients would hide the target of a redaction even where the redaction has no effect.
        if event.pdu.kind() == "m.room.redaction" && !self.is_in_effect(event)? {
            return Ok(false);
        }
        // Users always see what became of their own membership.
        if event.pdu.is("m.room.member", user.as_str()) {
            return Ok(true);
        }
        let membership = self.membership_before(user, memberships, before)?;
        let visibilities = self.visibilities(event, before)?;
        let shows = |visibility: &String| memberships.see(visibility, membership, pos);
        Ok(visibilities.iter().any(shows))
    }

    /// Whether a user may see an event without a place in the timeline: one that is or was part of the state while they
    /// were in the room.
    pub fn user_sees_as_state(
        &mut self,
        memberships: &Memberships,
        event: &Stored,
    ) -> Result<bool> {
        let Some((kind, key)) = event.pdu.key().filter(|_| event.pos.is_none()) else {
            return Ok(false);
        };
        let query = "SELECT since, until FROM past WHERE type = ?1 AND key = ?2 AND sn = ?3
                     UNION ALL SELECT since, NULL FROM now WHERE type = ?1 AND key = ?2 AND sn = ?3";
        let held = self.sql.rows(query, values![kind, key, event.sn], |row| {
            Ok((row.int(0)?, row.int_or_null(1)?))
        })?;
        let mut held = held.into_iter();
        Ok(held.any(|(since, until)| memberships.joined_between(since, until.unwrap_or(FOREVER))))
    }

    /// From where on a user may see the state of the room: from this position if they may see it, else from the start
    /// of their next stay.
    pub fn seen_from(
        &mut self,
        memberships: &Memberships,
        pos: Position,
    ) -> Result<Option<Position>> {
        let held = self.value(Before { at: pos, fork: None }, "m.room.history_visibility", "")?;
        let held = held.map(|sn| self.event(sn)).transpose()?;
        let visibility = held.and_then(|event| event.pdu.content_str("history_visibility"));
        let visibility = visibility.as_deref().unwrap_or("shared");
        if memberships.see(visibility, memberships.at(pos), pos) {
            return Ok(Some(pos));
        }
        Ok(memberships.next_joined(pos))
    }

    /// Whether some user of a server may see an event.
    pub fn server_sees(&mut self, server: &ServerName, event: &Stored) -> Result<bool> {
        if self.is_erased_for_server(server, event)? {
            return Ok(false);
        }
        let Some(before) = event.before else { return Ok(true) };
        let at = event.pos.unwrap_or(before.at);
        let query = "SELECT 1 FROM servers WHERE server = ? AND members >= 0 AND since <= ? AND (until IS NULL OR until >= ?)";
        let present =
            self.sql.row(query, values![server.as_str(), at, at], |row| row.int(0))?.is_some();
        let visibilities = self.visibilities(event, before)?;
        let is_open = |visibility: &String| !matches!(visibility.as_str(), "joined" | "invited");
        if present || visibilities.iter().any(is_open) {
            return Ok(true);
        }
        if !visibilities.iter().any(|visibility| visibility == "invited") {
            return Ok(false);
        }
        // Not by `LIKE`: the platform refuses a pattern as long as some server names.
        let query = "SELECT sn FROM now WHERE type = 'm.room.member' AND substr(key, instr(key, ':') + 1) = ?1 AND since <= ?2
                     UNION ALL SELECT sn FROM past WHERE type = 'm.room.member' AND substr(key, instr(key, ':') + 1) = ?1
                     AND since <= ?2 AND until > ?2";
        for sn in self.sql.rows(query, values![server.as_str(), at], |row| row.int(0))? {
            if self.event(sn)?.pdu.membership() == Some(Membership::Invite) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Up to where a server may read the room: to the end while it has a user in it, else to the event that removed the
    /// last one, so that it can learn what led there. Refused if it never was in the room, or the room keeps it out.
    pub fn entitled(&mut self, server: &ServerName) -> Result<Horizon> {
        self.graph()?;
        match self.heard_until(server)? {
            Some(until) if self.allows(server)? => Ok(Horizon(until)),
            _ => {
                Err(Stop::Refused(Refusal::Forbidden("your server is not in the room".to_owned())))
            }
        }
    }

    /// The visibility before an event and, for a change of it, after.
    fn visibilities(&mut self, event: &Stored, before: Before) -> Result<Vec<String>> {
        let held = self.value(before, "m.room.history_visibility", "")?;
        let held = held.map(|sn| self.event(sn)).transpose()?;
        let read = |event: &Stored| event.pdu.content_str("history_visibility");
        let mut visibilities =
            vec![held.and_then(|event| read(&event)).unwrap_or_else(|| "shared".to_owned())];
        if event.pdu.is("m.room.history_visibility", "") {
            visibilities.extend(read(event));
        }
        Ok(visibilities)
    }
}
