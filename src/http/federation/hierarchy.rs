//! What do we tell other servers of a room and its children?
//! ([spaces](https://spec.matrix.org/v1.19/server-server-api/#spaces))

use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use ruma::OwnedRoomId;
use serde_json::{Value, json};
use tombolo_platform::World;

use super::signed::Signed;
use crate::{
    error::{Result, invalid_param, not_found},
    flows::{
        directory::look::{Here, View, here},
        ours::Ours,
    },
    http::{
        public_rooms::{summary, with_children},
        router::Router,
    },
    objects::room::messages::{Asker, Child},
};

/// How many children are told of, and how many rooms are asked at once.
const MAX_CHILDREN: usize = 50;
const AT_ONCE: usize = 10;

pub fn routes(router: &mut Router) {
    router.federation(&Method::GET, "/_matrix/federation/v1/hierarchy/{roomId}", hierarchy);
}

async fn hierarchy(world: World, signed: Signed, room_id: OwnedRoomId) -> Result<Value> {
    let suggested_only = match signed.all("suggested_only").first() {
        None | Some(&"false") => false,
        Some(&"true") => true,
        Some(_) => return Err(invalid_param("suggested_only is true or false")),
    };
    let asker = Some(Asker::Server(signed.origin));
    let view = View { user: None, children: true, suggested_only };
    let Here::Seen(seen) = here(&world, asker.clone(), &room_id, view).await? else {
        return Err(not_found("There is no such room, or it is not for you"));
    };
    let view = View { children: false, ..view };
    let below = seen.children.iter().take(MAX_CHILDREN).map(|Child { room_id, .. }| {
        let (world, asker) = (&world, asker.clone());
        async move { Ok::<_, Ours>((room_id, here(world, asker, room_id, view).await?)) }
    });
    let below: Vec<_> = stream::iter(below).buffered(AT_ONCE).try_collect().await?;
    let (mut children, mut inaccessible) = (Vec::new(), Vec::new());
    for (room_id, here) in below {
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
