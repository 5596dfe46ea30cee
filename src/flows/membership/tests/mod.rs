//! How do users come and go through other servers?

mod depart;
mod elsewhere;
mod invite;
mod join;
mod knock;
mod leave;
mod restricted;
mod template;
