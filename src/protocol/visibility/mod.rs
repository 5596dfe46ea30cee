//! Who may see an event of the past?
//! ([room history visibility](https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility))

#[cfg(test)]
mod tests;

/// What `m.room.history_visibility` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryVisibility {
    /// Everyone sees the event.
    WorldReadable,
    /// Members see it, whenever they joined.
    Shared,
    /// Members see it who were invited at the time.
    Invited,
    /// Members see it who had joined at the time.
    Joined,
}

/// A user's relation to the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// Joined.
    Join,
    /// Invited.
    Invite,
    /// Knocking.
    Knock,
    /// Never there, or gone.
    Leave,
    /// Banned.
    Ban,
}

impl HistoryVisibility {
    /// What the content's `history_visibility` means; without it, or with a word unknown, `shared`.
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

impl Membership {
    /// What the content's `membership` means; without an event, `leave`.
    #[must_use]
    pub fn of(text: Option<&str>) -> Self {
        match text {
            Some("join") => Self::Join,
            Some("invite") => Self::Invite,
            Some("knock") => Self::Knock,
            Some("ban") => Self::Ban,
            _ => Self::Leave,
        }
    }
}

/// What was so just before an event, and what is so with it. They differ only where the event
/// itself changes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Around<T> {
    /// Before the event.
    pub before: T,
    /// With the event.
    pub after: T,
}

impl<T: Copy> Around<T> {
    /// The same before and after.
    #[must_use]
    pub fn same(value: T) -> Self {
        Self { before: value, after: value }
    }
}

/// Whether a user may see an event.
///
/// Whoever could see it before or after it may: that decides only for the events that change the
/// visibility, and for the user's own membership events.
#[must_use]
pub fn user_may_see(
    visibility: Around<HistoryVisibility>,
    membership: Around<Membership>,
    joined_since: bool,
) -> bool {
    let visibilities = [visibility.before, visibility.after];
    visibilities.into_iter().any(|visibility| {
        visibility.shows(membership.before, joined_since)
            || visibility.shows(membership.after, joined_since)
    })
}

/// Whether a server may see an event: whether one of its users may.
///
/// `members` are the memberships of its users around the event; `joined_since` is whether any of
/// them joined after it.
#[must_use]
pub fn server_may_see(
    visibility: Around<HistoryVisibility>,
    members: impl IntoIterator<Item = Around<Membership>>,
    joined_since: bool,
) -> bool {
    let nobody = Around::same(Membership::Leave);
    user_may_see(visibility, nobody, joined_since)
        || members.into_iter().any(|member| user_may_see(visibility, member, joined_since))
}
