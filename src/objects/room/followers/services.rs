//! Which application services are concerned with what is new?
//!
//! Their namespaces are not known here. What is answered says who of us was in the room when, and who did something.

use std::collections::BTreeMap;

use ruma::{OwnedUserId, UserId};
use tombolo_platform::{Row, values};
use tombolo_protocol::membership::Membership;

use crate::objects::room::{
    Result, Room, Sn,
    followers::{news::lagging, telling::receipts_since},
    messages::{NewsForServices, Position, SERVICE, ServicesNews, Stay},
};

/// How many events are looked at.
const MOST: u32 = 1_000;

/// What is new for application services.
pub fn news_for_services(room: &mut Room<'_>, message: NewsForServices) -> Result<ServicesNews> {
    let row = room.row()?;
    let named =
        |(name, since): (String, Position)| Some((name.strip_prefix(SERVICE)?.to_owned(), since));
    let lagging: Vec<(String, Position)> = lagging(room)?.into_iter().filter_map(named).collect();
    let (since, to) = (row.notified_up_to, message.to.unwrap_or(row.pos));
    let first = lagging.iter().map(|(_, since)| *since).fold(since, Position::min);
    let (told, newest) = (room.last_event(since)?, room.last_event(to)?);
    let news = ServicesNews { since, told, to, newest, lagging, ..ServicesNews::default() };
    if first >= to {
        return Ok(news);
    }
    let events =
        if first < newest { room.between(first + 1, newest, false, MOST + 1)? } else { Vec::new() };
    let many = events.len() > MOST as usize;
    let mut acts = BTreeMap::new();
    for event in events.into_iter().filter(|event| !event.is_history()) {
        let member = event.pdu.state_key.as_deref().filter(|_| event.pdu.kind() == "m.room.member");
        let target = member.and_then(|key| UserId::parse(key).ok());
        for user in target.into_iter().chain([event.pdu.sender.clone()]) {
            if room.is_ours(&user) {
                acts.insert(user, event.pos.unwrap_or_default());
            }
        }
    }
    let mut receipts = if message.receipts { receipts_since(room, first)? } else { Vec::new() };
    receipts.retain(|(pos, _)| *pos <= to);
    let (stays, outside) = (room.stays_since(first)?, room.outside_since(first, to)?);
    Ok(ServicesNews { stays, acts: acts.into_iter().collect(), many, receipts, outside, ..news })
}

impl Room<'_> {
    /// The position of the last event up to a position.
    fn last_event(&mut self, upto: Position) -> Result<Position> {
        let query = "SELECT max(pos) FROM events WHERE pos <= ?";
        let last = self.sql.row(query, values![upto], |row| row.int_or_null(0))?;
        Ok(last.flatten().unwrap_or_default())
    }

    /// When local users were joined, since a position.
    fn stays_since(&mut self, first: Position) -> Result<Vec<Stay>> {
        let mut stays = Vec::new();
        for (user, membership, pos) in self.locals()? {
            if pos > first {
                self.changing_stays(&user, first, &mut stays)?;
            } else if membership == Membership::Join {
                stays.push(Stay { user, from: first, to: None });
            }
        }
        Ok(stays)
    }

    /// The stays of a local user whose membership has changed since a position.
    fn changing_stays(
        &mut self,
        user: &OwnedUserId,
        first: Position,
        stays: &mut Vec<Stay>,
    ) -> Result<()> {
        let query = "SELECT sn, since, until FROM past WHERE type = 'm.room.member' AND key = ?1 AND until > ?2
                     UNION ALL SELECT sn, since, NULL FROM now WHERE type = 'm.room.member' AND key = ?1 ORDER BY 2";
        let read = |row: &Row<'_>| Ok((row.int(0)?, row.int(1)?, row.int_or_null(2)?));
        let rows: Vec<(Sn, Position, Option<Position>)> =
            self.sql.rows(query, values![user.as_str(), first], read)?;
        for (sn, since, to) in rows {
            if self.event(sn)?.pdu.membership() == Some(Membership::Join) {
                stays.push(Stay { user: user.clone(), from: first.max(since - 1), to });
            }
        }
        Ok(())
    }
}
