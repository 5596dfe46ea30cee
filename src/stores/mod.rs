//! Which facts belong to no single object? One file per fact; its first line says where it lies.

pub mod accounts;
pub mod aliases;
pub mod nonces;
pub mod profiles;
pub mod room_servers;
