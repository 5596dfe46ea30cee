//! Which backups of their room keys does a user have, and what is in them?
//! ([server-side key backups](https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups))
//!
//! Only the newest backup that is not deleted takes keys. Its keys are counted as they come and go: a backup may hold
//! hundreds of thousands.

use ruma::{OwnedRoomId, RoomId, UInt};
use serde_json::value::RawValue;
use tombolo_platform::{Row, SqlError, values};

use super::{Refusal, Result, UserKeys, messages::*};
use crate::shell::Stop;

/// How many backups a user may have.
const MAX_BACKUPS: i64 = 100;
/// How many keys a user may have, in all backups. An object holds 10 GB, and a key with its session some 9 KB at most.
const MAX_KEYS: i64 = 1_000_000;
/// How many keys are read at once: far less than 32 MiB, which is the most that a message holds.
const PAGE: usize = 1000;

/// A backup without its keys.
struct Held {
    version: i64,
    etag: i64,
    count: i64,
}

impl Held {
    fn read(row: &Row<'_>) -> std::result::Result<Self, SqlError> {
        Ok(Self { version: row.int(0)?, etag: row.int(1)?, count: row.int(2)? })
    }

    fn contents(&self) -> Result<Contents> {
        let count = u64::try_from(self.count).ok().and_then(|count| UInt::try_from(count).ok());
        let count = count.ok_or_else(|| Stop::broken("a backup's keys are miscounted"))?;
        Ok(Contents { etag: self.etag.to_string(), count })
    }
}

pub fn create(keys: &mut UserKeys<'_>, message: CreateBackup) -> Result<String> {
    keys.create()?;
    keys.must_be_active()?;
    let query = "SELECT count(*) FROM backups";
    if keys.sql.row(query, values![], |row| row.int(0))?.unwrap_or_default() >= MAX_BACKUPS {
        return Err(Stop::Refused(Refusal::Forbidden("Delete a backup first".to_owned())));
    }
    // A version is never given out twice: a client that knows the first would take the second for it.
    let next = "INSERT INTO backup_versions (one, last) VALUES (1, 1)
                ON CONFLICT DO UPDATE SET last = last + 1 RETURNING last";
    let version = keys.sql.row(next, values![], |row| row.int(0))?;
    let version = version.ok_or_else(|| Stop::broken("a backup got no version"))?;
    let insert =
        "INSERT INTO backups (version, algorithm, auth_data, etag, count) VALUES (?, ?, ?, 0, 0)";
    keys.sql.run(insert, values![version, &message.algorithm, message.auth_data.get()])?;
    Ok(version.to_string())
}

pub fn info(keys: &mut UserKeys<'_>, message: Backup) -> Result<BackupInfo> {
    let held = match &message.version {
        Some(version) => keys.backup(version)?,
        None => keys.newest_backup()?,
    };
    let query = "SELECT algorithm, auth_data FROM backups WHERE version = ?";
    let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?));
    let found = keys.sql.row(query, values![held.version], read)?;
    let (algorithm, auth_data) = found.ok_or(Stop::Refused(Refusal::NotFound))?;
    let auth_data = RawValue::from_string(auth_data)?;
    let (version, contents) = (held.version.to_string(), held.contents()?);
    Ok(BackupInfo { version, algorithm, auth_data, contents })
}

pub fn update(keys: &mut UserKeys<'_>, message: UpdateBackup) -> Result<()> {
    let held = keys.backup(&message.version)?;
    let update = "UPDATE backups SET auth_data = ? WHERE version = ? AND algorithm = ? RETURNING 1";
    let auth_data = message.auth_data.get();
    let values = values![auth_data, held.version, &message.algorithm];
    let updated = keys.sql.row(update, values, |row| row.int(0))?;
    let other = || Refusal::Invalid("The algorithm of a backup does not change".to_owned());
    updated.map(drop).ok_or_else(|| Stop::Refused(other()))
}

pub fn delete(keys: &mut UserKeys<'_>, message: DeleteBackup) -> Result<()> {
    let version = keys.backup_version(&message.version)?;
    keys.sql.run("DELETE FROM backup_keys WHERE version = ?", values![version])?;
    keys.sql.run("DELETE FROM backups WHERE version = ?", values![version])?;
    Ok(())
}

