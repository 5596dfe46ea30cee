//! Which rules does a room follow? ([room versions](https://spec.matrix.org/v1.19/rooms/))

use ruma::{RoomVersionId, room_version_rules::RoomVersionRules};

/// The version of rooms created here unless asked otherwise.
pub const DEFAULT: &str = "11";

/// The versions of [`RoomVersion::of`], oldest first.
pub const SUPPORTED: &[&str] = &["6", "7", "8", "9", "10", "11", "12"];

/// A room version and its rules. Ask for a rule, not for the version.
#[derive(Debug)]
pub struct RoomVersion {
    /// The name of the version.
    pub id: RoomVersionId,
    /// How its rules differ from those of other versions.
    pub rules: RoomVersionRules,
}

static VERSIONS: [RoomVersion; 7] = [
    RoomVersion { id: RoomVersionId::V6, rules: RoomVersionRules::V6 },
    RoomVersion { id: RoomVersionId::V7, rules: RoomVersionRules::V7 },
    RoomVersion { id: RoomVersionId::V8, rules: RoomVersionRules::V8 },
    RoomVersion { id: RoomVersionId::V9, rules: RoomVersionRules::V9 },
    RoomVersion { id: RoomVersionId::V10, rules: RoomVersionRules::V10 },
    RoomVersion { id: RoomVersionId::V11, rules: RoomVersionRules::V11 },
    RoomVersion { id: RoomVersionId::V12, rules: RoomVersionRules::V12 },
];

impl RoomVersion {
    /// The version of this name, if it is one of [`SUPPORTED`].
    #[must_use]
    pub fn of(id: &str) -> Option<&'static Self> {
        VERSIONS.iter().find(|version| version.id.as_str() == id)
    }

    /// Whether the room's ID is the hash of its create event, which is then in no `auth_events`.
    #[must_use]
    pub fn room_id_is_create_hash(&self) -> bool {
        self.rules.authorization.room_create_event_id_as_room_id
    }

    /// Whether state resolution is version 2.1: from empty state, with the conflicted subgraph.
    #[must_use]
    pub fn resolves_conflicted_subgraph(&self) -> bool {
        self.rules
            .state_res
            .v2_rules()
            .is_some_and(|rules| rules.consider_conflicted_state_subgraph)
    }
}
