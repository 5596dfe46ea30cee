//! What does a redaction do, whether it comes before or after its target?
//! ([redactions](https://spec.matrix.org/v1.19/rooms/v11/#handling-redactions))

use std::rc::Rc;

use ruma::UserId;
use tombolo_platform::values;
use tombolo_protocol::{
    event::{Pdu, judged_content, redacted},
    power_levels::PowerLevels,
};

use crate::{
    objects::room::{
        Result, Room, Sn,
        graph::events::{Stored, Verdict},
    },
    shell::Stop,
};

impl Room<'_> {
    /// Applies a new event if it is a redaction, and the redactions of it that came earlier.
    pub fn redact_on(&mut self, sn: Sn) -> Result<()> {
        let event = self.event(sn)?;
        if event.pdu.kind() == "m.room.redaction"
            && let Some(target) = event.pdu.redacts.clone()
        {
            let insert = "INSERT INTO redactions (target, sn) VALUES (?, ?) ON CONFLICT DO NOTHING";
            self.sql.run(insert, values![target.as_str(), sn])?;
            if let Some(target) = self.find(&target)? {
                self.redact(&target, &event)?;
            }
        }
        self.redact_late(sn)
    }

    /// Applies to an event the redactions that came before it.
    fn redact_late(&mut self, sn: Sn) -> Result<()> {
        let event = self.event(sn)?;
        let query = "SELECT sn FROM redactions WHERE target = ?";
        for by in self.sql.rows(query, values![event.pdu.event_id.as_str()], |row| row.int(0))? {
            let redaction = self.event(by)?;
            self.redact(&event, &redaction)?;
        }
        Ok(())
    }

    /// Whether the sender may redact this event: it is of the sender's server, or the sender has the power to redact
    /// any event. Never the create event: without its content nobody could judge the room, so servers ignore such
    /// redactions.
    pub fn may_redact(&mut self, target: &Pdu, sender: &UserId, power: &PowerLevels) -> bool {
        target.kind() != "m.room.create"
            && (target.sender.server_name() == sender.server_name()
                || power.suffices(sender, power.redact()))
    }

    /// Whether clients may act on a redaction: it took its target's content, or would have if another had not been
    /// first.
    pub fn is_in_effect(&mut self, redaction: &Stored) -> Result<bool> {
        let Some(before) = redaction.before else { return Ok(false) };
        // A redaction that was redacted itself names no target any more: a client that sees it hides nothing.
        let Some(id) = &redaction.pdu.redacts else { return Ok(true) };
        let Some(target) = self.find(id)? else { return Ok(false) };
        let power = self.power_at(before)?;
        Ok(target.redacted_by.is_some()
            && self.may_redact(&target.pdu, &redaction.pdu.sender, &power))
    }

    fn redact(&mut self, target: &Rc<Stored>, redaction: &Rc<Stored>) -> Result<()> {
        let Some(before) = redaction.before else { return Ok(()) };
        let power = self.power_at(before)?;
        let applies = target.redacted_by.is_none()
            && target.verdict != Verdict::Rejected
            && self.may_redact(&target.pdu, &redaction.pdu.sender, &power);
        if !applies {
            return Ok(());
        }
        let version = self.row()?.version;
        let pruned =
            redacted(&target.pdu, version).map_err(|fault| Stop::broken(fault.to_string()))?;
        let judged = judged_content(&target.pdu, &pruned)?;
        self.overwrite(target.sn, (&pruned, judged.as_deref()), redaction.sn)
    }
}
