//! Which events of the past does a visibility show to whom?

use super::{
    HistoryVisibility::{self, Invited, Joined, Shared, WorldReadable},
    Membership::{Ban, Invite, Join, Knock, Leave},
};

#[test]
fn the_table_of_the_spec_holds() {
    for (visibility, membership, joined_since, expected) in [
        (WorldReadable, Leave, false, true),
        (WorldReadable, Ban, false, true),
        (Shared, Join, false, true),
        (Shared, Leave, false, false),
        (Shared, Leave, true, true),
        (Shared, Invite, false, false),
        (Shared, Ban, true, true),
        (Invited, Join, false, true),
        (Invited, Invite, false, true),
        (Invited, Knock, true, false),
        (Invited, Leave, true, false),
        (Joined, Join, false, true),
        (Joined, Invite, true, false),
        (Joined, Leave, true, false),
    ] {
        assert_eq!(
            visibility.shows(membership, joined_since),
            expected,
            "{visibility:?} {membership:?}"
        );
    }
}

#[test]
fn unknown_words_are_the_defaults() {
    for text in [None, Some("x"), Some("shared")] {
        assert_eq!(HistoryVisibility::of(text), Shared);
    }
    assert_eq!(HistoryVisibility::of(Some("joined")), Joined);
    assert_eq!(HistoryVisibility::of(Some("invited")), Invited);
    assert_eq!(HistoryVisibility::of(Some("world_readable")), WorldReadable);
}
