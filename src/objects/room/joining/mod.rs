//! How do users come in through other servers: ours through theirs, and theirs through us?

pub mod accept;
pub mod invited;
pub mod join;
