//! Who is typing?

use std::collections::BTreeSet;

use ruma::{OwnedServerName, OwnedUserId, UserId};
use tombolo_platform::values;
use tombolo_protocol::membership::Membership;

use crate::objects::room::{
    Result, Room,
    messages::{ExpireTyping, Typing, TypingExpired, TypingNow},
    not_in_room,
};

/// Notes who types; answers who is to hear of it.
pub fn typing(room: &mut Room<'_>, message: Typing) -> Result<TypingNow> {
    room.live()?;
    if !room.is_joined(&message.user)? {
        return Err(not_in_room());
    }
    let user = message.user.as_str();
    match message.until.filter(|_| is_shown(&message.user)) {
        Some(until) => {
            let insert = "INSERT INTO typing (user, until) VALUES (?, ?) ON CONFLICT DO UPDATE SET until = excluded.until";
            room.sql.run(insert, values![user, until])?;
            room.wake_at(until);
        }
        None => {
            room.sql.run("DELETE FROM typing WHERE user = ?", values![user])?;
        }
    }
    let servers = if room.is_ours(&message.user) { room.servers()? } else { Vec::new() };
    room.typing_now(servers)
}

/// Forgets users whose typing timed out, or who left. Users who came since followers were last told learn who types.
pub fn expire(room: &mut Room<'_>, _: ExpireTyping) -> Result<TypingExpired> {
    let notified_up_to = room.row()?.notified_up_to;
    let rows = room
        .sql
        .rows("SELECT user, until FROM typing", values![], |row| Ok((row.text(0)?, row.int(1)?)))?;
    let (mut next, mut stopped) = (None, false);
    for (user, until) in &rows {
        let until = u64::try_from(*until).unwrap_or_default();
        if until > room.moment.now && room.membership_of(user)? == Some(Membership::Join) {
            next = next.into_iter().chain([until]).min();
            continue;
        }
        room.sql.run("DELETE FROM typing WHERE user = ?", values![user])?;
        stopped = true;
    }
    if rows.is_empty() {
        return Ok(TypingExpired { changed: None, next });
    }
    let mut now = room.typing_now(Vec::new())?;
    if !stopped {
        let came = room.locals()?.into_iter().filter(|(.., since)| *since > notified_up_to);
        let came: BTreeSet<OwnedUserId> = came.map(|(user, ..)| user).collect();
        now.tell.retain(|user| came.contains(user));
    }
    let changed = Some(now).filter(|now| !now.tell.is_empty());
    Ok(TypingExpired { changed, next })
}

impl Room<'_> {
    /// Who types now, and the local users who see it.
    fn typing_now(&mut self, mut servers: Vec<OwnedServerName>) -> Result<TypingNow> {
        let query = "SELECT user FROM typing WHERE until > ? ORDER BY user";
        let typing = self.sql.rows(query, values![self.moment.now], |row| row.text(0))?;
        let typing = typing.into_iter().filter_map(|user| user.try_into().ok()).collect();
        let locals = self.locals()?;
        let tell = locals
            .into_iter()
            .filter(|(_, membership, _)| *membership == Membership::Join)
            .map(|(user, ..)| user)
            .collect();
        servers.retain(|server| *server != self.config.server_name);
        Ok(TypingNow { typing, tell, servers })
    }
}

/// Whether clients are shown this user's typing and receipts, and see the user as a hero: old IDs may hold anything
/// ([historical user IDs](https://spec.matrix.org/v1.19/appendices/#historical-user-ids)).
pub fn is_shown(user: &UserId) -> bool {
    let localpart = user.localpart();
    !localpart.is_empty() && localpart.bytes().all(|byte| byte.is_ascii_graphic())
}
