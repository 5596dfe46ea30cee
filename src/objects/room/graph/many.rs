//! Reads of very many events at once: no more of each than is needed.

use ruma::OwnedEventId;
use serde_json::value::RawValue;
use tombolo_platform::values;

use crate::{
    objects::room::{Result, Room, Sn, row::unpack},
    shell::Stop,
};

impl Room<'_> {
    /// The auth events of an event.
    pub fn auth_of(&mut self, sn: Sn) -> Result<Vec<Sn>> {
        if let Some(stored) = self.cache.events.get(&sn) {
            return Ok(stored.auth.clone());
        }
        let query = "SELECT auth FROM events WHERE sn = ?";
        let auth = self.sql.row(query, values![sn], |row| Ok(unpack(&row.blob(0)?)))?;
        auth.ok_or_else(|| Stop::broken(format!("no event {sn}")))
    }

    /// The IDs of events.
    pub fn ids(&mut self, sns: &[Sn]) -> Result<Vec<OwnedEventId>> {
        let mut ids = Vec::with_capacity(sns.len());
        for sn in sns {
            let query = "SELECT id FROM events WHERE sn = ?";
            let id = self.sql.row(query, values![*sn], |row| row.text(0))?;
            let id = id.and_then(|id| id.try_into().ok());
            ids.push(id.ok_or_else(|| Stop::broken(format!("no event {sn}")))?);
        }
        Ok(ids)
    }

    /// Events in federation format.
    pub fn bodies(&mut self, sns: &[Sn]) -> Result<Vec<Box<RawValue>>> {
        let mut bodies = Vec::with_capacity(sns.len());
        for sn in sns {
            bodies.push(self.event(*sn)?.for_servers()?);
        }
        Ok(bodies)
    }
}
