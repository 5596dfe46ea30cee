//! Which events of the past may a user or a server see?

use super::{
    Around,
    HistoryVisibility::{self, Invited, Joined, Shared, WorldReadable},
    Membership::{self, Ban, Invite, Join, Knock, Leave},
    server_may_see, user_may_see,
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
fn who_could_see_it_before_or_after_may() {
    let leaving = Around { before: Join, after: Leave };
    let joining = Around { before: Leave, after: Join };
    for membership in [leaving, joining] {
        assert!(user_may_see(Around::same(Joined), membership, false));
    }
    let opening = Around { before: Joined, after: WorldReadable };
    assert!(user_may_see(opening, Around::same(Leave), false));
    let closing = Around { before: Shared, after: Joined };
    assert!(user_may_see(closing, Around::same(Leave), true));
    assert!(!user_may_see(Around::same(Joined), Around::same(Leave), true));
}

#[test]
fn a_server_sees_what_one_of_its_users_sees() {
    let outside = Around::same(Leave);
    let inside = Around::same(Join);
    assert!(server_may_see(Around::same(Joined), [outside, inside], false));
    assert!(!server_may_see(Around::same(Joined), [outside, outside], true));
    assert!(server_may_see(Around::same(Invited), [outside, Around::same(Invite)], false));
    assert!(server_may_see(Around::same(WorldReadable), [], false));
    assert!(server_may_see(Around::same(Shared), [], true));
    assert!(!server_may_see(Around::same(Shared), [], false));
}

#[test]
fn unknown_words_are_the_defaults() {
    for text in [None, Some("x"), Some("shared")] {
        assert_eq!(HistoryVisibility::of(text), Shared);
    }
    for text in [None, Some("x"), Some("leave")] {
        assert_eq!(Membership::of(text), Leave);
    }
    assert_eq!(HistoryVisibility::of(Some("joined")), Joined);
    assert_eq!(HistoryVisibility::of(Some("invited")), Invited);
    assert_eq!(HistoryVisibility::of(Some("world_readable")), WorldReadable);
    for (text, membership) in [("join", Join), ("invite", Invite), ("knock", Knock), ("ban", Ban)] {
        assert_eq!(Membership::of(Some(text)), membership);
    }
}
