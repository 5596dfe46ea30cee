//! Is this the password of the account? ([OWASP's parameters for Argon2id])
//!
//! A hash carries its parameters, so a change of the cost concerns new passwords only. A login to an account that does
//! not exist costs as much work: the time of an answer must not tell which accounts exist.
//!
//! [OWASP's parameters for Argon2id]: https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html

#[cfg(test)]
mod tests;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{Error, PasswordHash, PasswordHasher, PasswordVerifier, SaltString},
};

/// The longest password that is hashed, in bytes.
pub const MAX_BYTES: usize = 1024;

/// How much work a password costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// For passwords that protect something: 9 MiB, four passes.
    Standard,
    /// For tests.
    Cheap,
}

/// Hashes a password; `salt` must be random.
pub fn hash(password: &str, salt: &[u8; 32], effort: Effort) -> Result<String, Error> {
    let salt = SaltString::encode_b64(salt)?;
    Ok(hasher(effort)?.hash_password(password.as_bytes(), &salt)?.to_string())
}

/// Whether a password is the one that was hashed. `None` stands for a missing account: no password fits, and the check
/// takes as long.
pub fn verify(password: &str, held: Option<&str>, effort: Effort) -> Result<bool, Error> {
    let Some(held) = held else {
        hash(password, &[0; 32], effort)?;
        return Ok(false);
    };
    match hasher(effort)?.verify_password(password.as_bytes(), &PasswordHash::new(held)?) {
        Ok(()) => Ok(true),
        Err(Error::Password) => Ok(false),
        Err(error) => Err(error),
    }
}

fn hasher(effort: Effort) -> Result<Argon2<'static>, Error> {
    let (memory_kib, passes) = match effort {
        Effort::Standard => (9 * 1024, 4),
        Effort::Cheap => (64, 1),
    };
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(memory_kib, passes, 1, None)?))
}
