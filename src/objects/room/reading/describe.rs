//! What is this room, who is in it, and who may join?
use tombolo_protocol::membership::Membership;

use crate::objects::room::{
    Result, Room,
    messages::{
        Describe, Description, MayRead, MaySend, MembershipOf, Participants, ParticipantsReply,
        ServerAllowed,
    },
    row::Life,
};

/// The room's version, whether it is live, and the rooms whose members may join.
pub fn describe(room: &mut Room<'_>, _: Describe) -> Result<Description> {
    let row = room.row()?;
    Ok(Description {
        version: row.version.id.to_string(),
        live: row.life == Life::Live,
        allow_rooms: room.allow_rooms()?,
        closed: room.is_closed()?,
    })
}

/// Which servers have a joined user: this one, then the most helpful.
pub fn participants(room: &mut Room<'_>, _: Participants) -> Result<ParticipantsReply> {
    room.graph()?;
    let mut servers = room.servers()?;
    servers.retain(|server| room.is_local(server));
    servers.extend(room.helpers()?);
    let locals = room.locals()?.into_iter();
    let joined = locals.filter(|(_, membership, _)| *membership == Membership::Join);
    Ok(ParticipantsReply { servers, locals: joined.map(|(user, ..)| user).collect() })
}

/// A user's membership now.
pub fn membership(room: &mut Room<'_>, message: MembershipOf) -> Result<Option<Membership>> {
    if message.live {
        room.live()?
    } else {
        room.graph()?
    };
    room.membership_of(message.user.as_str())
}

/// Whether a user is joined and has the power to send something.
pub fn may_send(room: &mut Room<'_>, message: MaySend) -> Result<bool> {
    room.live()?;
    let power = room.power_now()?;
    let needed = power.send(&message.event_type, message.is_state);
    Ok(room.is_joined(&message.user)? && power.suffices(&message.user, needed))
}

/// Whether a user may read the current state.
pub fn may_read(room: &mut Room<'_>, message: MayRead) -> Result<bool> {
    room.graph()?;
    Ok(room.is_joined(&message.user)? || room.is_world_readable()?)
}

/// Whether the room's ACL lets a server in.
pub fn server_allowed(room: &mut Room<'_>, message: ServerAllowed) -> Result<bool> {
    room.graph()?;
    room.allows(&message.server)
}
