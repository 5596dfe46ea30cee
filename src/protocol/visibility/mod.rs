//! Who may see an event of the past?
//! ([room history visibility](https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility))

#[cfg(test)]
mod tests;

use crate::membership::Membership;

/// What `m.room.history_visibility` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryVisibility {
    /// Everyone sees the event.
    WorldReadable,
    /// Members see it, whenever they joined.
    Shared,
    /// Members who were invited at the time see it.
    Invited,
    /// Members who had joined at the time see it.
    Joined,
}

impl HistoryVisibility {
    /// What the content's `history_visibility` means; without it, or with an unknown word, `shared`.
    #[must_use]
    pub fn of(text: Option<&str>) -> Self {
        match text {
            Some("world_readable") => Self::WorldReadable,
            Some("invited") => Self::Invited,
            Some("joined") => Self::Joined,
            _ => Self::Shared,
        }
    }

    /// Whether someone with this membership at the event may see it. `joined_since`: whether they
    /// joined at some time after it.
    #[must_use]
    pub fn shows(self, membership: Membership, joined_since: bool) -> bool {
        match (self, membership) {
            (Self::WorldReadable, _) | (_, Membership::Join) => true,
            (Self::Shared, _) => joined_since,
            (Self::Invited, Membership::Invite) => true,
            (Self::Invited | Self::Joined, _) => false,
        }
    }
}
