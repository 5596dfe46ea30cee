//! What do we tell other servers of a room and its children?
//! ([spaces](https://spec.matrix.org/v1.19/server-server-api/#spaces))

use http::Method;
use ruma::OwnedRoomId;
use serde_json::{Value, json};
use tombolo_platform::World;

use super::signed::Signed;
use crate::{
    error::{Result, invalid_param, not_found},
    flows::directory::look::{Here, View, to_server},
    http::{
        public_rooms::{summary, with_children},
        router::Router,
    },
};

/// How many children are told of.
const MAX_CHILDREN: usize = 50;

pub fn routes(router: &mut Router) {
    router.federation(&Method::GET, "/_matrix/federation/v1/hierarchy/{roomId}", hierarchy);
}

async fn hierarchy(world: World, signed: Signed, room_id: OwnedRoomId) -> Result<Value> {
    let suggested_only = match signed.all("suggested_only").first() {
        None | Some(&"false") => false,
        Some(&"true") => true,
        Some(_) => return Err(invalid_param("suggested_only is true or false")),
    };
    let view = View { user: None, children: true, suggested_only };
    let server = &signed.origin;
    let root = to_server(&world, server, (view, &[room_id])).await?.pop();
    let Some(Here::Seen(seen)) = root else {
        return Err(not_found("There is no such room, or it is not for you"));
    };
    let view = View { children: false, ..view };
    let below = seen.children.iter().take(MAX_CHILDREN).map(|child| child.room_id.clone());
    let below: Vec<OwnedRoomId> = below.collect();
    let heard = to_server(&world, server, (view, &below)).await?;
    let (mut children, mut inaccessible) = (Vec::new(), Vec::new());
    for (room_id, here) in below.iter().zip(heard) {
        match here {
            Here::Seen(seen) => children.push(Value::Object(summary(&seen.summary))),
            Here::Closed => inaccessible.push(room_id),
            Here::Absent => {}
        }
    }
    let events: Vec<_> = seen.children.iter().map(|child| child.event.clone()).collect();
    let room = with_children(&seen.summary, &events);
    Ok(json!({ "room": room, "children": children, "inaccessible_children": inaccessible }))
}
