//! Which devices does the user have, with which keys?
//! ([device keys](https://spec.matrix.org/v1.19/client-server-api/#device-keys))

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;
use tombolo_platform::{Row, values};

use super::{
    Born, CrossSigningKeys, DeviceChange, DeviceShown, DropDevices, NameDevice, QueryKeys, Refusal,
    Result, UploadKeys, Uploaded, UserKeys, UserKeysShown,
    signed_json::{SignedJson, invalid, malformed},
};
use crate::shell::Stop;

/// Publishes keys of a device.
pub fn upload(keys: &mut UserKeys<'_>, message: UploadKeys) -> Result<Uploaded> {
    keys.create()?;
    keys.must_be_active()?;
    let UploadKeys { of, display_name, device_keys, one_time_keys, fallback_keys } = message;
    let cleared = keys.enter(&of)?;
    let changed = match &device_keys {
        Some(device_keys) => keys.set_device(&of, device_keys, display_name.as_deref())?,
        None => false,
    };
    let added = keys.add_one_time_keys(&of.device, &one_time_keys)?;
    let replaced = keys.set_fallback_keys(&of.device, &fallback_keys)?;
    if added || replaced {
        keys.note_counts(&of.device)?;
    }
    Ok(Uploaded {
        counts: keys.counts_of(&of.device)?,
        changed: cleared || changed || added || replaced,
    })
}

/// Names a device.
pub fn name(keys: &mut UserKeys<'_>, message: NameDevice) -> Result<bool> {
    if !keys.exists()? {
        return Ok(false);
    }
    let query =
        "SELECT 1 FROM devices WHERE device = ? AND keys IS NOT NULL AND display_name IS NOT ?";
    let NameDevice { device, display_name } = &message;
    if keys.sql.row(query, values![device, display_name], |row| row.int(0))?.is_none() {
        return Ok(false);
    }
    let version = keys.next_version()?;
    let update = "UPDATE devices SET display_name = ?, version = ? WHERE device = ?";
    keys.sql.run(update, values![display_name, version, device])?;
    Ok(true)
}

/// Removes the keys of devices that are gone.
pub fn drop(keys: &mut UserKeys<'_>, message: DropDevices) -> Result<bool> {
    keys.create()?;
    let mut changed = false;
    for Born { device, born } in &message.devices {
        let held = keys.held(device)?;
        if held.as_ref().is_some_and(|held| held.born > *born) {
            continue;
        }
        // The row stays: a late upload of this device finds that it is gone, and others have yet to be told.
        changed |= held.as_ref().is_some_and(|held| held.keys.is_some());
        let version = keys.clear_device(device, held)?;
        keys.set_without_keys((device, *born, version), true)?;
    }
    Ok(changed)
}

/// The keys of devices, and the cross-signing keys.
pub fn query(keys: &mut UserKeys<'_>, message: QueryKeys) -> Result<UserKeysShown> {
    if !keys.exists()? {
        return Ok(UserKeysShown { version: Some(0), ..UserKeysShown::default() });
    }
    let wanted: BTreeSet<String> = message.devices.into_iter().collect();
    let mut shown = UserKeysShown { version: Some(keys.version()?), ..keys.shown()? };
    if !wanted.is_empty() {
        shown.devices.retain(|device, _| wanted.contains(device));
    }
    if !message.own {
        shown.user_signing_key = None;
    }
    Ok(shown)
}

/// What is held of a device.
struct Held {
    born: i64,
    gone: bool,
    keys: Option<String>,
    version: i64,
}

