//! Which devices are gone, while their keys are still held?

use tombolo_platform::{Row, values};

use super::{KeysDropped, RemovedDevices, Result, User};
use crate::objects::user_keys::messages::Born;

/// When the alarm drops the keys that the request has not dropped (ms).
const MAKES_SURE: u64 = 5_000;

/// The devices whose keys have yet to be dropped.
pub fn removed(user: &mut User<'_>, _: RemovedDevices) -> Result<Vec<Born>> {
    user.exists()?;
    let query = "SELECT device, born FROM removed ORDER BY device, born";
    let read = |row: &Row<'_>| Ok(Born { device: row.text(0)?, born: row.int(1)? });
    Ok(user.sql.rows(query, values![], read)?)
}

/// Notes that the keys of these devices are dropped.
pub fn dropped(user: &mut User<'_>, message: KeysDropped) -> Result<()> {
    user.exists()?;
    for Born { device, born } in &message.devices {
        let delete = "DELETE FROM removed WHERE device = ? AND born = ?";
        user.sql.run(delete, values![device, *born])?;
    }
    Ok(())
}

impl User<'_> {
    /// Notes that devices go, and has the alarm make sure that their keys are dropped.
    pub fn note_removed(&mut self, devices: &[Born]) -> Result<()> {
        let devices = serde_json::to_string(devices)?;
        let insert = "INSERT INTO removed (device, born)
                      SELECT value ->> 'device', value ->> 'born' FROM json_each(?) WHERE true ON CONFLICT DO NOTHING";
        if self.sql.run(insert, values![&devices])? > 0 {
            self.effects.alarm_at(self.moment.now + MAKES_SURE);
        }
        Ok(())
    }
}
