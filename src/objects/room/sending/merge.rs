//! When do we send a dummy event?
//!
//! A dummy event cites all forward extremities. So it merges them where there are many, and it is the last event told
//! to a server that a resolution took out of the room.

use std::{collections::BTreeSet, mem};

use ruma::UserId;
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::membership::Membership;

use crate::{
    objects::room::{
        Result, Room, Sn,
        messages::{Draft, Position, Send},
        sending::send,
    },
    shell::Stop,
};

/// The type of a dummy event, which only merges extremities; clients are not shown it. The name is Synapse's.
pub const DUMMY: &str = "org.matrix.dummy_event";

/// When there are more forward extremities than this, a dummy event merges them.
const MOST_EXTREMITIES: usize = 10;

impl Room<'_> {
    /// Sends a dummy event where the inserted events left many extremities, or took a server out of the room.
    pub fn merge_extremities(&mut self) -> Result<()> {
        // If there are more extremities than an event may cite, inserting the dummy event resolves states, too: hence
        // the loop.
        let mut told = BTreeSet::new();
        while !self.pending.resolved.is_empty() {
            let mut dropped = Vec::new();
            for (sn, pos) in mem::take(&mut self.pending.resolved) {
                dropped.extend(self.dropped_by(sn, pos)?);
            }
            // A told server's stay now ends with the dummy event, whose insertion may resolve states, too: the server
            // would be found dropped again.
            dropped.retain(|(server, _)| !told.contains(server));
            let many = self.row()?.extremities.len() > MOST_EXTREMITIES;
            if !many && dropped.is_empty() {
                break;
            }
            let Some(last) = self.send_dummy()? else { break };
            for (server, pos) in dropped {
                self.extend_stay(&server, pos, last)?;
                told.insert(server);
            }
        }
        Ok(())
    }

    /// The other servers whose stay ended when the state was resolved. No event says so, and nobody would tell them: an
    /// event that cites all extremities lets them find out by themselves.
    fn dropped_by(&mut self, sn: Sn, pos: Position) -> Result<Vec<(String, Position)>> {
        let query = "SELECT server FROM servers WHERE until = ?";
        let mut dropped = self.sql.rows(query, values![pos], |row| row.text(0))?;
        let event = self.event(sn)?;
        let named = event.pdu.state_key.as_deref().filter(|_| event.pdu.kind() == "m.room.member");
        let by_event =
            named.and_then(|user| Some(UserId::parse(user).ok()?.server_name().to_string()));
        dropped.retain(|server| {
            Some(server) != by_event.as_ref() && *server != self.config.server_name
        });
        Ok(dropped.into_iter().map(|server| (server, pos)).collect())
    }

    /// Sends a dummy event as the first local user who may; answers its position.
    fn send_dummy(&mut self) -> Result<Option<Position>> {
        for (sender, membership, _) in self.locals()? {
            if membership != Membership::Join {
                continue;
            }
            let content = RawValue::from_string("{}".to_owned())?;
            let (event_type, state_key, redacts) = (DUMMY.to_owned(), None, None);
            let draft = Draft { event_type, state_key, content, redacts };
            match send::write(self, &Send::of(sender, draft)) {
                Ok((_, position)) => return Ok(Some(position)),
                Err(Stop::Refused(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(None)
    }
}
