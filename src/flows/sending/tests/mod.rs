//! Do events, invites and new rooms reach the users they are for?

mod create_room;
mod send;
