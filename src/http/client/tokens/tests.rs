//! Which texts are tokens, and of what?

use super::{Token, of_room};

#[test]
fn a_room_token_is_read_back() {
    assert_eq!(Token::parse(&of_room(2048)), Some(Token::Room(2048)));
}

#[test]
fn a_sync_token_is_a_place_in_the_stream() {
    assert_eq!(Token::parse("s17"), Some(Token::Sync(17)));
}

#[test]
fn anything_else_is_no_token() {
    let garbage = [
        "",
        "t",
        "s",
        "17",
        "t-1",
        "t+1",
        "t 1",
        "x1",
        "t1 OR 1=1",
        "t9007199254740992",
        "t99999999999999999999",
        "é1",
        "t１",
    ];
    for token in garbage {
        assert_eq!(Token::parse(token), None, "{token}");
    }
}
