//! How do users come and go through other servers?

mod depart;
mod invite;
mod knock;
mod leave;
mod template;
