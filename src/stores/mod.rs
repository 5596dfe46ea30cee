//! Which facts belong to no single object? One file per fact; its first line says where the fact is stored.

pub mod accounts;
pub mod aliases;
pub mod appservices;
pub mod media;
pub mod nonces;
pub mod presences;
pub mod profiles;
pub mod public_rooms;
pub mod pushkeys;
pub mod registration_tokens;
pub mod reports;
pub mod room_members;
pub mod room_servers;
pub mod rooms;
pub mod shown_keys;
#[cfg(test)]
mod tests;
pub mod user_directory;

/// How many names one statement is given: a value has at most 2 MB.
const MOST_NAMED: usize = 2_000;
