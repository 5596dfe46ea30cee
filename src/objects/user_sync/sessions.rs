//! Which sessions are alive, on which devices?

use std::collections::BTreeSet;

use ruma::OwnedRoomId;
use tombolo_platform::{Row, values};

use super::{
    AddedDevice, AttemptLogin, Authorise, AuthoriseAs, Authorised, Cost, Device, Devices, LoggedIn,
    Login, Logout, LogoutOthers, MakeDevice, Refusal, RemoveDevices, RenameDevice, Result, User,
};
use crate::{objects::user_keys::messages::Born, shell::Stop};

/// How many characters a device ID made by the server has.
const DEVICE_ID: usize = 10;
/// How old the `last_seen` of a device may be (ms): not every request writes a row.
pub const SEEN_EVERY: u64 = 300_000;

/// The end (ms) of a session that was replaced.
const REPLACED: u64 = 0;

/// A session that is alive, as the object remembers it.
#[derive(Clone, Debug)]
pub struct Alive {
    pub device: String,
    pub born: i64,
    /// When it expires (ms).
    expires_at: Option<u64>,
}

/// Opens a session. An older session on the same device ends.
pub fn login(user: &mut User<'_>, message: Login) -> Result<LoggedIn> {
    user.create()?;
    user.must_be_active()?;
    user.must_be_unlocked()?;
    let device_id = message.device_id.unwrap_or_else(|| {
        let dice = user.moment.draw();
        dice.iter().take(DEVICE_ID).map(|byte| char::from(b'A' + byte % 26)).collect()
    });
    user.sql.run("DELETE FROM sessions WHERE device = ?", values![&device_id])?;
    user.forget_sessions()?;
    user.forget_dehydrated(&serde_json::to_string(&[&device_id])?)?;
    let born = user.next_birth()?;
    user.sql.run(
        "INSERT INTO devices (device, display_name, last_seen, born) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET last_seen = excluded.last_seen",
        values![&device_id, message.display_name.as_deref(), user.moment.now, born],
    )?;
    let expires_at = message.refresh.as_ref().map(|refresh| refresh.expires_at);
    user.open_session(&message.session, &device_id, (expires_at, None))?;
    if let Some(refresh) = &message.refresh {
        user.note_refresh(&message.session, refresh)?;
    }
    Ok(LoggedIn { device_id })
}

/// Returns the device of a session that is alive and within its rate limits; for a request that reads a room, also
/// whether the user has forgotten that room and whom they ignore.
pub fn authorise(user: &mut User<'_>, message: Authorise) -> Result<Authorised> {
    let Alive { device: device_id, born, .. } = user.alive(&message.session)?;
    user.admit((device_id, born), message.cost, message.reads)
}

/// The same for an application service that acts as the user: it needs no session.
pub fn authorise_as(user: &mut User<'_>, message: AuthoriseAs) -> Result<Authorised> {
    user.create()?;
    user.must_be_active()?;
    user.must_be_unlocked()?;
    let of = match message.device_id {
        Some(device) => {
            let born = user.birth_of(&device)?;
            (device, born.ok_or(Stop::Refused(Refusal::UnknownDevice))?)
        }
        None => (String::new(), 0),
    };
    user.admit(of, message.cost, message.reads)
}

/// Counts a password that is tried, whether or not the user exists: the caller learns nothing from it.
pub fn attempt_login(user: &mut User<'_>, message: AttemptLogin) -> Result<()> {
    user.count_password(message.proof)
}

/// Ends a session, which may have expired or be of a locked account, and removes its device; or all of them.
pub fn logout(user: &mut User<'_>, message: Logout) -> Result<()> {
    user.exists()?;
    let Alive { device, expires_at, .. } = user.use_session(&message.session)?;
    if expires_at == Some(REPLACED) {
        return Err(Stop::Refused(Refusal::Expired));
    }
    if message.all {
        return user.end_all_sessions();
    }
    user.remove(&[device])?;
    user.drop_login_tokens()?;
    user.forget_sessions()
}

/// Ends all sessions but one, and removes their devices.
pub fn logout_others(user: &mut User<'_>, message: LogoutOthers) -> Result<()> {
    user.exists()?;
    let device = match message.device {
        Some(device) => user.held(&device)?.then_some(device),
        None => Some(user.device_of(&message.session)?),
    };
    let device = device.ok_or(Stop::Refused(Refusal::NoSession))?;
    let others: Vec<String> = user.device_names()?.into_iter().filter(|of| *of != device).collect();
    user.remove(&others)?;
    user.drop_login_tokens()?;
    user.forget_sessions()
}

/// Removes devices and ends their sessions.
pub fn remove_devices(user: &mut User<'_>, message: RemoveDevices) -> Result<()> {
    user.exists()?;
    user.remove(&message.device_ids)?;
    user.drop_login_tokens()?;
    user.forget_sessions()
}

