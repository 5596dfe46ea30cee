//! Who is typing?
//! ([typing notifications](https://spec.matrix.org/v1.19/client-server-api/#typing-notifications))

use ruma::api::client::typing::create_typing_event::v3 as create_typing_event;
use tombolo_platform::World;

use super::{ask_room, must_be};
use crate::{
    error::Result,
    flows::tell,
    http::{auth::Session, router::Router},
    objects::room::messages::Typing,
};

/// The longest a client may type without saying so again (ms).
const LONGEST: u64 = 120_000;

pub fn routes(router: &mut Router) {
    router.endpoint::<create_typing_event::Request, _, _>(typing);
}

async fn typing(
    world: World,
    caller: Session,
    request: create_typing_event::Request,
) -> Result<create_typing_event::Response> {
    must_be(&caller, &request.user_id)?;
    let until = match request.state {
        create_typing_event::Typing::Yes(info) => {
            let timeout = u64::try_from(info.timeout.as_millis()).unwrap_or(LONGEST);
            Some(world.now() + timeout.min(LONGEST))
        }
        create_typing_event::Typing::No => None,
    };
    let room_id = &request.room_id;
    let now = ask_room(&world, room_id, &Typing { user: caller.user.clone(), until }).await?;
    tell::tell_typing(&world, room_id, &now).await;
    tell::tell_servers_typing(&world, room_id, &caller.user, until.is_some(), now.servers).await;
    Ok(create_typing_event::Response::new())
}
