//! Reads of very many events at once: no more of each than is needed.

use ruma::{OwnedEventId, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use tombolo_platform::{Row, SqlError, values};
use tombolo_protocol::{event::field, membership::Membership};

use crate::{
    objects::room::{Result, Room, Sn, graph::moves::shares, messages::Position, row::unpack},
    shell::Stop,
};

/// What is read of a member event.
#[derive(Deserialize)]
struct Member<'a> {
    #[serde(borrow)]
    content: &'a RawValue,
}

impl Room<'_> {
    /// Who is joined or invited at a position of the mainline.
    pub fn members_at(&mut self, at: Position) -> Result<Vec<(OwnedUserId, Membership)>> {
        let query = if at >= self.unchanged_since()? {
            "SELECT n.key, e.json FROM now n JOIN events e ON e.sn = n.sn WHERE n.type = 'm.room.member' AND n.since <= ?1"
        } else {
            "SELECT n.key, e.json FROM (
                 SELECT key, sn FROM now WHERE type = 'm.room.member' AND since <= ?1
                 UNION ALL SELECT key, sn FROM past WHERE type = 'm.room.member' AND since <= ?1 AND until > ?1
             ) n JOIN events e ON e.sn = n.sn"
        };
        let read = |row: &Row<'_>| Ok((row.text(0)?, membership_in(&row.text(1)?)?));
        let rows = self.sql.rows(query, values![at], read)?.into_iter();
        let sharing = rows.filter(|(_, membership)| shares(*membership));
        // A key that is no user ID is nobody's.
        Ok(sharing
            .filter_map(|(user, membership)| Some((UserId::parse(user).ok()?, membership?)))
            .collect())
    }

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

/// The membership that a stored member event gives.
fn membership_in(json: &str) -> std::result::Result<Option<Membership>, SqlError> {
    let member: Member<'_> =
        serde_json::from_str(json).map_err(|error| SqlError::Database(error.to_string()))?;
    let named = field(member.content, "membership");
    let named = named.and_then(|named| serde_json::from_str::<String>(named.get()).ok());
    Ok(named.and_then(|named| Membership::of(&named)))
}
