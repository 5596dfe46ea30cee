//! What has each device left of one-time keys? A copy of what the user's keys say, for `/sync`.

use tombolo_platform::values;

use super::{NoteKeyCounts, Result, User};
use crate::objects::user_keys::messages::KeyCounts;

/// Notes what devices have left, unless something newer was noted.
pub fn note(user: &mut User<'_>, message: NoteKeyCounts) -> Result<()> {
    user.exists()?;
    for (device, counts) in &message.counts {
        if !user.held(device)? {
            continue;
        }
        let text = serde_json::to_string(counts)?;
        let insert = "INSERT INTO key_counts (device, version, counts) VALUES (?, ?, ?)
                      ON CONFLICT DO UPDATE SET version = excluded.version, counts = excluded.counts
                      WHERE excluded.version > version";
        user.sql.run(insert, values![device, counts.version, &text])?;
        user.cache.key_counts.remove(device);
    }
    Ok(())
}

impl User<'_> {
    /// What a device has left.
    pub fn key_counts(&mut self, device: &str) -> Result<KeyCounts> {
        if let Some(counts) = self.cache.key_counts.get(device) {
            return Ok(counts.clone());
        }
        let query = "SELECT counts FROM key_counts WHERE device = ?";
        let counts: KeyCounts = match self.sql.row(query, values![device], |row| row.text(0))? {
            Some(text) => serde_json::from_str(&text)?,
            None => KeyCounts::default(),
        };
        self.cache.key_counts.insert(device.to_owned(), counts.clone());
        Ok(counts)
    }

    /// Forgets what devices have left that are gone.
    pub fn drop_key_counts(&mut self, devices: &str) -> Result<()> {
        let delete = "DELETE FROM key_counts WHERE device IN (SELECT value FROM json_each(?))";
        self.sql.run(delete, values![devices])?;
        self.cache.key_counts.clear();
        Ok(())
    }
}
