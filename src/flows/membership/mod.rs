//! How do users come and go: joins, invites, knocks, leaves?

pub mod depart;
pub mod invite;
pub mod join;
pub mod knock;
pub mod leave;
pub mod template;
#[cfg(test)]
mod tests;
