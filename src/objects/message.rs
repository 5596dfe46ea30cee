//! How is a message to an object declared?

use serde::{Deserialize, Serialize};

/// The refusal of an object that never refuses.
#[derive(Debug, Serialize, Deserialize)]
pub enum Never {}

/// Declares that a struct is a message to objects of a class: `message!(RoomClass, Send => Sent, Refusal)`.
macro_rules! message {
    ($class:ty, $message:ident => $reply:ty, $refusal:ty) => {
        $crate::objects::message::message!($class, $message = stringify!($message) => $reply, $refusal);
    };
    // With a name on the wire that differs from the struct's.
    ($class:ty, $message:ident = $name:expr => $reply:ty, $refusal:ty) => {
        impl tombolo_platform::Message for $message {
            const NAME: &'static str = $name;
            type Class = $class;
            type Reply = $reply;
            type Refusal = $refusal;
        }
    };
}

pub(crate) use message;