impl UserKeys<'_> {
    fn held(&mut self, device: &str) -> Result<Option<Held>> {
        let query = "SELECT born, gone, keys, version FROM devices WHERE device = ?";
        let read = |row: &Row<'_>| {
            let (born, gone) = (row.int(0)?, row.int(1)? != 0);
            Ok(Held { born, gone, keys: row.text_or_null(2)?, version: row.int(3)? })
        };
        Ok(self.sql.row(query, values![device], read)?)
    }

    /// Refuses a device that is gone; forgets what an older device of this name has left, and answers whether there was
    /// one.
    fn enter(&mut self, of: &Born) -> Result<bool> {
        match self.held(&of.device)? {
            Some(held) if held.born > of.born || held.born == of.born && held.gone => {
                Err(Stop::Refused(Refusal::Forbidden("this device is gone".to_owned())))
            }
            Some(held) if held.born < of.born => {
                let version = self.clear_device(&of.device, Some(held))?;
                self.set_without_keys((&of.device, of.born, version), false)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Notes a device that has no keys: its name, which of this name it is, and when it changed last.
    fn set_without_keys(
        &mut self,
        (device, born, version): (&str, i64, i64),
        gone: bool,
    ) -> Result<()> {
        let insert = "INSERT INTO devices (device, born, gone, keys, display_name, version) VALUES (?, ?, ?, NULL, NULL, ?)
                      ON CONFLICT DO UPDATE SET born = excluded.born, gone = excluded.gone, keys = NULL,
                          display_name = NULL, version = excluded.version";
        self.sql.run(insert, values![device, born, gone, version])?;
        Ok(())
    }

    /// Forgets all that belongs to a device but its row; answers the version of that. A device without keys signed
    /// nothing, and what has its name may be a key of the user.
    fn clear_device(&mut self, device: &str, held: Option<Held>) -> Result<i64> {
        self.drop_one_time_keys(device)?;
        let Some(held) = held else { return Ok(0) };
        if held.keys.is_none() {
            return Ok(held.version);
        }
        self.drop_signatures_by(device)?;
        self.drop_signatures_on(device)?;
        self.next_version()
    }

    /// Sets the keys of a device; answers whether they are others than before.
    fn set_device(&mut self, of: &Born, raw: &RawValue, name: Option<&str>) -> Result<bool> {
        let given = SignedJson::read(raw)?;
        self.check_device(&of.device, &given)?;
        let (text, held) = (given.signed_by(self.name), self.held(&of.device)?);
        if let Some(Held { born, keys: Some(keys), .. }) = &held {
            if *keys == text && *born == of.born {
                return Ok(false);
            }
            let held = SignedJson::read(&RawValue::from_string(keys.clone())?)?;
            if held.body() != given.body() {
                self.drop_signatures_on(&of.device)?;
            }
            if held.texts("keys") != given.texts("keys") {
                // Nobody could use what the keys of before have signed.
                self.drop_signatures_by(&of.device)?;
                self.drop_one_time_keys(&of.device)?;
                self.note_counts(&of.device)?;
            }
        }
        let version = self.next_version()?;
        let insert =
            "INSERT INTO devices (device, born, gone, keys, display_name, version) VALUES (?, ?, 0, ?, ?, ?)
                      ON CONFLICT DO UPDATE SET born = excluded.born, gone = 0, keys = excluded.keys,
                          display_name = excluded.display_name, version = excluded.version";
        self.sql.run(insert, values![&of.device, of.born, &text, name, version])?;
        Ok(true)
    }

    /// Refuses keys that are not of this user and device.
    fn check_device(&mut self, device: &str, given: &SignedJson) -> Result<()> {
        if given.text("user_id") != Some(self.name) || given.text("device_id") != Some(device) {
            return Err(invalid("the keys name another user or device"));
        }
        self.check_name(device)?;
        let is_whole = given.texts("keys").is_some()
            && given.is_list("algorithms")
            && given.is_object("signatures");
        if !is_whole {
            return Err(malformed("the keys of a device have keys, algorithms and signatures"));
        }
        Ok(())
    }

    /// Every device and cross-signing key, with the signatures that the user made.
    pub fn shown(&mut self) -> Result<UserKeysShown> {
        let signatures = self.own_signatures()?;
        let query = "SELECT device, keys, version, display_name FROM devices";
        let read = |row: &Row<'_>| {
            Ok((row.text(0)?, row.text_or_null(1)?, row.int(2)?, row.text_or_null(3)?))
        };
        let (mut devices, mut stream_id) = (BTreeMap::new(), 0);
        for (device, keys, version, display_name) in self.sql.rows(query, values![], read)? {
            stream_id = stream_id.max(version);
            if let Some(keys) = keys {
                let keys = signatures.put_on(&device, &keys)?;
                devices.insert(device, DeviceShown { keys, display_name });
            }
        }
        let CrossSigningKeys { master_key, self_signing_key, user_signing_key } =
            self.cross_signing_keys(&signatures)?;
        Ok(UserKeysShown {
            devices,
            master_key,
            self_signing_key,
            user_signing_key,
            stream_id,
            version: None,
        })
    }

    /// The keys of a device, as they were uploaded.
    pub fn device_keys(&mut self, device: &str) -> Result<Option<SignedJson>> {
        let Some(Held { keys: Some(keys), .. }) = self.held(device)? else { return Ok(None) };
        Ok(Some(SignedJson::read(&RawValue::from_string(keys)?)?))
    }

    /// The keys with which the devices sign, one each: their IDs and public halves.
    pub fn device_signers(&mut self) -> Result<Vec<(String, String)>> {
        let query = "SELECT device, keys FROM devices WHERE keys IS NOT NULL";
        let all = self.sql.rows(query, values![], |row| Ok((row.text(0)?, row.text(1)?)))?;
        let mut signers = Vec::new();
        for (device, keys) in all {
            let keys = SignedJson::read(&RawValue::from_string(keys)?)?;
            let signing = format!("ed25519:{device}");
            let named = keys.texts("keys").unwrap_or_default().into_iter();
            let key = named.filter(|(key_id, _)| *key_id == signing).map(|(_, key)| key.to_owned());
            signers.extend(key.map(|key| (signing.clone(), key)));
        }
        Ok(signers)
    }

    /// Whether the user has a device of this name.
    pub fn has_device(&mut self, device: &str) -> Result<bool> {
        Ok(self.held(device)?.is_some_and(|held| held.keys.is_some()))
    }

    /// Notes that what is shown of a device changed.
    pub fn touch_device(&mut self, device: &str) -> Result<()> {
        let version = self.next_version()?;
        let update = "UPDATE devices SET version = ? WHERE device = ?";
        self.sql.run(update, values![version, device])?;
        Ok(())
    }

    /// The devices that changed after a version, oldest change first.
    pub fn devices_since(&mut self, told: i64, sent: Option<i64>) -> Result<Vec<DeviceChange>> {
        let query = "SELECT device, keys, version, display_name FROM devices WHERE version > ? ORDER BY version";
        let read = |row: &Row<'_>| {
            Ok((row.text(0)?, row.text_or_null(1)?, row.int(2)?, row.text_or_null(3)?))
        };
        let rows = self.sql.rows(query, values![told], read)?;
        let signatures = self.own_signatures()?;
        let (mut changes, mut prev_id) = (Vec::new(), sent);
        for (device, keys, stream_id, display_name) in rows {
            let keys = keys.map(|keys| signatures.put_on(&device, &keys)).transpose()?;
            changes.push(DeviceChange { device, stream_id, prev_id, keys, display_name });
            prev_id = Some(stream_id);
        }
        Ok(changes)
    }

    /// Replaces what is held of the devices of another server's user.
    pub fn hold_devices(&mut self, devices: &BTreeMap<String, DeviceShown>) -> Result<()> {
        self.sql.run("DELETE FROM devices", values![])?;
        for (device, DeviceShown { keys, display_name }) in devices {
            self.hold_device(device, keys, display_name.as_deref())?;
        }
        Ok(())
    }

    /// Holds one device of another server's user.
    pub fn hold_device(&mut self, device: &str, keys: &RawValue, name: Option<&str>) -> Result<()> {
        let insert = "INSERT INTO devices (device, born, gone, keys, display_name, version) VALUES (?, 0, 0, ?, ?, 0)
                      ON CONFLICT DO UPDATE SET keys = excluded.keys, display_name = excluded.display_name";
        self.sql.run(insert, values![device, keys.get(), name])?;
        Ok(())
    }

    /// Holds a device of another server's user no longer.
    pub fn let_go(&mut self, device: &str) -> Result<()> {
        self.sql.run("DELETE FROM devices WHERE device = ?", values![device])?;
        Ok(())
    }
}
