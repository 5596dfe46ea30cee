//! What is a user to a room?
//! ([membership](https://spec.matrix.org/v1.19/client-server-api/#mroommember))

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::canonical_json::{CanonicalJsonObject, CanonicalJsonValue};

/// A user's membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Membership {
    Join,
    Invite,
    Knock,
    /// Gone: by themselves, or removed.
    Leave,
    Ban,
}

impl Membership {
    const ALL: [Self; 5] = [Self::Join, Self::Invite, Self::Knock, Self::Leave, Self::Ban];

    /// The membership of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|membership| membership.as_str() == name)
    }

    /// What the content of a member event says.
    #[must_use]
    pub fn of_content(content: &CanonicalJsonObject) -> Option<Self> {
        content.get("membership").and_then(CanonicalJsonValue::as_str).and_then(Self::of)
    }

    /// Its name, as events have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Knock => "knock",
            Self::Leave => "leave",
            Self::Ban => "ban",
        }
    }

    /// Whether the user left or is banned.
    #[must_use]
    pub fn is_out(self) -> bool {
        matches!(self, Self::Leave | Self::Ban)
    }

    /// Whether the user waits to come in.
    #[must_use]
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Invite | Self::Knock)
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Membership;

    #[test]
    fn a_membership_has_one_name() {
        for name in ["join", "invite", "knock", "leave", "ban"] {
            assert_eq!(Membership::of(name).map(Membership::as_str), Some(name));
            let written = serde_json::to_string(&Membership::of(name)).unwrap();
            assert_eq!(written, format!("\"{name}\""));
        }
        for other in ["", "Join", "left"] {
            assert_eq!(Membership::of(other), None);
        }
    }
}
