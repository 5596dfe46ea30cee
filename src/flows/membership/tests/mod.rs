//! How do users come and go through other servers?

mod invite;
mod knock;
mod leave;
mod template;
