//! Whom can the request that sends a message tell by itself?
//!
//! Where the members are few and all ours, nobody needs to wait for the alarm: the request tells them all, and the
//! alarm, armed in the same transaction, only makes sure. Elsewhere the alarm tells. News that comes while it is at
//! work is told together, so a burst of messages is one piece of news to each follower.

use std::rc::Rc;

use ruma::{OwnedUserId, UserId};
use tombolo_platform::values;
use tombolo_protocol::membership::Membership;

use crate::{
    objects::room::{
        Result, Room, Telling,
        messages::{Position, UserNews},
    },
    shell::Stop,
};

/// The most users whom one request tells.
const FEW: usize = 4;

/// When the alarm makes sure (ms): later than a request needs, or it would tell what is just being told.
const MAKES_SURE: u64 = 2_000;

/// How long after a telling the next one may begin at most (ms); until then news gathers. A telling costs the more, the
/// more followers there are: it is a millisecond for each member, up to this.
const PAUSE: u64 = 100;

/// The room's joined users: whether one request can tell them all.
#[derive(Clone)]
pub enum Audience {
    /// All of them: few, and ours.
    Few(Rc<[OwnedUserId]>),
    Many,
}

impl Room<'_> {
    /// Whom the caller is to tell of a message at `to`: the sender, before they are answered, and others meanwhile. If
    /// that covers every follower, the alarm is delayed.
    pub fn news_of_message(
        &mut self,
        sender: &UserId,
        to: Position,
    ) -> Result<(Vec<UserNews>, Vec<UserNews>)> {
        let mut told = vec![(sender.to_owned(), Membership::Join, to)];
        if let Audience::Few(users) = self.audience()? {
            self.pending.telling = Some(Telling::MakeSure);
            let others = users.iter().filter(|user| *user != sender);
            told.extend(others.map(|user| (user.clone(), Membership::Join, to)));
        }
        let mut news = self.news_of(told)?;
        let others = news.split_off(1);
        Ok((news, others))
    }

    /// Arms the alarm that tells followers what is new: as soon as news has gathered, or to make sure.
    pub fn arm(&mut self) {
        match self.pending.telling.take() {
            Some(Telling::Soon) => {
                let members = self.cache.row.as_ref().map_or(0, |row| row.joined);
                let pause = u64::try_from(members).unwrap_or_default().min(PAUSE);
                self.effects.alarm_at(self.moment.now.max(self.cache.told_at + pause));
            }
            Some(Telling::MakeSure) => self.effects.alarm_at(self.moment.now + MAKES_SURE),
            None => {}
        }
    }

    /// When to look again for news that came during a telling: the request that brought it has armed the alarm for it.
    pub fn next_telling(&self) -> u64 {
        self.moment.now + MAKES_SURE
    }

    fn audience(&mut self) -> Result<Audience> {
        if let Some(audience) = &self.cache.audience {
            return Ok(audience.clone());
        }
        let query = "SELECT 1 FROM servers WHERE until IS NULL AND server <> ? LIMIT 1";
        let elsewhere = self
            .sql
            .row(query, values![self.config.server_name.as_str()], |row| row.int(0))?
            .is_some();
        let query = "SELECT user FROM locals WHERE membership = 'join' LIMIT ?";
        let users = self.sql.rows(query, values![FEW + 1], |row| row.text(0))?;
        let audience = if elsewhere || users.len() > FEW {
            Audience::Many
        } else {
            Audience::Few(parse(users)?)
        };
        self.cache.audience = Some(audience.clone());
        Ok(audience)
    }
}

fn parse(users: Vec<String>) -> Result<Rc<[OwnedUserId]>> {
    let parse =
        |user: String| user.try_into().map_err(|_| Stop::broken("a local user's ID is none"));
    users.into_iter().map(parse).collect()
}
