//! Which auth events and parents does an event of ours cite?

use ruma::OwnedEventId;
use tombolo_protocol::{event, event_auth::auth_types};

use crate::{
    objects::room::{Result, Room, Sn, messages::Refusal},
    shell::Stop,
};

/// The most parents an event may have.
const MAX_PARENTS: usize = 20;

impl Room<'_> {
    /// The events of the current state that allow a draft ([auth events selection]).
    ///
    /// [auth events selection]: https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection
    pub fn auth_events(&mut self, draft: &event::Draft) -> Result<Vec<OwnedEventId>> {
        let version = self.row()?.version;
        let content = serde_json::value::to_raw_value(&draft.content)?;
        let keys = auth_types(
            version,
            &draft.event_type,
            &draft.sender,
            draft.state_key.as_deref(),
            &content,
        )
        .map_err(|reason| Stop::Refused(Refusal::Invalid(reason)))?;
        let mut events = Vec::new();
        for (kind, key) in keys {
            events.extend(self.now_event(&kind, &key)?.map(|event| event.pdu.event_id.clone()));
        }
        Ok(events)
    }

    /// The IDs of the extremities.
    pub fn extremity_ids(&mut self) -> Result<Vec<OwnedEventId>> {
        let extremities = self.row()?.extremities;
        extremities.into_iter().map(|sn| Ok(self.event(sn)?.pdu.event_id.clone())).collect()
    }

    /// The extremities a new event cites, and its depth. Where there are too many, the deepest.
    pub fn parents(&mut self) -> Result<(Vec<OwnedEventId>, u64)> {
        let mut extremities: Vec<(u64, Sn)> = Vec::new();
        for sn in self.row()?.extremities {
            extremities.push((self.event(sn)?.pdu.depth, sn));
        }
        extremities.sort_unstable_by(|a, b| b.cmp(a));
        extremities.truncate(MAX_PARENTS);
        let depth = extremities.first().map_or(0, |(depth, _)| *depth).saturating_add(1);
        let parents = extremities
            .iter()
            .map(|(_, sn)| Ok(self.event(*sn)?.pdu.event_id.clone()))
            .collect::<Result<_>>()?;
        Ok((parents, depth))
    }
}
