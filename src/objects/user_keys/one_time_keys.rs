//! Which keys can be claimed, each once?
//! ([one-time and fallback keys](https://spec.matrix.org/v1.19/client-server-api/#one-time-and-fallback-keys))

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;
use tombolo_platform::{Row, values};

use super::{
    ClaimKeys, Claimed, KeyCounts, Result, UserKeys,
    signed_json::{MAX_KEY, SignedJson, invalid, malformed},
};

/// The most one-time keys of a device. A client keeps about 50.
const MAX_KEYS: u64 = 1000;
/// How long a key is known that was claimed (ms).
const KNOWN_FOR: u64 = 7 * 86_400_000;
/// The longest name of a key, `<algorithm>:<id>`, in bytes.
const MAX_NAME: usize = 255;
/// The most algorithms of fallback keys of a device.
const MAX_FALLBACKS: i64 = 16;

/// Claims keys: each one-time key is given once, the oldest first; then the fallback key.
pub fn claim(keys: &mut UserKeys<'_>, message: ClaimKeys) -> Result<Vec<Claimed>> {
    let mut claimed = Vec::new();
    if !keys.exists()? {
        return Ok(claimed);
    }
    for (device, algorithm) in message.wanted {
        if let Some((id, key)) = keys.take_key(&device, &algorithm)? {
            let key_id = format!("{algorithm}:{id}");
            claimed.push(Claimed { device, key_id, key: RawValue::from_string(key)? });
        }
    }
    Ok(claimed)
}