/// Makes a device on which nobody logs in, unless it is there.
pub fn make_device(user: &mut User<'_>, message: MakeDevice) -> Result<bool> {
    user.exists()?;
    let born = user.next_birth()?;
    let insert = "INSERT INTO devices (device, display_name, last_seen, born) VALUES (?, ?, ?, ?)
                  ON CONFLICT DO NOTHING RETURNING 1";
    let (device, name) = (&message.device_id, message.display_name.as_deref());
    let values = values![device, name, user.moment.now, born];
    Ok(user.sql.row(insert, values, |row| row.int(0))?.is_some())
}

/// Names a device.
pub fn rename_device(user: &mut User<'_>, message: RenameDevice) -> Result<()> {
    user.exists()?;
    let update = "UPDATE devices SET display_name = ? WHERE device = ? RETURNING 1";
    let values = values![&message.display_name, &message.device_id];
    let renamed = user.sql.row(update, values, |row| row.int(0))?;
    renamed.map(|_| ()).ok_or(Stop::Refused(Refusal::NotFound))
}

/// The user's devices.
pub fn devices(user: &mut User<'_>, _: Devices) -> Result<Vec<Device>> {
    user.exists()?;
    let query = "SELECT device, display_name, last_seen FROM devices ORDER BY device";
    Ok(user.sql.rows(query, values![], |row| {
        let last_seen_ts = row.int_or_null(2)?.and_then(|seen| u64::try_from(seen).ok());
        Ok(Device { device_id: row.text(0)?, display_name: row.text_or_null(1)?, last_seen_ts })
    })?)
}

