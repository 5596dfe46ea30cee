//! How are all keys of a backup read, or all of a room?
//! ([server-side key backups](https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups))
//!
//! There may be hundreds of thousands, more than a Worker holds. The object of the user's keys gives them page by page while the
//! response is sent. Who changes the backup meanwhile may or may not be seen; each key is whole.

#[cfg(test)]
mod tests;

use std::rc::Rc;

use bytes::Bytes;
use futures_util::stream;
use ruma::{
    OwnedRoomId,
    api::{
        IncomingRequest, Metadata,
        client::backup::{
            get_backup_keys::v3 as get_keys, get_backup_keys_for_room::v3 as get_keys_of_room,
        },
    },
};
use tombolo_platform::{Address, Body, Unread, World};

use crate::{
    error::Result,
    http::{
        auth,
        endpoint::{MAX_BODY, decode, of_json, paths_of, whole},
        router::{Handler, Router},
    },
    objects::{
        keys_object,
        user_keys::{
            UserKeysClass,
            messages::{BackupPage, PageOfKeys},
        },
        user_sync::messages::Cost,
    },
};

pub fn routes(router: &mut Router) {
    stream_keys(router, |request: get_keys::Request| (request.version, None));
    stream_keys(router, |request: get_keys_of_room::Request| {
        (request.version, Some(request.room_id))
    });
}

/// Registers what streams the keys of a version: those of one room, or all.
fn stream_keys<R: IncomingRequest + Metadata + 'static>(
    router: &mut Router,
    wanted: fn(R) -> (String, Option<OwnedRoomId>),
) {
    let answer: Handler = Rc::new(move |world, request, arguments| {
        Box::pin(async move {
            let request = whole(request, MAX_BODY).await?;
            let caller = auth::session(&world, &request, Cost::Free).await?;
            let (version, room_id) = wanted(decode(&request, &arguments)?);
            let next = BackupPage { version, room_id, after: None };
            let keys = Keys::begin(world, keys_object(&caller.user), next).await?;
            Ok(of_json(keys.body()))
        })
    });
    for path in paths_of::<R>() {
        router.add(&R::METHOD, path, Rc::clone(&answer));
    }
}

/// A response that is written while it is sent.
struct Keys {
    world: World,
    object: Address<UserKeysClass>,
    /// What is asked next.
    next: BackupPage,
    place: Place,
}

/// How far the response is written.
enum Place {
    /// The first page was read, so that a backup that is not there has a status of its own.
    Begin(PageOfKeys),
    Pages,
    End,
}

impl Keys {
    async fn begin(world: World, object: Address<UserKeysClass>, next: BackupPage) -> Result<Self> {
        let page = world.ask(&object, &next).await?;
        Ok(Self { world, object, next, place: Place::Begin(page) })
    }

    fn body(self) -> Body {
        Body::stream(stream::unfold(Some(self), async |keys| {
            let mut keys = keys?;
            match keys.next().await {
                Ok(text) => Some((Ok(Bytes::from(text?)), Some(keys))),
                Err(error) => Some((Err(Unread::Broken(error.message)), None)),
            }
        }))
    }

    /// The next piece of the response; `None` after the last.
    async fn next(&mut self) -> Result<Option<String>> {
        let is_whole = self.next.room_id.is_none();
        let (mut text, page) = match std::mem::replace(&mut self.place, Place::Pages) {
            Place::Begin(page) if is_whole => ("{\"rooms\":{".to_owned(), page),
            Place::Begin(page) => ("{\"sessions\":{".to_owned(), page),
            Place::Pages => (String::new(), self.world.ask(&self.object, &self.next).await?),
            Place::End => return Ok(None),
        };
        let more = page.more;
        self.write(&mut text, page)?;
        if !more {
            self.place = Place::End;
            let is_in_room = is_whole && self.next.after.is_some();
            text.push_str(if is_in_room { "}}}}" } else { "}}" });
        }
        Ok(Some(text))
    }

    /// Writes a page after what was written of those before.
    fn write(&mut self, text: &mut String, page: PageOfKeys) -> Result<()> {
        for (room_id, session_id, key) in page.keys {
            let before = self.next.after.take().map(|(room_id, _)| room_id);
            let is_new = self.next.room_id.is_none() && before.as_ref() != Some(&room_id);
            if is_new {
                text.push_str(if before.is_some() { "}}," } else { "" });
                text.push_str(&serde_json::to_string(&room_id)?);
                text.push_str(":{\"sessions\":{");
            } else if before.is_some() {
                text.push(',');
            }
            text.push_str(&serde_json::to_string(&session_id)?);
            text.push(':');
            text.push_str(&serde_json::to_string(&key)?);
            self.next.after = Some((room_id, session_id));
        }
        Ok(())
    }
}
