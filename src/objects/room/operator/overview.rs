//! What does an operator see of the room, whoever may see it?

use ruma::OwnedUserId;
use serde_json::{Map, Value, json, value::RawValue};
use tombolo_platform::values;
use tombolo_protocol::{membership::Membership, power_levels::Level};

use crate::{
    objects::room::{
        Result, Room, Telling,
        graph::events::Before,
        messages::{
            Extremities, Extremity, Granting, GrantingReply, JoinedMembers, Overview,
            OverviewReply, Refusal, WholeState,
        },
        row::Life,
    },
    shell::Stop,
};

const POWER_LEVELS: &str = "m.room.power_levels";

/// What the room is now.
pub fn overview(room: &mut Room<'_>, message: Overview) -> Result<OverviewReply> {
    let row = room.graph()?;
    let live = row.life == Life::Live;
    let known = room.known()?;
    if room.listing_due()?.is_some() {
        // The copy of a room that was quiet since before there was one is made now.
        room.tell(Telling::MakeSure);
    }
    let summary = room.summary()?;
    let locals = room.locals()?;
    let here = locals.iter().filter(|(_, membership, _)| *membership == Membership::Join).count();
    let state = room.sql.row("SELECT count(*) AS n FROM now", values![], |row| row.int(0))?;
    let tombstone = room.now_event("m.room.tombstone", "")?;
    let replaced_by = |pdu: &tombolo_protocol::event::Pdu| pdu.content_str("replacement_room");
    let named = locals.into_iter().map(|(user, membership, _)| (user, membership));
    Ok(OverviewReply {
        known,
        topic: summary.topic,
        avatar: summary.avatar_url,
        joined_members: if live { summary.num_joined_members } else { 0 },
        joined_local_members: u64::try_from(here).unwrap_or(u64::MAX),
        state_events: state.and_then(|count| u64::try_from(count).ok()).unwrap_or_default(),
        tombstoned: tombstone.is_some(),
        replacement_room: tombstone.and_then(|event| replaced_by(&event.pdu)),
        locals: if message.locals { named.collect() } else { Vec::new() },
    })
}

/// Who is joined, of all servers; nobody where none of us is in the room.
pub fn joined_members(room: &mut Room<'_>, _: JoinedMembers) -> Result<Vec<OwnedUserId>> {
    let row = room.graph()?;
    if row.life != Life::Live {
        return Ok(Vec::new());
    }
    let members = room.members_at(row.pos)?.into_iter();
    let joined = members.filter(|(_, membership)| *membership == Membership::Join);
    let mut joined: Vec<OwnedUserId> = joined.map(|(user, _)| user).collect();
    joined.sort();
    Ok(joined)
}

/// The current state.
pub fn whole_state(room: &mut Room<'_>, message: WholeState) -> Result<Vec<Box<RawValue>>> {
    let row = room.graph()?;
    let viewer = room.viewer(message.user, String::new())?;
    let whole = room.whole(Before { at: row.pos, fork: None })?;
    let wanted = |kind: &String| message.event_type.as_ref().is_none_or(|wanted| wanted == kind);
    let sns = whole.into_iter().filter(|((kind, _), _)| wanted(kind)).map(|(_, sn)| sn);
    room.client_views(&viewer, sns, true)
}

/// The forward extremities.
pub fn extremities(room: &mut Room<'_>, _: Extremities) -> Result<Vec<Extremity>> {
    let row = room.graph()?;
    let extremity = |sn: &i64| {
        let event = room.event(*sn)?;
        Ok(Extremity { event_id: event.pdu.event_id.clone(), depth: event.pdu.depth })
    };
    row.extremities.iter().map(extremity).collect()
}

/// The local user with the most power, who gives as much of it as they can.
pub fn granting(room: &mut Room<'_>, message: Granting) -> Result<GrantingReply> {
    room.live()?;
    let power = room.power_now()?;
    let needed = power.send(POWER_LEVELS, true);
    let locals = room.locals()?.into_iter();
    let joined = locals.filter(|(_, membership, _)| *membership == Membership::Join);
    let able = joined.map(|(user, ..)| user).filter(|user| power.suffices(user, needed));
    let by = able.max_by_key(|user| power.user(user)).ok_or(Stop::Refused(Refusal::NotFound))?;
    let membership = room.membership_of(message.user.as_str())?;
    if membership == Some(Membership::Ban) {
        return Err(Stop::Refused(Refusal::Forbidden(
            "The user is banned from the room".to_owned(),
        )));
    }
    let held = room.now_event(POWER_LEVELS, "")?;
    let mut levels: Map<String, Value> = match &held {
        Some(event) => serde_json::from_str(event.pdu.content.get())?,
        None => Map::new(),
    };
    let mut users = match levels.remove("users") {
        Some(Value::Object(users)) => users,
        _ => Map::new(),
    };
    // A creator of a newer room has more than any number: as much as usual is given then.
    let level = match power.user(&by) {
        Level::Finite(level) => level,
        Level::Infinite => 100,
    };
    // Without power levels the creator has theirs by that alone, and keeps it only if they are named.
    if held.is_none() && power.user(&by) != Level::Infinite {
        users.insert(by.to_string(), json!(level));
    }
    // Who has as much already keeps it.
    if power.user(&message.user) < Level::Finite(level) {
        users.insert(message.user.to_string(), json!(level));
    }
    levels.insert("users".to_owned(), Value::Object(users));
    let in_or_invited = matches!(membership, Some(Membership::Join | Membership::Invite));
    let invite = !in_or_invited && room.join_rule()? != "public";
    Ok(GrantingReply { by, levels: serde_json::value::to_raw_value(&levels)?, invite })
}
