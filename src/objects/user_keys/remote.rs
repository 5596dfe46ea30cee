//! What is held of the devices of another server's user, and is it good?
//! ([device management](https://spec.matrix.org/v1.19/server-server-api/#device-management))
//!
//! The list is good while two things are true: we were told of every change since it was taken, since the user shared a
//! room with one of ours all the while; and each change that we were told of followed on the one before.

use tombolo_platform::{Row, SqlError, values};

use super::{
    BeginAsk, Change, ChangesTold, EndAsk, HeldList, HoldList, NoteChange, NoteDevice, NoteSigning,
    Result, UserKeys, UserKeysShown,
};

/// What is noted of a list that is held.
#[derive(Clone, Copy, Default)]
struct Remote {
    stream_id: i64,
    /// When the list was asked for (ms); `None`: it has to be asked for again.
    asked_at: Option<u64>,
    /// When a change of the cross-signing keys was noted last (ms).
    signing_at: Option<u64>,
    /// How many changes were noted, and up to which of them our users were told.
    noted: i64,
    told: i64,
}

/// The list, if it is good.
pub fn held(keys: &mut UserKeys<'_>, message: HeldList) -> Result<Option<UserKeysShown>> {
    let asked_at = match keys.exists()? {
        true => keys.remote()?.and_then(|remote| remote.asked_at),
        false => None,
    };
    if asked_at.is_some_and(|at| at >= message.shared_since) {
        keys.shown().map(Some)
    } else {
        Ok(None)
    }
}

/// Lets one ask at a time.
pub fn begin_ask(keys: &mut UserKeys<'_>, message: BeginAsk) -> Result<Option<u64>> {
    keys.create()?;
    let now = keys.moment.now;
    let insert = "INSERT INTO asking (one, until) VALUES (1, ?1)
                  ON CONFLICT DO UPDATE SET until = excluded.until WHERE until <= ?2 RETURNING 1";
    let begun = keys.sql.row(insert, values![message.until, now], |row| row.int(0))?;
    Ok(begun.map(|_| now))
}

/// Lets the next one ask.
pub fn end_ask(keys: &mut UserKeys<'_>, _: EndAsk) -> Result<()> {
    keys.create()?;
    keys.sql.run("DELETE FROM asking", values![])?;
    Ok(())
}

/// Holds a list, unless a later change of a device was noted meanwhile. Where the cross-signing keys changed meanwhile,
/// the list may have those of before: it has to be asked for again.
pub fn hold(keys: &mut UserKeys<'_>, message: HoldList) -> Result<()> {
    end_ask(keys, EndAsk {})?;
    let HoldList { stream_id, asked_at, list } = message;
    let remote = keys.remote()?;
    if remote.is_some_and(|remote| remote.stream_id > stream_id) {
        return Ok(());
    }
    // Our users may know what was held before, or what they were told when nothing was held. They are told when we are
    // told of the change that this list has already.
    let remote = remote.unwrap_or_default();
    let noted = remote.noted + 1;
    let is_new = remote.signing_at.is_none_or(|at| at < asked_at);
    keys.hold_devices(&list.devices)?;
    keys.drop_signing()?;
    keys.hold_signing(list.master_key.as_deref(), list.self_signing_key.as_deref())?;
    keys.set_remote(Remote { stream_id, asked_at: is_new.then_some(asked_at), noted, ..remote })
}

/// Notes a change.
pub fn note_change(keys: &mut UserKeys<'_>, message: NoteChange) -> Result<Option<i64>> {
    keys.create()?;
    match message.change {
        Change::Device(change) => note_device(keys, change),
        Change::Signing(change) => note_signing(keys, change),
        Change::Unread => note_unread(keys),
    }
}

/// The same for a Worker of an earlier deployment, which tells our users in any case.
pub fn note_device_alone(keys: &mut UserKeys<'_>, message: NoteDevice) -> Result<()> {
    note_change(keys, NoteChange { change: Change::Device(message) }).map(|_| ())
}

/// The same.
pub fn note_signing_alone(keys: &mut UserKeys<'_>, message: NoteSigning) -> Result<()> {
    note_change(keys, NoteChange { change: Change::Signing(message) }).map(|_| ())
}