pub fn store_keys(keys: &mut UserKeys<'_>, message: StoreBackupKeys) -> Result<Contents> {
    let held = keys.backup(&message.version)?;
    let newest = keys.newest_backup()?.version;
    if held.version != newest {
        return Err(Stop::Refused(Refusal::WrongVersion(newest.to_string())));
    }
    let (mut added, mut replaced) = (0, 0);
    for (room_id, sessions) in &message.keys {
        for (session_id, key) in sessions {
            let session = Session { version: held.version, room_id, session_id };
            match session.worth(keys)? {
                Some(worth) if worth >= key.worth() => continue,
                Some(_) => replaced += 1,
                None => added += 1,
            }
            session.write(keys, key)?;
        }
    }
    let contents = keys.note_backup(held, added, replaced > 0)?;
    let query = "SELECT sum(count) FROM backups";
    if keys.sql.row(query, values![], |row| row.int(0))?.unwrap_or_default() > MAX_KEYS {
        return Err(Stop::Refused(Refusal::Forbidden("The backups are full".to_owned())));
    }
    Ok(contents)
}

pub fn delete_keys(keys: &mut UserKeys<'_>, message: DeleteBackupKeys) -> Result<Contents> {
    let held = keys.backup(&message.version)?;
    let (version, room_id) = (held.version, message.room_id.as_ref());
    let deleted = match (room_id, &message.session_id) {
        (None, _) => {
            keys.sql.run("DELETE FROM backup_keys WHERE version = ?", values![version])?;
            held.count
        }
        (Some(room_id), None) => {
            let count = "SELECT count(*) FROM backup_keys WHERE version = ? AND room = ?";
            let count =
                keys.sql.row(count, values![version, room_id.as_str()], |row| row.int(0))?;
            let delete = "DELETE FROM backup_keys WHERE version = ? AND room = ?";
            keys.sql.run(delete, values![version, room_id.as_str()])?;
            count.unwrap_or_default()
        }
        (Some(room_id), Some(session)) => {
            let delete = "DELETE FROM backup_keys WHERE version = ? AND room = ? AND session = ? RETURNING 1";
            let values = values![version, room_id.as_str(), session];
            keys.sql.row(delete, values, |row| row.int(0))?.unwrap_or_default()
        }
    };
    keys.note_backup(held, -deleted, false)
}

pub fn session(keys: &mut UserKeys<'_>, message: SessionBackup) -> Result<BackupKey> {
    let version = keys.backup(&message.version)?.version;
    let query = "SELECT is_verified, first_message_index, forwarded_count, session_data
                 FROM backup_keys WHERE version = ? AND room = ? AND session = ?";
    let values = values![version, message.room_id.as_str(), &message.session_id];
    let found = keys.sql.row(query, values, |row| Stored::read(row, 0))?;
    found.ok_or(Stop::Refused(Refusal::NotFound))?.key()
}

pub fn page(keys: &mut UserKeys<'_>, message: BackupPage) -> Result<PageOfKeys> {
    let version = keys.backup(&message.version)?.version;
    // Every room and every session has a name that is greater than an empty text.
    let (after, session) = message.after.map_or_else(
        || (String::new(), String::new()),
        |(room, session)| (room.to_string(), session),
    );
    let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?, Stored::read(row, 2)?));
    let found = match &message.room_id {
        None => {
            let query = "SELECT room, session, is_verified, first_message_index, forwarded_count, session_data
                         FROM backup_keys WHERE version = ? AND (room, session) > (?, ?)
                         ORDER BY room, session LIMIT ?";
            keys.sql.rows(query, values![version, &after, &session, PAGE], read)?
        }
        Some(room_id) => {
            let query = "SELECT room, session, is_verified, first_message_index, forwarded_count, session_data
                         FROM backup_keys WHERE version = ? AND room = ? AND session > ?
                         ORDER BY session LIMIT ?";
            keys.sql.rows(query, values![version, room_id.as_str(), &session, PAGE], read)?
        }
    };
    let more = found.len() == PAGE;
    let of = |(room, session, key): (String, String, Stored)| {
        let room_id: OwnedRoomId =
            RoomId::parse(&*room).map_err(|_| Stop::broken("a backup has a room without an ID"))?;
        Ok((room_id, session, key.key()?))
    };
    let keys = found.into_iter().map(of).collect::<Result<_>>()?;
    Ok(PageOfKeys { keys, more })
}

/// A key as its row has it.
struct Stored {
    worth: Worth,
    session_data: String,
}

