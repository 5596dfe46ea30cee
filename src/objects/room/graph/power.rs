//! Which power levels hold, now and before an event?

use tombolo_protocol::power_levels::PowerLevels;

use crate::{
    objects::room::{Result, Room, Sn, graph::events::Before},
    shell::Stop,
};

impl Room<'_> {
    /// The power levels now.
    pub fn power_now(&mut self) -> Result<PowerLevels> {
        let create = self.now("m.room.create", "")?;
        let levels = self.now("m.room.power_levels", "")?;
        self.power(create, levels)
    }

    /// The power levels in the state before an event.
    pub fn power_at(&mut self, before: Before) -> Result<PowerLevels> {
        let create = self.value(before, "m.room.create", "")?;
        let levels = self.value(before, "m.room.power_levels", "")?;
        self.power(create, levels)
    }

    fn power(&mut self, create: Option<Sn>, levels: Option<Sn>) -> Result<PowerLevels> {
        let version = self.row()?.version;
        let create =
            self.event(create.ok_or_else(|| Stop::broken("a room without a create event"))?)?;
        let levels = levels.map(|sn| self.event(sn)).transpose()?;
        Ok(PowerLevels::of(version, &create.judged, levels.as_ref().map(|event| &*event.judged)))
    }
}
