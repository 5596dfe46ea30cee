//! How is the room deleted? Local users leave; then what is held of it is removed.
//!
//! The room knows how far a deletion is, and its alarm goes on with it until it is complete, whatever crashes between.
//! From its beginning on the room is closed. What is left to do follows from the tables: who is in the room has still to
//! leave. What is held goes only when every follower was told who left.

use ruma::OwnedServerName;
use tombolo_platform::{Row, values};
use tombolo_protocol::membership::Membership;

use crate::{
    objects::room::{
        Result, Room, STEPS, Telling,
        messages::{
            Delete, Deletion, Deletions, DueDeletion, DueDeletionReply, Leaver, Position, Refusal,
            Settled, Stage, Waits,
        },
        row::Life,
    },
    shell::{Stop, membership},
};

/// How many users leave at once.
const AT_ONCE: usize = 50;
/// How often those are asked to leave who could not,
const MOST_ATTEMPTS: i64 = 10;
/// and after which pause (ms); twice as long each time.
const PAUSE: u64 = 5_000;
/// When it is looked again whether every follower was told (ms); each time after twice as long, up to so often.
const SOON: u64 = 2_000;
const SLOWER: i64 = 8;
/// How long a purge waits for servers and services that have not been told yet what was before the deletion (ms). After
/// which pause it is looked whether they have (ms): twice as long each time, up to so often.
const PATIENCE: u64 = 3 * 86_400_000;
const SELDOM: u64 = 60_000;
const RARELY: i64 = 5;
/// How long it is known of a deletion that it ended (ms).
const KEPT: u64 = 7 * 86_400_000;

/// A deletion that is to go on.
pub struct UnderWay {
    pub deletion: Deletion,
    /// How often it was put off since it came to its stage, or since somebody left.
    attempts: i64,
    /// When it began (ms).
    began: u64,
}

/// Begins a deletion. Of a room that is not known there is nothing to delete; it can be blocked all the same.
pub fn delete(room: &mut Room<'_>, message: Delete) -> Result<()> {
    room.cache.schema.create(room.sql, STEPS)?;
    if room.deletion_under_way()?.is_some() {
        let reason = "This room is being deleted already".to_owned();
        return Err(Stop::Refused(Refusal::BadState(reason)));
    }
    if let Some(by) = &message.block {
        room.set_blocked(Some(by))?;
    }
    let row = room.find_row()?;
    let since = row.as_ref().map(|row| row.pos);
    let users = if since.is_some() { room.leavers()? } else { Vec::new() };
    let deletion = Deletion {
        id: message.id,
        purge: message.purge,
        new_room: message.new_room,
        stage: if since.is_some() { Stage::Leaving } else { Stage::Complete },
        remaining: count(&users),
        users: users.into_iter().map(|leaver| leaver.user).collect(),
        failed: Vec::new(),
        aliases: Vec::new(),
        since: since.unwrap_or_default(),
    };
    if row.is_some_and(|row| row.life == Life::Live) {
        room.set_published(false)?;
    }
    let old = room.moment.now.saturating_sub(KEPT);
    room.sql.run("DELETE FROM deletions WHERE NOT active AND began < ?", values![old])?;
    room.note_deletion(&deletion)?;
    room.wake_at(room.moment.now);
    Ok(())
}

/// What is known of deletions, the newest first.
pub fn deletions(room: &mut Room<'_>, _: Deletions) -> Result<Vec<Deletion>> {
    if !room.cache.schema.exists(room.sql, STEPS)? {
        return Ok(Vec::new());
    }
    let query = "SELECT body FROM deletions ORDER BY began DESC";
    let bodies = room.sql.rows(query, values![], |row| row.text(0))?;
    Ok(bodies.iter().map(|body| serde_json::from_str(body)).collect::<serde_json::Result<_>>()?)
}

/// What is due now of the deletion that is under way.
pub fn due(room: &mut Room<'_>, _: DueDeletion) -> Result<Option<DueDeletionReply>> {
    room.row()?;
    let Some(UnderWay { deletion, attempts, began }) = room.deletion_under_way()? else {
        return Ok(None);
    };
    let now = room.moment.now;
    let mut due = DueDeletionReply {
        id: deletion.id.clone(),
        new_room: deletion.new_room.clone(),
        leaving: Vec::new(),
        settle: false,
        purge: deletion.stage == Stage::Purging,
        waits: None,
        next: now + SOON,
    };
    if due.purge {
        room.wake_at(due.next);
        return Ok(Some(due));
    }
    let leavers = room.leavers()?;
    if !leavers.is_empty() {
        return room.have_leave(UnderWay { deletion, attempts, began }, leavers, due);
    }
    due.settle = deletion.stage == Stage::Leaving;
    // A join that is under way brings somebody in, or ends.
    let is_told = due.settle || room.is_told()?;
    if !is_told || room.is_being_joined()? {
        due.settle = false;
        room.tell(Telling::Soon);
        due.next = now + (SOON << attempts.clamp(0, SLOWER));
        room.put_off(&Deletion { remaining: 0, ..deletion }, attempts, due.next)?;
    } else if !due.settle {
        due.purge = true;
        let waits = room.waits(deletion.since, began)?;
        let last = waits.until.max(now + SELDOM);
        due.next = last.min(now + (SELDOM << attempts.clamp(0, RARELY)));
        due.waits = Some(waits);
        room.put_off(&Deletion { remaining: 0, ..deletion }, attempts, due.next)?;
    }
    room.wake_at(due.next);
    Ok(Some(due))
}

