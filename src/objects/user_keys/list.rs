//! What changed in the user's list of devices, and who was told?
//! ([tracking the device list](https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user))
//!
//! Telling is a low-water mark: everybody was told everything up to `told`. A change arms the alarm, which tells again
//! what a request did not.

use ruma::OwnedServerName;
use tombolo_platform::{Row, values};

use super::{
    ListTold, MAKES_SURE, NoteHolder, Result, SigningChange, Untold, UntoldReply, UserKeys, again,
};
use crate::shell::Stop;

/// How long a server that asked for the list is told of changes (ms): by then we know which rooms it is in.
const HOLDS: u64 = 86_400_000;
/// The most servers that are remembered to have asked: of more, the last ones.
const MOST_HOLDERS: i64 = 1000;

/// How far the list came, and what others know of it.
#[derive(Clone, Copy, Default)]
struct List {
    version: i64,
    signing: i64,
    told: i64,
    sent: Option<i64>,
    copied: i64,
    /// Since when somebody has to be told (ms).
    untold_since: Option<u64>,
}

/// What others have not been told yet.
pub fn untold(keys: &mut UserKeys<'_>, _: Untold) -> Result<UntoldReply> {
    if !keys.exists()? {
        return Ok(UntoldReply::default());
    }
    let list = keys.list()?;
    let signing = if list.signing > list.told {
        let signatures = keys.own_signatures()?;
        let held = keys.cross_signing_keys(&signatures)?;
        let (master_key, self_signing_key) = (held.master_key, held.self_signing_key);
        Some(SigningChange { master_key, self_signing_key })
    } else {
        None
    };
    let mut untold = UntoldReply {
        version: list.version,
        devices: keys.devices_since(list.told, list.sent)?,
        signing,
        signed: keys.signed_since(list.told)?,
        counts: keys.counts_untold()?,
        uncopied: list.copied < list.version,
        holders: Vec::new(),
        since: None,
    };
    if untold.changed() {
        untold.holders = keys.holders()?;
    }
    if !untold.is_empty() {
        let since = *keys.cache.untold_since.get_or_insert(keys.moment.now);
        untold.since = Some(list.untold_since.unwrap_or(since));
    }
    Ok(untold)
}

/// Notes what was told.
pub fn told(keys: &mut UserKeys<'_>, message: ListTold) -> Result<()> {
    if !keys.exists()? {
        return Ok(());
    }
    keys.cache.untold_since = None;
    let ListTold { version, sent, counts, copied } = message;
    let update = "UPDATE list SET told = max(told, ?1), sent = coalesce(max(sent, ?2), sent, ?2), copied = max(copied, ?3),
                      untold_since = iif(version <= ?1, NULL, untold_since)
                  WHERE (told < ?1 OR copied < ?3) AND max(copied, ?3) >= ?1";
    keys.sql.run(update, values![version, sent, copied])?;
    for (device, version) in &counts {
        keys.counts_told(device, *version)?;
    }
    Ok(())
}

/// Notes that a server is about to be given the list. It may have come into a room with the user of which we have yet to
/// learn that it did.
pub fn note_holder(keys: &mut UserKeys<'_>, message: NoteHolder) -> Result<bool> {
    if !message.is_there && !keys.exists()? {
        return Ok(false);
    }
    keys.create()?;
    let insert = "INSERT INTO holders (server, asked_at) VALUES (?, ?)
                  ON CONFLICT DO UPDATE SET asked_at = excluded.asked_at";
    keys.sql.run(insert, values![message.server.as_str(), keys.moment.now])?;
    let delete = "DELETE FROM holders WHERE asked_at < ? OR server IN (
                      SELECT server FROM holders ORDER BY asked_at DESC LIMIT -1 OFFSET ?)";
    let known = keys.moment.now.saturating_sub(HOLDS);
    keys.sql.run(delete, values![known, MOST_HOLDERS])?;
    Ok(true)
}

impl UserKeys<'_> {
    /// The servers that asked for the list a while ago.
    fn holders(&mut self) -> Result<Vec<OwnedServerName>> {
        let query = "SELECT server FROM holders WHERE asked_at >= ? ORDER BY server";
        let known = self.moment.now.saturating_sub(HOLDS);
        let servers = self.sql.rows(query, values![known], |row| row.text(0))?;
        let broken = |_| Stop::broken("a server that asked has no name");
        servers.into_iter().map(|server| server.try_into().map_err(broken)).collect()
    }

    fn list(&mut self) -> Result<List> {
        let query = "SELECT version, signing, told, sent, copied, untold_since FROM list";
        let read = |row: &Row<'_>| {
            let (version, signing, told) = (row.int(0)?, row.int(1)?, row.int(2)?);
            let (sent, copied) = (row.int_or_null(3)?, row.int(4)?);
            let untold_since = row.int_or_null(5)?.and_then(|since| u64::try_from(since).ok());
            Ok(List { version, signing, told, sent, copied, untold_since })
        };
        Ok(self.sql.row(query, values![], read)?.unwrap_or_default())
    }

    /// The version of the list.
    pub fn version(&mut self) -> Result<i64> {
        Ok(self.list()?.version)
    }

    /// A new version of the list, which others have to be told of.
    pub fn next_version(&mut self) -> Result<i64> {
        let insert = "INSERT INTO list (one, version, signing, told, untold_since) VALUES (1, 1, 0, 0, ?)
                      ON CONFLICT DO UPDATE SET version = version + 1,
                          untold_since = coalesce(untold_since, excluded.untold_since) RETURNING version";
        let now = values![self.moment.now];
        let version = self.sql.row(insert, now, |row| row.int(0))?.unwrap_or_default();
        self.make_sure();
        Ok(version)
    }

    /// Notes that the cross-signing keys, or what is shown of them, changed.
    pub fn touch_signing(&mut self) -> Result<()> {
        let version = self.next_version()?;
        self.sql.run("UPDATE list SET signing = ?", values![version])?;
        Ok(())
    }

    /// Has the alarm copy what an earlier build has told without a copy. It is looked for once in a stay in memory.
    pub fn copy_what_is_not(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.cache.looked, true) || !self.exists()? {
            return Ok(());
        }
        let (list, now) = (self.list()?, self.moment.now);
        if list.copied < list.version {
            self.effects.alarm_at(again(list.untold_since.unwrap_or(now), now));
        }
        Ok(())
    }

    /// Has the alarm tell what nobody has told until then.
    pub fn make_sure(&mut self) {
        self.cache.untold_since.get_or_insert(self.moment.now);
        self.effects.alarm_at(self.moment.now + MAKES_SURE);
    }
}
