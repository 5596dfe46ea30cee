//! How do local users send events, and make rooms?

pub mod create_room;
pub mod delayed;
pub mod notices;
pub mod send;
#[cfg(test)]
mod tests;
pub mod unsent;
pub mod upgrade;
