//! How are rooms found that are on other servers?

mod hierarchy;
mod public_rooms;
mod users;