/// Notes that all have left. Without a purge, that is the end.
pub fn settled(room: &mut Room<'_>, message: Settled) -> Result<()> {
    room.row()?;
    let Some(UnderWay { mut deletion, .. }) = room.deletion_under_way()? else { return Ok(()) };
    if deletion.id != message.id || deletion.stage != Stage::Leaving {
        return Ok(());
    }
    deletion.aliases = message.aliases;
    let stage = if deletion.purge { Stage::Left } else { Stage::Complete };
    room.reach(deletion, stage)
}

impl Room<'_> {
    /// Has some leave, or ends the deletion where that was tried in vain too often.
    fn have_leave(
        &mut self,
        UnderWay { mut deletion, attempts, .. }: UnderWay,
        leavers: Vec<Leaver>,
        mut due: DueDeletionReply,
    ) -> Result<Option<DueDeletionReply>> {
        let remaining = count(&leavers);
        // Only where as many are there as before, that was an attempt in vain.
        let attempts = if remaining == deletion.remaining { attempts } else { 0 };
        if attempts >= MOST_ATTEMPTS {
            deletion.failed = leavers.into_iter().map(|leaver| leaver.user).collect();
            self.reach(deletion, Stage::Failed)?;
            return Ok(None);
        }
        due.next = self.moment.now + (PAUSE << attempts);
        self.put_off(&Deletion { remaining, ..deletion }, attempts, due.next)?;
        self.wake_at(due.next);
        due.leaving = leavers.into_iter().take(AT_ONCE).collect();
        Ok(Some(due))
    }

    /// Who is still to be told what was before a deletion.
    fn waits(&mut self, before: Position, began: u64) -> Result<Waits> {
        let servers = self.others_since(before)?;
        Ok(Waits { servers, before, until: began.saturating_add(PATIENCE) })
    }

    /// The deletion that is under way.
    pub fn deletion_under_way(&mut self) -> Result<Option<UnderWay>> {
        let query = "SELECT body, attempts, began FROM deletions WHERE active";
        let read = |row: &Row<'_>| Ok((row.text(0)?, row.int(1)?, row.int(2)?));
        let Some((body, attempts, began)) = self.sql.row(query, values![], read)? else {
            return Ok(None);
        };
        let began = u64::try_from(began).map_err(|_| Stop::broken("a time before 1970"))?;
        Ok(Some(UnderWay { deletion: serde_json::from_str(&body)?, attempts, began }))
    }

    /// The other servers that were in the room since a position.
    fn others_since(&mut self, since: Position) -> Result<Vec<OwnedServerName>> {
        let servers = self.servers_since(since)?.into_iter();
        Ok(servers.filter(|server| *server != self.config.server_name).collect())
    }

    /// Notes that a deletion has come to another stage.
    pub fn reach(&mut self, deletion: Deletion, stage: Stage) -> Result<()> {
        self.note_deletion(&Deletion { stage, ..deletion })
    }

    fn note_deletion(&mut self, deletion: &Deletion) -> Result<()> {
        let active = deletion.stage.is_active();
        let now = self.moment.now;
        let write = "INSERT INTO deletions (id, began, active, attempts, retry_at, body) VALUES (?1, ?2, ?3, 0, ?2, ?4)
             ON CONFLICT DO UPDATE SET active = excluded.active, attempts = 0, retry_at = excluded.retry_at, body = excluded.body";
        let body = serde_json::to_string(deletion)?;
        self.sql.run(write, values![&deletion.id, now, active, &body])?;
        self.cache.is_deleted = Some(active);
        Ok(())
    }

    fn put_off(&mut self, deletion: &Deletion, attempts: i64, until: u64) -> Result<()> {
        let update = "UPDATE deletions SET attempts = ?, retry_at = ?, body = ? WHERE active";
        let body = serde_json::to_string(deletion)?;
        self.sql.run(update, values![attempts + 1, until, &body])?;
        Ok(())
    }

    /// Local users who are in the room, invited to it or knocking, be it known from the room or from outside.
    fn leavers(&mut self) -> Result<Vec<Leaver>> {
        let locals = self.locals()?.into_iter();
        let stays = locals.filter(|(_, membership, _)| {
            *membership == Membership::Join || membership.is_waiting()
        });
        let mut leavers: Vec<Leaver> = stays
            .map(|(user, membership, _)| Leaver { user, membership, outside: false })
            .collect();
        let query = "SELECT user, membership FROM out_of_band WHERE membership IN ('invite', 'knock') ORDER BY user";
        let read = |row: &Row<'_>| Ok((row.text(0)?, membership(row, 1)?));
        for (user, membership) in self.sql.rows(query, values![], read)? {
            let user = user.try_into().map_err(|_| Stop::broken("a local user's ID is none"))?;
            if leavers.iter().all(|leaver| leaver.user != user) {
                leavers.push(Leaver { user, membership, outside: true });
            }
        }
        Ok(leavers)
    }

    /// Whether every follower was told all there is.
    fn is_told(&mut self) -> Result<bool> {
        let row = self.row()?;
        let behind = self.sql.row("SELECT 1 FROM lagging LIMIT 1", values![], |row| row.int(0))?;
        Ok(row.notified_up_to >= row.pos && behind.is_none() && self.listing_due()?.is_none())
    }
}

fn count(leavers: &[Leaver]) -> u64 {
    u64::try_from(leavers.len()).unwrap_or(u64::MAX)
}
