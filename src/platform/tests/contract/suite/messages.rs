//! What may the contract's own objects, shelves, be asked?

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tombolo_platform::{Class, Message};

/// The class of shelves.
#[derive(Debug)]
pub struct Shelf;

impl Class for Shelf {
    const NAME: &'static str = "shelf";
}

macro_rules! message {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty),* } -> $reply:ty) => {
        $(#[$doc])*
        #[derive(Serialize, Deserialize)]
        pub struct $name { $(pub $field: $kind),* }

        impl Message for $name {
            const NAME: &'static str = stringify!($name);
            type Class = Shelf;
            type Reply = $reply;
            type Refusal = String;
        }
    };
}

/// What happens after the write.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq)]
pub enum Then {
    Reply,
    Refuse,
    Fault,
    /// A statement fails, and the object refuses.
    Stumble,
    /// The program panics: on Workers, a trap of the whole instance.
    Panic,
}

/// What an alarm does when it fires for the first time.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq)]
pub enum First {
    Succeed,
    Fault,
    /// Ask for another after 50 ms.
    Again,
    /// Take a second.
    Dawdle,
}

message!(
    /// Writes one row; the number of rows.
    Put { key: String, then: Then } -> i64
);
message!(
    /// The number of rows, without creating a table.
    Count {} -> i64
);
message!(
    /// Whether there is any table.
    Exists {} -> bool
);
message!(
    /// Runs the statement with so many ones; the number of rows that came.
    Query { sql: String, parameters: usize } -> usize
);
message!(
    /// Runs the statements in turn; what each wrote.
    Writes { statements: Vec<String> } -> Vec<u64>
);
message!(
    /// Stores and reads every type, and refuses with what differed.
    Types {} -> ()
);
message!(
    /// Stores the integer.
    Integer { value: i64 } -> i64
);
message!(
    /// Arms the alarm.
    Arm { at: u64, first: First, refuse: bool } -> ()
);
message!(
    /// The alarm fired: how often so far, and what the first time is to do.
    Ring { now: u64 } -> (i64, First)
);
message!(
    /// When the alarm fired.
    Rung {} -> Vec<i64>
);
message!(
    /// The number of news if it is more than `since`, else a wait is held. A negative one is refused.
    Listen { since: i64, fault: bool } -> i64
);
message!(
    /// There is news.
    Tell {} -> i64
);
message!(
    /// Counts in hot state only; refuses with the count if asked to.
    Remember { refuse: bool } -> u64
);
message!(
    /// Two draws.
    Draw {} -> ([u8; 32], [u8; 32])
);
message!(
    /// A variable.
    Variable { name: String } -> Option<String>
);
message!(
    /// The JSON that came.
    Echo { json: Box<RawValue> } -> Box<RawValue>
);
message!(
    /// Known from the third time on; how often it was asked.
    NotYet {} -> u32
);
message!(
    /// Nothing answers this.
    Unknown {} -> ()
);
