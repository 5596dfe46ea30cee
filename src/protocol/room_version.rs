//! Which rules does a room follow? ([room versions](https://spec.matrix.org/v1.19/rooms/))

use std::sync::LazyLock;

use ruma::{RoomVersionId, room_version_rules::RoomVersionRules};

/// The version of rooms created here unless asked otherwise.
pub const DEFAULT: &str = "11";

/// The versions of the specification that are supported, oldest first.
pub const SUPPORTED: &[&str] = &["6", "7", "8", "9", "10", "11", "12"];

/// The versions of proposals that are supported: in them, users own state
/// ([MSC3757](https://github.com/matrix-org/matrix-spec-proposals/pull/3757)).
pub const UNSTABLE: &[&str] = &["org.matrix.msc3757.10", "org.matrix.msc3757.11"];

/// A room version and its rules. Ask for a rule, not for the version.
#[derive(Debug)]
pub struct RoomVersion {
    /// The name of the version.
    pub id: RoomVersionId,
    /// How its rules differ from those of other versions.
    pub rules: RoomVersionRules,
    /// Whether state whose key begins with a user's ID is that user's, and of those who have more power.
    pub users_own_state: bool,
}

static VERSIONS: LazyLock<Vec<RoomVersion>> = LazyLock::new(|| {
    let version = |id: &&str, rules, users_own_state| {
        RoomVersion::named(id).map(|id| RoomVersion { id, rules, users_own_state })
    };
    let rules = [
        RoomVersionRules::V6,
        RoomVersionRules::V7,
        RoomVersionRules::V8,
        RoomVersionRules::V9,
        RoomVersionRules::V10,
        RoomVersionRules::V11,
        RoomVersionRules::V12,
    ];
    let stable = SUPPORTED.iter().zip(rules).map(|(id, rules)| version(id, rules, false));
    let rules = [RoomVersionRules::V10, RoomVersionRules::V11];
    let unstable = UNSTABLE.iter().zip(rules).map(|(id, rules)| version(id, rules, true));
    stable.chain(unstable).flatten().collect()
});

impl RoomVersion {
    fn named(id: &str) -> Option<RoomVersionId> {
        id.try_into().ok()
    }

    /// The version of this name, if it is supported.
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