/// Notes a change of a device.
fn note_device(keys: &mut UserKeys<'_>, message: NoteDevice) -> Result<Option<i64>> {
    let NoteDevice { device, stream_id, prev_ids, keys: given, deleted, display_name } = message;
    // What follows on itself introduces the user, whom ours know of by the room. It is no change, but may overtake the
    // last one, which some of ours may not know: that one is told when it comes.
    let introduces = prev_ids.contains(&stream_id);
    let Some(remote) = keys.remote()? else {
        let remote = Remote { stream_id, ..Remote::default() };
        return if introduces {
            keys.set_remote(Remote { noted: 1, ..remote }).map(|()| None)
        } else {
            keys.note(remote)
        };
    };
    let known = remote.stream_id;
    if stream_id == known && introduces {
        return Ok(None);
    }
    if stream_id == known {
        // It came before, or the list that is held has it: then it is news to our users.
        return Ok(remote.untold());
    }
    // One that is lower came late, or its server has lost count.
    let follows = stream_id > known
        && prev_ids.iter().all(|prev| *prev <= known)
        && prev_ids.contains(&known);
    let applies = match given {
        _ if !follows => false,
        _ if deleted => keys.let_go(&device).map(|()| true)?,
        Some(given) => keys.hold_device(&device, &given, display_name.as_deref()).map(|()| true)?,
        None => false,
    };
    let asked_at = remote.asked_at.filter(|_| applies);
    keys.note(Remote { stream_id, asked_at, ..remote })
}

/// Notes a change of the cross-signing keys.
fn note_signing(keys: &mut UserKeys<'_>, message: NoteSigning) -> Result<Option<i64>> {
    let remote = keys.remote()?;
    let changed =
        keys.hold_signing(message.master_key.as_deref(), message.self_signing_key.as_deref())?;
    match remote {
        // It came before, or the list that is held has it: then it is news to our users.
        Some(remote) if !changed => Ok(remote.untold()),
        remote => {
            let signing_at = Some(keys.moment.now);
            keys.note(Remote { signing_at, ..remote.unwrap_or_default() })
        }
    }
}

/// Notes that there was a change, whatever it was.
fn note_unread(keys: &mut UserKeys<'_>) -> Result<Option<i64>> {
    match keys.remote()? {
        Some(remote) if remote.asked_at.is_none() => Ok(remote.untold()),
        remote => keys.note(Remote { asked_at: None, ..remote.unwrap_or_default() }),
    }
}

/// Notes that our users were told.
pub fn told(keys: &mut UserKeys<'_>, message: ChangesTold) -> Result<()> {
    if keys.exists()? {
        keys.sql.run("UPDATE remote SET told = max(told, ?)", values![message.upto])?;
    }
    Ok(())
}

impl Remote {
    /// The number of the last change, if our users were not told of it.
    fn untold(&self) -> Option<i64> {
        (self.noted > self.told).then_some(self.noted)
    }
}

impl UserKeys<'_> {
    /// Notes a change, after which this is so.
    fn note(&mut self, remote: Remote) -> Result<Option<i64>> {
        let remote = Remote { noted: remote.noted + 1, ..remote };
        self.set_remote(remote)?;
        Ok(remote.untold())
    }

    fn remote(&mut self) -> Result<Option<Remote>> {
        let query = "SELECT stream_id, asked_at, signing_at, noted, told FROM remote";
        let time = |row: &Row<'_>, column| {
            Ok::<_, SqlError>(row.int_or_null(column)?.and_then(|at| u64::try_from(at).ok()))
        };
        let read = |row: &Row<'_>| {
            let (asked_at, signing_at) = (time(row, 1)?, time(row, 2)?);
            let (noted, told) = (row.int(3)?, row.int(4)?);
            Ok(Remote { stream_id: row.int(0)?, asked_at, signing_at, noted, told })
        };
        Ok(self.sql.row(query, values![], read)?)
    }

    fn set_remote(&mut self, remote: Remote) -> Result<()> {
        let Remote { stream_id, asked_at, signing_at, noted, told } = remote;
        let insert = "INSERT INTO remote (one, stream_id, asked_at, signing_at, noted, told) VALUES (1, ?, ?, ?, ?, ?)
                      ON CONFLICT DO UPDATE SET stream_id = excluded.stream_id, asked_at = excluded.asked_at,
                          signing_at = excluded.signing_at, noted = excluded.noted, told = excluded.told";
        self.sql.run(insert, values![stream_id, asked_at, signing_at, noted, told])?;
        Ok(())
    }
}
