//! How much may clients and other servers ask of keys at once?

use crate::error::{Result, too_large};

/// The most users of one question. Clients ask for a few hundred at once.
const MOST_USERS: usize = 5_000;

/// Refuses a question about too many users.
pub fn check_users(count: usize) -> Result<()> {
    if count > MOST_USERS { Err(too_large("These are too many users at once")) } else { Ok(()) }
}
