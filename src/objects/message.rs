//! How is a message to an object declared?

/// Declares that a struct is a message: `message!("room", Send => Sent, Refusal)`.
macro_rules! message {
    ($class:literal, $message:ident => $reply:ty, $refusal:ty) => {
        impl tombolo_platform::Message for $message {
            const CLASS: &'static str = $class;
            const NAME: &'static str = stringify!($message);
            type Reply = $reply;
            type Refusal = $refusal;
        }
    };
}

pub(crate) use message;
