//! What is kept of the user's presence, and when is it written down?
//! ([presence](https://spec.matrix.org/v1.19/client-server-api/#presence))

use tombolo_platform::{Row, values};

use super::{NOTE_EVERY, Own, Remembered, Result, User};

impl User<'_> {
    /// Forgets what the user and their devices said, and has others told that the user is offline.
    pub fn end_presence(&mut self) -> Result<()> {
        let Own { told, told_ts, .. } = self.own_presence()?;
        self.cache.presence.polls.clear();
        if told_ts == 0 {
            return self.drop_presence();
        }
        // The alarm comes at once, and nothing keeps it from telling.
        self.write_presence(Own { told, told_ts, ..Own::default() })
    }

    /// Removes what is left of the user's presence.
    pub fn drop_presence(&mut self) -> Result<()> {
        self.sql.run("DELETE FROM presence", values![])?;
        self.cache.presence = Remembered::default();
        Ok(())
    }

    /// What is known of the user's presence.
    pub(super) fn own_presence(&mut self) -> Result<Own> {
        if let Some(own) = &self.cache.presence.own {
            return Ok(own.clone());
        }
        let query = "SELECT devices, status_msg, active_ts, told, told_ts, spent FROM presence";
        let read = |row: &Row<'_>| {
            let texts = (row.text(0)?, row.text_or_null(1)?, row.text(3)?);
            Ok((texts, [row.int(2)?, row.int(4)?, row.int(5)?]))
        };
        let own = match self.sql.row(query, values![], read)? {
            None => Own::default(),
            Some(((devices, status_msg, told), times)) => {
                let times = times.map(|time| u64::try_from(time).unwrap_or_default());
                let [active_ts, told_ts, spent] = times;
                let (devices, told) =
                    (serde_json::from_str(&devices)?, serde_json::from_str(&told)?);
                let own =
                    Own { devices, status_msg, active_ts, told, told_ts, spent, ..Own::default() };
                Own { written: own.said(), written_ts: active_ts, ..own }
            }
        };
        self.cache.presence.own = Some(own.clone());
        Ok(own)
    }

    /// Remembers it, and writes it down where other devices are there than it says; not for each that comes and goes.
    pub(super) fn hold_presence(&mut self, mut own: Own) -> Result<()> {
        let now = self.moment.now;
        if !own.devices.keys().eq(own.written.0.keys())
            && now >= own.noted_ts.saturating_add(NOTE_EVERY)
        {
            own.noted_ts = now;
            return self.write_presence(own);
        }
        self.cache.presence.own = Some(own);
        Ok(())
    }

    pub(super) fn write_presence(&mut self, mut own: Own) -> Result<()> {
        (own.written, own.written_ts) = (own.said(), own.active_ts);
        let (devices, told) =
            (serde_json::to_string(&own.devices)?, serde_json::to_string(&own.told)?);
        let upsert = "INSERT INTO presence (one, devices, status_msg, active_ts, told, told_ts, spent) VALUES (1, ?, ?, ?, ?, ?, ?)
                      ON CONFLICT DO UPDATE SET devices = excluded.devices, status_msg = excluded.status_msg,
                          active_ts = excluded.active_ts, told = excluded.told, told_ts = excluded.told_ts, spent = excluded.spent";
        let status_msg = own.status_msg.as_deref();
        self.sql.run(
            upsert,
            values![&devices, status_msg, own.active_ts, &told, own.told_ts, own.spent],
        )?;
        self.cache.presence.own = Some(own);
        Ok(())
    }
}
