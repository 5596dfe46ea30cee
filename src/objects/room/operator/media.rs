//! Which media do events of the room name?

use serde::Deserialize;
use tombolo_platform::values;

use crate::objects::room::{
    Result, Room,
    messages::{MediaNamed, MediaNamedReply},
};

/// How many events are looked through at once.
const AT_ONCE: i64 = 500;

/// What of a content names media.
#[derive(Default, Deserialize)]
struct Content {
    url: Option<String>,
    avatar_url: Option<String>,
    info: Option<Info>,
}

#[derive(Deserialize)]
struct Info {
    thumbnail_url: Option<String>,
}

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
        // What has another form names nothing.
        let content: Content = serde_json::from_str(event.pdu.content.get()).unwrap_or_default();
        let thumbnail = content.info.and_then(|info| info.thumbnail_url);
        let named = [content.url, content.avatar_url, thumbnail].into_iter().flatten();
        urls.extend(named.filter(|url| url.starts_with("mxc://")));
    }
    Ok(MediaNamedReply { urls, next })
}
