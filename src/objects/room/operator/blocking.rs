//! How does an operator block the room?

use ruma::OwnedUserId;

use crate::objects::room::{
    Result, Room,
    messages::{Block, BlockedBy},
};

/// Blocks the room, or does so no more.
pub fn block(room: &mut Room<'_>, message: Block) -> Result<()> {
    room.set_blocked(message.by.as_deref())
}

/// The operator who blocked the room, if it is blocked.
pub fn blocked_by(room: &mut Room<'_>, _: BlockedBy) -> Result<Option<OwnedUserId>> {
    room.blocked_by()
}
