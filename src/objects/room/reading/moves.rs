//! Whose devices does a local user have to know from now on, and whose no more?
//! ([tracking the device list](https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user))
//!
//! Two users share the room while one is joined and the other joined or invited. Whoever's sharing with the user ended
//! in a range went while the user was there, or was there when the user went.

use std::collections::{BTreeMap, BTreeSet};

use ruma::OwnedUserId;
use tombolo_protocol::membership::Membership;

use crate::objects::room::{
    Result, Room,
    graph::moves::{Move, shares},
    messages::{Moves, MovesReply, Position, Sharing},
    reading::entitlement::Memberships,
};

/// Who came and who is gone for a user in a range.
pub fn moves(room: &mut Room<'_>, message: Moves) -> Result<MovesReply> {
    room.graph()?;
    let Moves { user, from, to } = message;
    let memberships = room.memberships(&user)?;
    if !memberships.joined_between(from, to + 1) {
        return Ok(MovesReply::default());
    }
    let log = room.moves(from, to)?;
    let (own, others): (Vec<Move>, Vec<Move>) =
        log.each.into_iter().partition(|moved| moved.user == user);
    let anew = log.everybody || own.iter().any(|moved| moved.became == Some(Membership::Join));
    let joined = memberships.at(to) == Some(Membership::Join);
    let mut came = BTreeSet::new();
    if joined && anew {
        came = room.others_at(to, &user)?;
    } else if joined {
        let last: BTreeMap<&OwnedUserId, Option<Membership>> =
            others.iter().map(|moved| (&moved.user, moved.became)).collect();
        let there = last.into_iter().filter(|(_, membership)| shares(*membership));
        came.extend(there.map(|(other, _)| other.clone()));
    }
    let mut gone = BTreeSet::new();
    for moved in others.iter().filter(|moved| shares(moved.was)) {
        if room.went_from(&memberships, moved, from)? {
            gone.insert(moved.user.clone());
        }
    }
    // Who was there when a user went that came back is there still, or went and is found above.
    if let Some(end) = memberships.last_left(to).filter(|_| !joined) {
        gone.extend(room.others_at(end - 1, &user)?);
        gone.extend(room.went_since(end)?.into_iter().filter(|other| *other != user));
    }
    gone.retain(|other| !came.contains(other));
    // Who was invited and has joined meanwhile is told once, with the join: only from then on are we told of changes.
    if !came.is_empty() {
        let joins = room.joins_to_tell(to)?;
        came.retain(|other| !joins.contains(other));
    }
    let (came, gone) = (came.into_iter().collect(), gone.into_iter().collect());
    Ok(MovesReply { came, gone, anew: joined && anew })
}

/// Who of some users shares the room with another one now.
pub fn sharing(room: &mut Room<'_>, message: Sharing) -> Result<Vec<OwnedUserId>> {
    room.graph()?;
    let mut sharing = Vec::new();
    if !room.is_joined(&message.user)? {
        return Ok(sharing);
    }
    for other in message.with {
        if shares(room.membership_of(other.as_str())?) {
            sharing.push(other);
        }
    }
    Ok(sharing)
}

impl Room<'_> {
    /// Everybody but a user who is joined or invited at a position.
    fn others_at(&mut self, at: Position, user: &OwnedUserId) -> Result<BTreeSet<OwnedUserId>> {
        let members = self.members_at(at)?.into_iter().map(|(other, _)| other);
        Ok(members.filter(|other| other != user).collect())
    }

    /// Whether somebody who went shared the room with the user of these memberships since a position.
    fn went_from(
        &mut self,
        memberships: &Memberships,
        moved: &Move,
        from: Position,
    ) -> Result<bool> {
        if memberships.at(moved.pos - 1) == Some(Membership::Join) {
            return Ok(true);
        }
        let Some(end) = memberships.last_left(moved.pos).filter(|end| *end > from) else {
            return Ok(false);
        };
        Ok(self.went_since(end)?.contains(&moved.user))
    }
}
