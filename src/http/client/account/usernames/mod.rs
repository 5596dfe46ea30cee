//! Which names may a new account have?
//! ([user identifiers](https://spec.matrix.org/v1.19/appendices/#user-identifiers))

#[cfg(test)]
mod tests;

use http::StatusCode;
use ruma::{OwnedUserId, ServerName, UserId};

use crate::error::{Error, Result};

/// The longest user ID, in bytes.
const MAX_BYTES: usize = 255;

/// The user a new account is for, if its name may be used. Capitals are read as small letters.
pub fn parse(username: &str, server_name: &ServerName) -> Result<OwnedUserId> {
    let localpart = username.to_ascii_lowercase();
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._=-/+".contains(&byte);
    if localpart.is_empty() || !localpart.bytes().all(allowed) {
        return Err(invalid("A username has only the characters a-z, 0-9 and ._=-/+"));
    }
    let user_id = format!("@{localpart}:{server_name}");
    if user_id.len() > MAX_BYTES {
        return Err(invalid("The username is too long"));
    }
    UserId::parse(user_id).map_err(|error| invalid(error.to_string()))
}

/// The user that an application service makes. It chooses freely among the names that users ever could have.
pub fn of_service(username: &str, server_name: &ServerName) -> Result<OwnedUserId> {
    let user_id = format!("@{username}:{server_name}");
    if username.is_empty() || username.contains(':') || user_id.len() > MAX_BYTES {
        return Err(invalid("The username is empty, too long, or has a colon"));
    }
    UserId::parse(user_id).map_err(|error| invalid(error.to_string()))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(StatusCode::BAD_REQUEST, "M_INVALID_USERNAME", message)
}
