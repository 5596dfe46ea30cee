//! Which names become user IDs?

use ruma::server_name;

use super::parse;

#[track_caller]
fn becomes(username: &str, user_id: &str) {
    assert_eq!(parse(username, server_name!("example.org")).unwrap(), user_id);
}

#[track_caller]
fn is_refused(username: &str) {
    assert_eq!(
        parse(username, server_name!("example.org")).unwrap_err().errcode(),
        "M_INVALID_USERNAME"
    );
}

#[test]
fn every_character_of_the_grammar_may_be_used() {
    becomes("a.b_c=d-e/f+0", "@a.b_c=d-e/f+0:example.org");
}

#[test]
fn capitals_become_small_letters() {
    becomes("Alice", "@alice:example.org");
}

#[test]
fn other_characters_are_refused() {
    for username in ["", "a b", "é", "@alice", "alice:example.org", "a\0b", "!", "%00", "\u{212a}"]
    {
        is_refused(username);
    }
}

#[test]
fn the_whole_user_id_has_at_most_255_bytes() {
    becomes(&"a".repeat(242), &format!("@{}:example.org", "a".repeat(242)));
    is_refused(&"a".repeat(243));
}