impl UserKeys<'_> {
    /// Adds one-time keys; answers whether there are new ones. A key that is held, or was claimed, may come again, if it
    /// is the same: its client has not heard that it came.
    pub fn add_one_time_keys(
        &mut self,
        device: &str,
        given: &BTreeMap<String, Box<RawValue>>,
    ) -> Result<bool> {
        let held: u64 = self.one_time_counts(device)?.values().sum();
        let known = self.moment.now.saturating_sub(KNOWN_FOR);
        let forget = "DELETE FROM one_time_keys WHERE device = ? AND claimed_at < ?";
        self.sql.run(forget, values![device, known])?;
        let query = "SELECT max(came_at) FROM one_time_keys WHERE device = ?";
        let last = self.sql.row(query, values![device], |row| row.int_or_null(0))?.flatten();
        let came_at = self.moment.now.max(last.map_or(0, i64::unsigned_abs) + 1);
        let mut added = 0;
        for (name, key) in given {
            let (algorithm, id) = parts(name, key)?;
            let query =
                "SELECT key FROM one_time_keys WHERE device = ? AND algorithm = ? AND id = ?";
            match self.sql.row(query, values![device, algorithm, id], |row| row.text(0))? {
                Some(held) if same(&held, key)? => {}
                Some(_) => return Err(invalid(&format!("the key {name} exists, and is another"))),
                None => {
                    added += 1;
                    let insert = "INSERT INTO one_time_keys (device, algorithm, id, came_at, key) VALUES (?, ?, ?, ?, ?)";
                    let values = values![device, algorithm, id, came_at, key.get()];
                    self.sql.run(insert, values)?;
                }
            }
        }
        if held + added > MAX_KEYS {
            return Err(invalid("the device has too many one-time keys"));
        }
        Ok(added > 0)
    }

    /// Sets the fallback keys of algorithms; answers whether there are new ones, which count as unused.
    pub fn set_fallback_keys(
        &mut self,
        device: &str,
        given: &BTreeMap<String, Box<RawValue>>,
    ) -> Result<bool> {
        let (mut algorithms, mut replaced) = (BTreeSet::new(), false);
        for (name, key) in given {
            let (algorithm, id) = parts(name, key)?;
            if !algorithms.insert(algorithm) {
                return Err(invalid("there is one fallback key of an algorithm"));
            }
            let insert = "INSERT INTO fallback_keys (device, algorithm, id, key, used) VALUES (?, ?, ?, ?, 0)
                          ON CONFLICT DO UPDATE SET id = excluded.id, key = excluded.key, used = 0
                          WHERE id <> excluded.id OR key <> excluded.key RETURNING 1";
            let values = values![device, algorithm, id, key.get()];
            replaced |= self.sql.row(insert, values, |row| row.int(0))?.is_some();
        }
        let query = "SELECT count(*) FROM fallback_keys WHERE device = ?";
        let count = self.sql.row(query, values![device], |row| row.int(0))?.unwrap_or_default();
        if count > MAX_FALLBACKS {
            return Err(invalid("the device has fallback keys of too many algorithms"));
        }
        Ok(replaced)
    }

    fn take_key(&mut self, device: &str, algorithm: &str) -> Result<Option<(String, String)>> {
        let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?));
        let update = "UPDATE one_time_keys SET claimed_at = ?3 WHERE device = ?1 AND algorithm = ?2 AND id = (
                          SELECT id FROM one_time_keys WHERE device = ?1 AND algorithm = ?2 AND claimed_at IS NULL
                          ORDER BY came_at, id LIMIT 1)
                      RETURNING id, key";
        let values = values![device, algorithm, self.moment.now];
        if let Some(taken) = self.sql.row(update, values, read)? {
            self.note_counts(device)?;
            return Ok(Some(taken));
        }
        let query = "SELECT id, key, used FROM fallback_keys WHERE device = ? AND algorithm = ?";
        let read = |row: &Row<'_>| Ok((row.text(0)?, row.text(1)?, row.int(2)? != 0));
        let Some((id, key, used)) = self.sql.row(query, values![device, algorithm], read)? else {
            return Ok(None);
        };
        if !used {
            let update = "UPDATE fallback_keys SET used = 1 WHERE device = ? AND algorithm = ?";
            self.sql.run(update, values![device, algorithm])?;
            self.note_counts(device)?;
        }
        Ok(Some((id, key)))
    }

    /// Forgets the keys of a device.
    pub fn drop_one_time_keys(&mut self, device: &str) -> Result<()> {
        self.sql.run("DELETE FROM one_time_keys WHERE device = ?", values![device])?;
        self.sql.run("DELETE FROM fallback_keys WHERE device = ?", values![device])?;
        // A younger device of this name counts on, so that what was said of this one is never newer.
        let update = "UPDATE counts SET version = version + 1, told = version + 1 WHERE device = ?";
        self.sql.run(update, values![device])?;
        Ok(())
    }

    fn one_time_counts(&mut self, device: &str) -> Result<BTreeMap<String, u64>> {
        let query = "SELECT algorithm, count(*) FROM one_time_keys WHERE device = ? AND claimed_at IS NULL GROUP BY algorithm";
        let rows = self.sql.rows(query, values![device], |row| Ok((row.text(0)?, row.int(1)?)))?;
        let count = |count: i64| u64::try_from(count).unwrap_or_default();
        Ok(rows.into_iter().map(|(algorithm, held)| (algorithm, count(held))).collect())
    }

    /// What a device has left.
    pub fn counts_of(&mut self, device: &str) -> Result<KeyCounts> {
        let query = "SELECT version FROM counts WHERE device = ?";
        let version = self.sql.row(query, values![device], |row| row.int(0))?.unwrap_or_default();
        let query =
            "SELECT algorithm FROM fallback_keys WHERE device = ? AND used = 0 ORDER BY algorithm";
        let unused_fallback_keys = self.sql.rows(query, values![device], |row| row.text(0))?;
        let one_time_keys = self.one_time_counts(device)?;
        Ok(KeyCounts { version, one_time_keys, unused_fallback_keys })
    }

    /// Notes that what a device has left changed, and has the alarm make sure that this is told.
    pub fn note_counts(&mut self, device: &str) -> Result<()> {
        let insert = "INSERT INTO counts (device, version, told) VALUES (?, 1, 0)
                      ON CONFLICT DO UPDATE SET version = version + 1";
        self.sql.run(insert, values![device])?;
        self.make_sure();
        Ok(())
    }

    /// The devices of which the keys changed since that was told.
    pub fn counts_untold(&mut self) -> Result<Vec<(String, KeyCounts)>> {
        let query = "SELECT device FROM counts WHERE version > told ORDER BY device";
        let devices = self.sql.rows(query, values![], |row| row.text(0))?;
        let mut untold = Vec::new();
        for device in devices {
            let counts = self.counts_of(&device)?;
            untold.push((device, counts));
        }
        Ok(untold)
    }

    /// Notes that this version of a device's counts was told.
    pub fn counts_told(&mut self, device: &str, version: i64) -> Result<()> {
        let update = "UPDATE counts SET told = max(told, ?) WHERE device = ?";
        self.sql.run(update, values![version, device])?;
        Ok(())
    }
}

/// The algorithm and the ID in the name of a key.
fn parts<'a>(name: &'a str, key: &RawValue) -> Result<(&'a str, &'a str)> {
    let parts = name.split_once(':').filter(|(algorithm, id)| {
        !algorithm.is_empty() && !id.is_empty() && name.len() <= MAX_NAME
    });
    let (algorithm, id) =
        parts.ok_or_else(|| malformed("a key has no name of the form <algorithm>:<id>"))?;
    let is_signed = algorithm.starts_with("signed_");
    if key.get().len() > MAX_KEY || !is_signed && !key.get().starts_with(['{', '"']) {
        return Err(malformed("a one-time key is neither a text nor an object, or is too long"));
    }
    if is_signed {
        let key = SignedJson::read(key)?;
        if key.text("key").is_none() || !key.is_object("signatures") {
            return Err(malformed("a signed key has a key and signatures"));
        }
    }
    Ok((algorithm, id))
}

/// Whether two keys are the same, whoever signed them.
fn same(held: &str, given: &RawValue) -> Result<bool> {
    let read = |text: &str| {
        let mut key: serde_json::Value = serde_json::from_str(text)?;
        if let Some(key) = key.as_object_mut() {
            key.remove("signatures");
        }
        Ok::<_, serde_json::Error>(key)
    };
    let given = read(given.get()).map_err(|error| malformed(&error.to_string()))?;
    Ok(read(held)? == given)
}
