//! What are local users told of the room?

use std::{
    collections::{BTreeMap, btree_map::Entry},
    rc::Rc,
};

use ruma::{OwnedRoomId, OwnedUserId, UserId};
use serde_json::value::RawValue;
use tombolo_platform::values;
use tombolo_protocol::{
    event::{SHOWN_TO_INVITED, stripped},
    membership::Membership,
};

use crate::{
    objects::room::{
        Result, Room,
        graph::events::Stored,
        messages::{
            LocalNews, LocalNewsReply, LocalsTold, Notifiable, Position, Refusal, Traits, UserNews,
        },
    },
    shell::{Stop, membership},
};

/// What local users are to be told.
pub fn local_news(room: &mut Room<'_>, _: LocalNews) -> Result<LocalNewsReply> {
    let to = room.row()?.pos;
    let lagging = lagging(room)?;
    let (news, notifiable) = room.local_news(&lagging)?;
    Ok(LocalNewsReply { to, news, notifiable })
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
        let mut locals = Vec::new();
        for user in users {
            let query = "SELECT membership, pos FROM locals WHERE user = ?";
            let found = self
                .sql
                .row(query, values![user.as_str()], |row| Ok((membership(row, 0)?, row.int(1)?)))?;
            locals.extend(found.map(|(membership, pos)| (user.clone(), membership, pos)));
        }
        self.news_of(locals)
    }

    /// What local users are to be told who have had these memberships since a position.
    pub fn news_of(
        &mut self,
        locals: Vec<(OwnedUserId, Membership, Position)>,
    ) -> Result<Vec<UserNews>> {
        let (lagging, mut news) = (lagging(self)?, Vec::new());
        let mut judged: BTreeMap<Position, Option<Notifiable>> = BTreeMap::new();
        for (user, membership, pos) in locals {
            let told = self.told(&user, &lagging)?;
            let mut of_user = self.news_since(user, (membership, pos), told)?;
            if of_user.notify.is_some() {
                if let Entry::Vacant(place) = judged.entry(told) {
                    place.insert(self.notifiable(told)?);
                }
                of_user.notifiable = judged.get(&told).cloned().flatten();
            }
            news.push(of_user);
        }
        Ok(news)
    }

    /// The same of one user who was told up to a position, without the events for the push rules.
    fn news_since(
        &mut self,
        user: OwnedUserId,
        (membership, pos): (Membership, Position),
        told: Position,
    ) -> Result<UserNews> {
        if membership == Membership::Join {
            let (to, notify) = (self.row()?.pos, self.notify(&user, told)?);
            let predecessor = if notify.since > told { self.predecessor()? } else { None };
            let (notify, active) = (Some(notify), self.is_active(told)?);
            let traits = Some(self.traits()?);
            let news = UserNews::of(user, to, membership);
            return Ok(UserNews { notify, predecessor, active, traits, ..news });
        }
        let news = UserNews { active: true, ..UserNews::of(user, pos, membership) };
        if !membership.is_waiting() {
            let removed = self.was_removed(news.user.as_str())?;
            let traits = Some(Traits { removed, ..self.traits()? });
            return Ok(UserNews { traits, ..news });
        }
        let member = self
            .now_event("m.room.member", news.user.as_str())?
            .ok_or(Stop::Refused(Refusal::NotFound))?;
        let stripped = Some(self.stripped_with(&member)?);
        let invite = (membership == Membership::Invite).then(|| member.pdu.event_id.clone());
        Ok(UserNews { stripped, invite, ..news })
    }

    /// Whether something happened after a position.
    fn is_active(&mut self, since: Position) -> Result<bool> {
        let query = "SELECT 1 FROM events WHERE pos > ? LIMIT 1";
        Ok(self.sql.row(query, values![since], |row| row.int(0))?.is_some())
    }

    /// The room that this one replaces.
    fn predecessor(&mut self) -> Result<Option<OwnedRoomId>> {
        #[derive(serde::Deserialize)]
        struct Predecessor {
            room_id: OwnedRoomId,
        }
        let create = self.now_event("m.room.create", "")?;
        let named = create.and_then(|create| {
            let predecessor = create.pdu.content_field("predecessor")?;
            serde_json::from_str::<Predecessor>(predecessor.get()).ok()
        });
        Ok(named.map(|predecessor| predecessor.room_id))
    }

    /// Up to where a local user was told for certain.
    fn told(&mut self, user: &UserId, lagging: &BTreeMap<String, Position>) -> Result<Position> {
        lagging.get(user.as_str()).map_or_else(|| self.told_to_all(), |since| Ok(*since))
    }

    /// Up to where local users were told, but for those that lag.
    fn told_to_all(&mut self) -> Result<Position> {
        Ok(self.row()?.notified_up_to.max(self.cache.locals_notified_up_to))
    }

    /// The stripped state for an invited or knocking user, their member event included, as a JSON array.
    pub fn stripped_with(&mut self, member: &Rc<Stored>) -> Result<Box<RawValue>> {
        let mut events = Vec::new();
        for kind in SHOWN_TO_INVITED {
            events.extend(self.now_event(kind, "")?);
        }
        if member.pdu.state_key.as_deref() != Some(member.pdu.sender.as_str()) {
            events.extend(self.now_event("m.room.member", member.pdu.sender.as_str())?);
        }
        events.push(Rc::clone(member));
        let texts: Vec<String> = events.iter().map(|event| stripped(&event.pdu)).collect();
        Ok(RawValue::from_string(format!("[{}]", texts.join(",")))?)
    }

    /// What local users have not been told yet, those with an invite or knock from outside included; and the events
    /// among it that push rules judge.
    pub fn local_news(
        &mut self,
        lagging: &BTreeMap<String, Position>,
    ) -> Result<(Vec<UserNews>, Option<Notifiable>)> {
        let newest = self.row()?.pos;
        let (mut news, mut judged_from) = (Vec::new(), None::<Position>);
        for (user, membership, pos) in self.locals()? {
            let to = if membership == Membership::Join { newest } else { pos };
            let told = self.told(&user, lagging)?;
            if to > told {
                let of_user = self.news_since(user, (membership, pos), told)?;
                if of_user.notify.is_some() {
                    judged_from = Some(judged_from.map_or(told, |from| from.min(told)));
                }
                news.push(of_user);
            }
        }
        let first = lagging.values().copied().fold(self.told_to_all()?, Position::min);
        for outside in self.news_out_of_band(first)? {
            if outside.to > self.told(&outside.user, lagging)? {
                news.push(outside);
            }
        }
        let notifiable = judged_from.map(|from| self.notifiable(from)).transpose()?.flatten();
        Ok((news, notifiable))
    }
}

/// The followers that could not be told, and the position up to which they were.
pub fn lagging(room: &mut Room<'_>) -> Result<BTreeMap<String, Position>> {
    let rows = room.sql.rows("SELECT follower, since FROM lagging", values![], |row| {
        Ok((row.text(0)?, row.int(1)?))
    })?;
    Ok(rows.into_iter().collect())
}
