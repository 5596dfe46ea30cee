//! Which users does a user find, and what are they called?
//! ([user directory](https://spec.matrix.org/v1.19/client-server-api/#user-directory))
//!
//! Users of ours are called what their profile says. Another server's user is called what their member event says in a
//! room that the asker may see: so a name that somebody has in a private room stays there.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use tombolo_platform::{AskError, World};

use crate::{
    flows::ours::Ours,
    objects::{
        room::messages::{Name, NamesOf},
        room_object,
    },
    stores::user_directory,
};

pub use crate::stores::user_directory::Found;

/// How many rooms are asked at once.
const AT_ONCE: usize = 10;

/// At most so many users whom a term in lower case fits, those first who are called exactly so.
pub async fn search(
    world: &World,
    asker: &UserId,
    term: &str,
    limit: usize,
) -> Result<Vec<Found>, Ours> {
    let mut found = user_directory::search(world, asker, term, limit).await?;
    let mut by_room: BTreeMap<OwnedRoomId, Vec<OwnedUserId>> = BTreeMap::new();
    for Found { user_id, seen_in, .. } in &found {
        let (Ok(user), Ok(room_id)) = (UserId::parse(user_id), seen_in.as_str().try_into()) else {
            continue;
        };
        if user.server_name() != asker.server_name() {
            by_room.entry(room_id).or_default().push(user);
        }
    }
    let asked = stream::iter(by_room).map(|(room_id, users)| async move {
        match world.ask(&room_object(&room_id), &NamesOf { users }).await {
            Ok(names) => Ok(names),
            Err(AskError::Refused(_)) => Ok(Vec::new()),
            Err(AskError::Unreachable(cause)) => Err(Ours::Unreachable(cause)),
        }
    });
    let names: Vec<Vec<Name>> = asked.buffer_unordered(AT_ONCE).try_collect().await?;
    let mut names: BTreeMap<String, Name> =
        names.into_iter().flatten().map(|name| (name.user.to_string(), name)).collect();
    for found in &mut found {
        if let Some(name) = names.remove(&found.user_id) {
            found.display_name = name.displayname;
            found.avatar_url = name.avatar_url;
        }
    }
    Ok(found)
}
