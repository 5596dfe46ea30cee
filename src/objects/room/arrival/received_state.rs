//! How is a state read that another server gives for one event?

use std::collections::BTreeMap;

use ruma::OwnedEventId;
use tombolo_protocol::{event::Pdu, event_auth::auth_types};

use crate::objects::room::{
    Result, Room, Sn,
    graph::{
        events::{Before, Verdict},
        state::{Key, Overlay},
    },
};

/// How many unverified events a received state may lack, beside those that the mainline lacks too.
const MAX_MISSING: usize = 100;

impl Room<'_> {
    /// The state before an event, as another server gave it, stored as an overlay of the mainline now. Rejected events
    /// are left out. Unverified events (`missing`) are noted; `None` if there are too many, or if the event's verdict
    /// may rest on one.
    pub fn received_state(
        &mut self,
        pdu: &Pdu,
        state: &[OwnedEventId],
        missing: &[OwnedEventId],
    ) -> Result<Option<Before>> {
        let at = self.row()?.pos;
        let mut received = BTreeMap::new();
        for id in state {
            let Some(event) = self.find(id)? else { continue };
            let Some((kind, key)) = event.pdu.key().filter(|_| event.verdict != Verdict::Rejected)
            else {
                continue;
            };
            received.insert((kind.to_owned(), key.to_owned()), event.sn);
        }
        if !missing.is_empty() && !self.suffices(pdu, &received)? {
            return Ok(None);
        }
        let base = Before { at, fork: None };
        let mut overlay: Overlay = self
            .whole(base)?
            .into_keys()
            .filter(|key| !received.contains_key(key))
            .map(|key| (key, None))
            .collect();
        for (key, sn) in received {
            if self.mainline(at, &key.0, &key.1)? != Some(sn) {
                overlay.insert(key, Some(sn));
            }
        }
        // An event that the mainline lacks too needs no note: when the mainline gets it, the overlay shows it.
        let missing = self.without_unverified(missing)?;
        match missing.len() {
            0 => self.fork(base, overlay).map(Some),
            1..=MAX_MISSING => self.fork_without(base, overlay, &missing).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether an incomplete state has all that an event's verdict rests on, as far as we can know: its sender's
    /// membership, and each other value the rules read that is set now.
    fn suffices(&mut self, pdu: &Pdu, received: &BTreeMap<Key, Sn>) -> Result<bool> {
        let version = self.row()?.version;
        let key = pdu.state_key.as_deref();
        let Ok(keys) = auth_types(version, pdu.kind(), &pdu.sender, key, &pdu.content) else {
            // If the rules select no auth events for an event, they allow it in no state.
            return Ok(true);
        };
        for key in keys {
            let needed = key.1 == pdu.sender.as_str() || self.now(&key.0, &key.1)?.is_some();
            if needed && !received.contains_key(&key) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
