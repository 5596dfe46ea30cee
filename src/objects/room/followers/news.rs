//! What are local users told of the room?

use std::collections::BTreeMap;

use ruma::OwnedUserId;
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::{
    event::{SHOWN_TO_INVITED, stripped},
    membership::Membership,
};

use crate::{
    objects::room::{
        Result, Room,
        messages::{LocalNews, LocalNewsReply, LocalsTold, Position, Refusal, UserNews},
    },
    shell::{Stop, membership},
};

/// What local users are to be told.
pub fn local_news(room: &mut Room<'_>, _: LocalNews) -> Result<LocalNewsReply> {
    let to = room.row()?.pos;
    let lagging = lagging(room)?;
    Ok(LocalNewsReply { to, news: room.local_news(&lagging)? })
}

/// Notes up to where local users were told.
pub fn locals_told(room: &mut Room<'_>, message: LocalsTold) -> Result<()> {
    room.row()?;
    room.cache.locals_notified_up_to = room.cache.locals_notified_up_to.max(message.to);
    Ok(())
}

impl Room<'_> {
    /// What these local users are to be told, as of now.
    pub fn news_for(&mut self, users: &[OwnedUserId]) -> Result<Vec<UserNews>> {
        let mut news = Vec::new();
        for user in users {
            let query = "SELECT membership, pos FROM locals WHERE user = ?";
            let found = self
                .sql
                .row(query, values![user.as_str()], |row| Ok((membership(row, 0)?, row.int(1)?)))?;
            if let Some((membership, pos)) = found {
                news.push(self.news_of(user.clone(), membership, pos)?);
            }
        }
        Ok(news)
    }

    /// What a local user is to be told who has had this membership since a position.
    pub fn news_of(
        &mut self,
        user: OwnedUserId,
        membership: Membership,
        pos: Position,
    ) -> Result<UserNews> {
        let to = if membership == Membership::Join { self.row()?.pos } else { pos };
        let stripped = if membership.is_waiting() { Some(self.stripped_for(&user)?) } else { None };
        Ok(UserNews { user, to, membership, stripped })
    }

    /// The stripped state for an invited or knocking user, their member event included, as a JSON array.
    fn stripped_for(&mut self, user: &OwnedUserId) -> Result<Box<RawValue>> {
        let mut events = Vec::new();
        for kind in SHOWN_TO_INVITED {
            events.extend(self.now_event(kind, "")?);
        }
        let member = self
            .now_event("m.room.member", user.as_str())?
            .ok_or(Stop::Refused(Refusal::NotFound))?;
        if member.pdu.sender != *user {
            events.extend(self.now_event("m.room.member", member.pdu.sender.as_str())?);
        }
        events.push(member);
        let texts: Vec<String> = events.iter().map(|event| stripped(&event.pdu)).collect();
        Ok(RawValue::from_string(format!("[{}]", texts.join(",")))?)
    }

    /// What local users have not been told yet, those with an invite or knock from outside included.
    pub fn local_news(&mut self, lagging: &BTreeMap<String, Position>) -> Result<Vec<UserNews>> {
        let row = self.row()?;
        let told = row.notified_up_to.max(self.cache.locals_notified_up_to);
        let since = |user: &OwnedUserId| lagging.get(user.as_str()).copied().unwrap_or(told);
        let mut news = Vec::new();
        for (user, membership, pos) in self.locals()? {
            let to = if membership == Membership::Join { row.pos } else { pos };
            if to > since(&user) {
                news.push(self.news_of(user, membership, pos)?);
            }
        }
        let first = lagging.values().copied().fold(told, Position::min);
        let mut outside = self.news_out_of_band(first)?;
        outside.retain(|news| news.to > since(&news.user));
        news.extend(outside);
        Ok(news)
    }
}

/// The followers that could not be told, and the position up to which they were.
pub fn lagging(room: &mut Room<'_>) -> Result<BTreeMap<String, Position>> {
    let rows = room.sql.rows("SELECT follower, since FROM lagging", values![], |row| {
        Ok((row.text(0)?, row.int(1)?))
    })?;
    Ok(rows.into_iter().collect())
}
