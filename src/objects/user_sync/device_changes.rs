//! Whose devices or keys changed, among those who share a room with the user?

use std::collections::BTreeSet;

use ruma::OwnedUserId;
use tombolo_platform::values;

use super::{DevicesChanged, Result, StreamPosition, User};
use crate::shell::Stop;

/// Notes that the devices or keys of users changed.
pub fn changed(user: &mut User<'_>, message: DevicesChanged) -> Result<()> {
    user.exists()?;
    for changed in &message.users {
        let pos = user.next_pos()?;
        user.loaded()?.device_changes = pos;
        let insert = "INSERT INTO device_changes (user, pos) VALUES (?, ?)
                      ON CONFLICT DO UPDATE SET pos = excluded.pos";
        user.sql.run(insert, values![changed.as_str(), pos])?;
    }
    user.effects.wake = true;
    Ok(())
}

impl User<'_> {
    /// Whose devices changed after a position. A later change stands in the place of an earlier one.
    pub fn devices_changed(&mut self, since: StreamPosition) -> Result<BTreeSet<OwnedUserId>> {
        if since >= self.loaded()?.device_changes {
            return Ok(BTreeSet::new());
        }
        let query = "SELECT user FROM device_changes WHERE pos > ?";
        let users = self.sql.rows(query, values![since], |row| row.text(0))?;
        let broken = |_| Stop::broken("a user whose devices changed has no ID");
        users.into_iter().map(|user| user.try_into().map_err(broken)).collect()
    }
}