impl User<'_> {
    /// Takes a request of a device, or of none, within the rate limits.
    fn admit(
        &mut self,
        (device_id, born): (String, i64),
        cost: Cost,
        reads: Option<OwnedRoomId>,
    ) -> Result<Authorised> {
        self.spend(cost)?;
        if !device_id.is_empty() {
            self.note_seen(&device_id)?;
            if cost != Cost::Free {
                self.note_activity(&device_id)?;
            }
        }
        let suspended = self.moderation()?.suspended;
        let (mut forgotten, mut ignored) = (false, BTreeSet::new());
        if let Some(room) = &reads {
            ignored.clone_from(&*self.ignored()?);
            forgotten = self.has_forgotten(room)?;
        }
        Ok(Authorised { device_id, born, forgotten, ignored, suspended })
    }

    /// Which device of its name this is, if the user has it.
    fn birth_of(&mut self, device: &str) -> Result<Option<i64>> {
        let query = "SELECT born FROM devices WHERE device = ?";
        Ok(self.sql.row(query, values![device], |row| row.int(0))?)
    }

    /// Ends all sessions, and removes all devices.
    pub fn end_all_sessions(&mut self) -> Result<()> {
        let devices = self.device_names()?;
        self.remove(&devices)?;
        self.drop_login_tokens()?;
        self.forget_sessions()
    }

    /// Whether the user has this device.
    pub fn held(&mut self, device: &str) -> Result<bool> {
        let query = "SELECT 1 FROM devices WHERE device = ?";
        Ok(self.sql.row(query, values![device], |row| row.int(0))?.is_some())
    }

    /// The names of all devices.
    pub fn device_names(&mut self) -> Result<Vec<String>> {
        Ok(self
            .sql
            .rows("SELECT device FROM devices ORDER BY device", values![], |row| row.text(0))?)
    }

    /// Removes devices, with what waits for them, and ends their sessions.
    pub fn remove(&mut self, devices: &[String]) -> Result<()> {
        let names = serde_json::to_string(devices)?;
        let sessions = "DELETE FROM sessions WHERE device IN (SELECT value FROM json_each(?))";
        self.sql.run(sessions, values![&names])?;
        let delete = "DELETE FROM devices WHERE device IN (SELECT value FROM json_each(?)) RETURNING device, born";
        let read = |row: &Row<'_>| Ok(Born { device: row.text(0)?, born: row.int(1)? });
        let gone = self.sql.rows(delete, values![&names], read)?;
        self.note_removed(&gone)?;
        self.drop_key_counts(&names)?;
        self.forget_dehydrated(&names)?;
        self.drop_pushers_of(&names)?;
        self.drop_connections(&names)?;
        self.drop_settings_of(&gone)?;
        self.drop_messages(&names)
    }

    /// Makes a device that nobody is logged in on, unless it is there; `None` if somebody is or was logged in on it.
    pub fn add_unused(&mut self, device: &str, name: Option<&str>) -> Result<Option<AddedDevice>> {
        let born = self.next_birth()?;
        let insert = "INSERT INTO devices (device, display_name, last_seen, born) VALUES (?, ?, NULL, ?)
                      ON CONFLICT DO UPDATE SET display_name = coalesce(excluded.display_name, display_name)
                          WHERE last_seen IS NULL AND NOT EXISTS (SELECT 1 FROM sessions WHERE device = excluded.device)
                      RETURNING born, display_name";
        let read = |row: &Row<'_>| {
            Ok(AddedDevice { born: row.int(0)?, display_name: row.text_or_null(1)? })
        };
        Ok(self.sql.row(insert, values![device, name, born], read)?)
    }

    /// The devices that nobody was ever logged in on: a login is seen.
    pub fn unused_devices(&mut self) -> Result<Vec<String>> {
        let query = "SELECT device FROM devices d WHERE last_seen IS NULL
                         AND NOT EXISTS (SELECT 1 FROM sessions WHERE device = d.device) ORDER BY device";
        Ok(self.sql.rows(query, values![], |row| row.text(0))?)
    }

    /// The number of the device that is made next.
    fn next_birth(&mut self) -> Result<i64> {
        let insert = "INSERT INTO births (one, last) VALUES (1, 1)
                      ON CONFLICT DO UPDATE SET last = last + 1 RETURNING last";
        let last = self.sql.row(insert, values![], |row| row.int(0))?;
        last.ok_or_else(|| Stop::broken("births are not counted"))
    }

    /// Forgets what belongs to sessions that have ended. Their waiting syncs end.
    fn forget_sessions(&mut self) -> Result<()> {
        self.cache.sessions.clear();
        self.cache.seen.clear();
        self.effects.wake = true;
        self.drop_refreshes()
    }

    /// Opens a session on a device; `replaces` is the session that ends when this one is used.
    pub fn open_session(
        &mut self,
        session: &str,
        device: &str,
        (expires_at, replaces): (Option<u64>, Option<&str>),
    ) -> Result<()> {
        let insert =
            "INSERT INTO sessions (session, device, expires_at, replaces) VALUES (?, ?, ?, ?)";
        self.sql.run(insert, values![session, device, expires_at, replaces])?;
        Ok(())
    }

    /// Ends the sessions that would replace this one.
    pub fn end_successors(&mut self, session: &str) -> Result<()> {
        match self.sql.run("DELETE FROM sessions WHERE replaces = ?", values![session])? {
            0 => Ok(()),
            _ => self.forget_sessions(),
        }
    }

    /// Notes that a device was seen, unless that was written down a moment ago.
    pub fn note_seen(&mut self, device: &str) -> Result<()> {
        let now = self.moment.now;
        let written = match self.cache.seen.get(device) {
            Some(written) => *written,
            None => {
                let query = "SELECT last_seen FROM devices WHERE device = ?";
                let seen = self.sql.row(query, values![device], |row| row.int_or_null(0))?;
                seen.flatten().and_then(|seen| u64::try_from(seen).ok()).unwrap_or_default()
            }
        };
        let due = now >= written.saturating_add(SEEN_EVERY);
        if due {
            let update = "UPDATE devices SET last_seen = ? WHERE device = ?";
            self.sql.run(update, values![now, device])?;
        }
        self.cache.seen.insert(device.to_owned(), if due { now } else { written });
        Ok(())
    }

    /// The device of a session that is alive.
    pub fn device_of(&mut self, session: &str) -> Result<String> {
        Ok(self.alive(session)?.device)
    }

    /// A session that is alive.
    fn alive(&mut self, session: &str) -> Result<Alive> {
        self.exists()?;
        let alive = match self.cache.sessions.get(session) {
            Some(alive) => alive.clone(),
            None => self.use_session(session)?,
        };
        self.must_be_unlocked()?;
        if alive.expires_at.is_some_and(|at| at <= self.moment.now) {
            return Err(Stop::Refused(Refusal::Expired));
        }
        Ok(alive)
    }

    /// Ends a session that another one of its device has replaced. It is remembered as expired, so that a client that
    /// still uses it does not take its device for removed.
    fn end_replaced(&mut self, session: &str, device: &str) -> Result<()> {
        let delete = "DELETE FROM sessions WHERE device = ? AND expires_at = ?";
        self.sql.run(delete, values![device, REPLACED])?;
        let update = "UPDATE sessions SET expires_at = ? WHERE session = ?";
        self.sql.run(update, values![REPLACED, session])?;
        self.drop_refresh_of(session)
    }

    /// A session that has not ended, though it may have expired. With its use the session that it replaces ends.
    pub fn use_session(&mut self, session: &str) -> Result<Alive> {
        let query = "SELECT device, expires_at, replaces, born FROM sessions JOIN devices USING (device) WHERE session = ?";
        let read = |row: &Row<'_>| {
            Ok((row.text(0)?, row.int_or_null(1)?, row.text_or_null(2)?, row.int(3)?))
        };
        let held = self.sql.row(query, values![session], read)?;
        let (device, expires_at, replaces, born) = held.ok_or(Stop::Refused(Refusal::NoSession))?;
        if let Some(replaced) = replaces {
            self.end_replaced(&replaced, &device)?;
            let update = "UPDATE sessions SET replaces = NULL WHERE session = ?";
            self.sql.run(update, values![session])?;
            self.forget_sessions()?;
        }
        let expires_at = expires_at.and_then(|at| u64::try_from(at).ok());
        let alive = Alive { device, born, expires_at };
        self.cache.sessions.insert(session.to_owned(), alive.clone());
        Ok(alive)
    }
}
