//! How are rooms found, on this server and on others?

pub mod hierarchy;
pub mod look;
pub mod public_rooms;
mod remote;
#[cfg(test)]
mod tests;
pub mod users;
