//! What is held of the devices of another server's user, and is it good?
//! ([device management](https://spec.matrix.org/v1.19/server-server-api/#device-management))
//!
//! The list is good while two things are true: we were told of every change since it was taken, since the user shared a
//! room with one of ours all the while; and each change that we were told of followed on the one before.

use tombolo_platform::{Row, values};

use super::{
    BeginAsk, EndAsk, HeldList, HoldList, NoteDevice, NoteSigning, Result, UserKeys, UserKeysShown,
};

/// What is noted of a list that is held.
#[derive(Clone, Copy)]
struct Remote {
    stream_id: i64,
    /// When the list was asked for (ms); `None`: it has to be asked for again.
    asked_at: Option<u64>,
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
pub fn begin_ask(keys: &mut UserKeys<'_>, message: BeginAsk) -> Result<bool> {
    keys.create()?;
    let insert = "INSERT INTO asking (one, until) VALUES (1, ?1)
                  ON CONFLICT DO UPDATE SET until = excluded.until WHERE until <= ?2 RETURNING 1";
    let begun = keys.sql.row(insert, values![message.until, keys.moment.now], |row| row.int(0))?;
    Ok(begun.is_some())
}

/// Lets the next one ask.
pub fn end_ask(keys: &mut UserKeys<'_>, _: EndAsk) -> Result<()> {
    keys.create()?;
    keys.sql.run("DELETE FROM asking", values![])?;
    Ok(())
}

/// Holds a list, unless a later change was noted meanwhile.
pub fn hold(keys: &mut UserKeys<'_>, message: HoldList) -> Result<()> {
    end_ask(keys, EndAsk {})?;
    let HoldList { stream_id, asked_at, list } = message;
    if keys.remote()?.is_some_and(|remote| remote.stream_id > stream_id) {
        return Ok(());
    }
    keys.hold_devices(&list.devices)?;
    keys.drop_signing()?;
    keys.hold_signing(list.master_key.as_deref(), list.self_signing_key.as_deref())?;
    keys.set_remote(Remote { stream_id, asked_at: Some(asked_at) })
}

/// Notes a change of a device.
pub fn note_device(keys: &mut UserKeys<'_>, message: NoteDevice) -> Result<()> {
    keys.create()?;
    let NoteDevice { device, stream_id, prev_ids, keys: given, deleted, display_name } = message;
    let Some(Remote { stream_id: known, asked_at }) = keys.remote()? else {
        return keys.set_remote(Remote { stream_id, asked_at: None });
    };
    if stream_id == known {
        // It came before, or the list that is held has it.
        return Ok(());
    }
    if stream_id < known {
        // It came late, or its server has lost count: what is held cannot be trusted.
        return keys.set_remote(Remote { stream_id: known, asked_at: None });
    }
    let follows = prev_ids.iter().all(|prev| *prev <= known) && prev_ids.contains(&known);
    match given {
        _ if deleted => keys.let_go(&device)?,
        Some(given) => keys.hold_device(&device, &given, display_name.as_deref())?,
        None => {}
    }
    let asked_at = asked_at.filter(|_| follows);
    keys.set_remote(Remote { stream_id, asked_at })
}

/// Notes a change of the cross-signing keys.
pub fn note_signing(keys: &mut UserKeys<'_>, message: NoteSigning) -> Result<()> {
    if !keys.exists()? || keys.remote()?.is_none() {
        return Ok(());
    }
    keys.hold_signing(message.master_key.as_deref(), message.self_signing_key.as_deref())
}

impl UserKeys<'_> {
    fn remote(&mut self) -> Result<Option<Remote>> {
        let query = "SELECT stream_id, asked_at FROM remote";
        let read = |row: &Row<'_>| {
            let asked_at = row.int_or_null(1)?.and_then(|at| u64::try_from(at).ok());
            Ok(Remote { stream_id: row.int(0)?, asked_at })
        };
        Ok(self.sql.row(query, values![], read)?)
    }

    fn set_remote(&mut self, remote: Remote) -> Result<()> {
        let insert = "INSERT INTO remote (one, stream_id, asked_at) VALUES (1, ?, ?)
                      ON CONFLICT DO UPDATE SET stream_id = excluded.stream_id, asked_at = excluded.asked_at";
        self.sql.run(insert, values![remote.stream_id, remote.asked_at])?;
        Ok(())
    }
}
