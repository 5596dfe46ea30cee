//! Which texts are tokens, and of what?

use super::{Token, of_room, presence_of, stream_positions, with_presence};

#[test]
fn a_room_token_is_read_back() {
    assert_eq!(Token::parse(&of_room(2048)), Some(Token::Room(2048)));
}

#[test]
fn a_sync_token_is_a_place_in_the_stream() {
    assert_eq!(Token::parse("s17"), Some(Token::Sync(17)));
}

#[test]
fn a_sync_token_says_up_to_when_presence_is_known() {
    for token in ["s17", "s17_5"] {
        for lacks in [None, Some(0), Some(1_767_225_599_000)] {
            let with = with_presence(token.to_owned(), Some(1_767_225_600_000), lacks);
            assert_eq!(Token::parse(&with), Some(Token::Sync(17)));
            assert_eq!(stream_positions(&with).ok(), stream_positions(token).ok());
            assert_eq!(presence_of(&with), Some((1_767_225_600_000, lacks)));
        }
        assert_eq!(presence_of(token), None);
    }
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
        "s1p",
        "s1p-1",
        "s1p1p1",
        "s1p1_",
        "s1p_1",
        "s1p1_1_1",
        "sp1",
    ];
    for token in garbage {
        assert_eq!(Token::parse(token), None, "{token}");
    }
}
