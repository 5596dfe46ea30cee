//! How are the arguments of a path parsed?
//!
//! A handler names the types of its arguments and never sees a malformed one: that is `400 M_INVALID_PARAM`.

use std::str::FromStr;

use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};

use crate::error::{Result, internal, invalid_param};

/// An identifier in a path, or in a query.
pub trait Argument: FromStr {
    /// What the identifier is, in words.
    const NAME: &'static str;

    fn read(text: &str) -> Result<Self> {
        text.parse().map_err(|_| invalid_param(format!("The {} has no form", Self::NAME)))
    }
}

impl Argument for OwnedRoomId {
    const NAME: &'static str = "room ID";
}

impl Argument for OwnedEventId {
    const NAME: &'static str = "event ID";
}

impl Argument for OwnedUserId {
    const NAME: &'static str = "user ID";
}

impl Argument for OwnedServerName {
    const NAME: &'static str = "server name";
}

impl Argument for String {
    const NAME: &'static str = "text";
}

/// All arguments of a path, in order. `()` ignores them, however many there are.
pub trait Arguments: Sized {
    fn read(path: &[String]) -> Result<Self>;
}

impl Arguments for () {
    fn read(_: &[String]) -> Result<Self> {
        Ok(())
    }
}

/// However many there are, as text.
impl Arguments for Vec<String> {
    fn read(path: &[String]) -> Result<Self> {
        Ok(path.to_vec())
    }
}

impl<A: Argument> Arguments for A {
    fn read(path: &[String]) -> Result<Self> {
        let [a] = path else { return Err(other_arguments()) };
        Argument::read(a)
    }
}

impl<A: Argument, B: Argument> Arguments for (A, B) {
    fn read(path: &[String]) -> Result<Self> {
        let [a, b] = path else { return Err(other_arguments()) };
        Ok((Argument::read(a)?, Argument::read(b)?))
    }
}

impl<A: Argument, B: Argument, C: Argument> Arguments for (A, B, C) {
    fn read(path: &[String]) -> Result<Self> {
        let [a, b, c] = path else { return Err(other_arguments()) };
        Ok((Argument::read(a)?, Argument::read(b)?, Argument::read(c)?))
    }
}

/// A fault of ours: a handler is registered for a path with other arguments than it takes.
fn other_arguments() -> crate::error::Error {
    internal("the handler takes other arguments than its path has")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<P: Arguments>(path: &[&str]) -> Result<P> {
        P::read(&path.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn each_argument_has_its_type_and_its_place() {
        let both: (OwnedRoomId, OwnedUserId) = read(&["!a:b.test", "@c:b.test"]).unwrap();
        assert_eq!((both.0.as_str(), both.1.as_str()), ("!a:b.test", "@c:b.test"));
        assert_eq!(read::<OwnedServerName>(&["b.test:8448"]).unwrap(), "b.test:8448");
        assert!(read::<()>(&["anything"]).is_ok());
    }

    #[test]
    fn what_has_no_form_is_named() {
        let refused = read::<(OwnedRoomId, OwnedEventId)>(&["!a:b.test", "c"]).unwrap_err();
        assert_eq!(
            (refused.errcode(), &*refused.message),
            ("M_INVALID_PARAM", "The event ID has no form")
        );
    }
}
