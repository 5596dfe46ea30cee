//! Which media do events of the room name?

use tombolo_platform::values;
use tombolo_protocol::event::field;

use crate::objects::room::{
    Result, Room,
    graph::summary::is_mxc,
    messages::{MediaNamed, MediaNamedReply},
};

/// How many events are looked through at once.
const AT_ONCE: i64 = 500;

/// The longest URL (bytes): servers' names and the IDs of their media have 255 at most.
const MAX_URL: usize = "mxc://".len() + 255 + "/".len() + 255;

/// The URLs of media that some of the events name, in the places where Matrix has them.
pub fn named(room: &mut Room<'_>, message: MediaNamed) -> Result<MediaNamedReply> {
    room.graph()?;
    let query = "SELECT sn, instr(json, 'mxc://') > 0 FROM events WHERE sn > ? ORDER BY sn LIMIT ?";
    let values = values![message.after, AT_ONCE];
    let rows = room.sql.rows(query, values, |row| Ok((row.int(0)?, row.int(1)? != 0)))?;
    let last = rows.last().map(|(sn, _)| *sn);
    let next = last.filter(|_| i64::try_from(rows.len()) == Ok(AT_ONCE));
    let mut urls = Vec::new();
    for (sn, names) in rows {
        if !names {
            continue;
        }
        let event = room.event(sn)?;
        let pdu = &event.pdu;
        let thumbnail = pdu.content_field("info").and_then(|info| field(info, "thumbnail_url"));
        let thumbnail = thumbnail.and_then(|url| serde_json::from_str(url.get()).ok());
        let named = [pdu.content_str("url"), pdu.content_str("avatar_url"), thumbnail];
        urls.extend(named.into_iter().flatten().filter(|url| is_mxc(url, MAX_URL)));
    }
    Ok(MediaNamedReply { urls, next })
}