impl Stored {
    /// From this column on.
    fn read(row: &Row<'_>, column: usize) -> std::result::Result<Self, SqlError> {
        Ok(Self { worth: worth(row, column)?, session_data: row.text(column + 3)? })
    }

    fn key(self) -> Result<BackupKey> {
        let Worth { is_verified, first_message_index, forwarded_count } = self.worth;
        let session_data = RawValue::from_string(self.session_data)?;
        Ok(BackupKey { first_message_index, forwarded_count, is_verified, session_data })
    }
}

fn worth(row: &Row<'_>, column: usize) -> std::result::Result<Worth, SqlError> {
    let number = |index| {
        let wrong = SqlError::Column { index, wanted: "count" };
        let number = u64::try_from(row.int(index)?).ok();
        number.and_then(|number| UInt::try_from(number).ok()).ok_or(wrong)
    };
    Ok(Worth {
        is_verified: row.int(column)? != 0,
        first_message_index: number(column + 1)?,
        forwarded_count: number(column + 2)?,
    })
}

/// Where the key of a session lies.
struct Session<'a> {
    version: i64,
    room_id: &'a RoomId,
    session_id: &'a str,
}

impl Session<'_> {
    /// What the key that is held is worth.
    fn worth(&self, keys: &UserKeys<'_>) -> Result<Option<Worth>> {
        let query = "SELECT is_verified, first_message_index, forwarded_count
                     FROM backup_keys WHERE version = ? AND room = ? AND session = ?";
        let values = values![self.version, self.room_id.as_str(), self.session_id];
        Ok(keys.sql.row(query, values, |row| worth(row, 0))?)
    }

    fn write(&self, keys: &UserKeys<'_>, key: &BackupKey) -> Result<()> {
        let replace = "INSERT OR REPLACE INTO backup_keys
            (version, room, session, is_verified, first_message_index, forwarded_count, session_data)
            VALUES (?, ?, ?, ?, ?, ?, ?)";
        let values = values![
            self.version,
            self.room_id.as_str(),
            self.session_id,
            key.is_verified,
            u64::from(key.first_message_index),
            u64::from(key.forwarded_count),
            key.session_data.get(),
        ];
        keys.sql.run(replace, values)?;
        Ok(())
    }
}

impl UserKeys<'_> {
    /// Deletes all backups.
    pub fn drop_backups(&mut self) -> Result<()> {
        self.sql.run("DELETE FROM backup_keys", values![])?;
        self.sql.run("DELETE FROM backups", values![])?;
        Ok(())
    }

    /// The backup of this version.
    fn backup(&mut self, version: &str) -> Result<Held> {
        let version = self.backup_version(version)?;
        let query = "SELECT version, etag, count FROM backups WHERE version = ?";
        let held = self.sql.row(query, values![version], Held::read)?;
        held.ok_or(Stop::Refused(Refusal::NotFound))
    }

    /// The newest backup.
    fn newest_backup(&mut self) -> Result<Held> {
        if !self.exists()? {
            return Err(Stop::Refused(Refusal::NotFound));
        }
        let query = "SELECT version, etag, count FROM backups ORDER BY version DESC LIMIT 1";
        self.sql.row(query, values![], Held::read)?.ok_or(Stop::Refused(Refusal::NotFound))
    }

    /// The number of a version that was given out once.
    fn backup_version(&mut self, version: &str) -> Result<i64> {
        if !self.exists()? {
            return Err(Stop::Refused(Refusal::NotFound));
        }
        let query = "SELECT last FROM backup_versions";
        let last = self.sql.row(query, values![], |row| row.int(0))?.unwrap_or_default();
        let number: Option<i64> = version.parse().ok();
        // Such as `+1` and `01` were never given out.
        let number = number.filter(|number| number.to_string() == version);
        let number = number.filter(|number| (1..=last).contains(number));
        number.ok_or(Stop::Refused(Refusal::NotFound))
    }

    /// Notes what became of a backup's keys: so many more, and whether any was replaced.
    fn note_backup(&mut self, held: Held, more: i64, replaced: bool) -> Result<Contents> {
        if more == 0 && !replaced {
            return held.contents();
        }
        let Held { version, etag, count } = held;
        let now = Held { version, etag: etag + 1, count: count + more };
        let update = "UPDATE backups SET etag = ?, count = ? WHERE version = ?";
        self.sql.run(update, values![now.etag, now.count, now.version])?;
        now.contents()
    }
}
