//! Where does a page of search results end?

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::RoomId;
use tombolo_platform::MAX_INTEGER;

use crate::flows::search::End;

/// How many hits are looked at by how well they fit.
pub const MOST_RANKED: u32 = 500;

/// What the token of a page names.
#[derive(Debug, PartialEq, Eq)]
pub enum Token {
    /// The newest hits: the last one of the page.
    Recent(End),
    /// The best hits: how many were given.
    Rank(u32),
}

impl Token {
    pub fn parse(token: &str) -> Option<Self> {
        if let Some(skip) = token.strip_prefix('r') {
            let skip: u32 = skip.parse().ok()?;
            return (skip <= MOST_RANKED).then_some(Self::Rank(skip));
        }
        let mut parts = token.strip_prefix('n')?.splitn(3, '_');
        let number = |text: &str| {
            let number: i64 = text.parse().ok()?;
            (number.unsigned_abs() < MAX_INTEGER.unsigned_abs()).then_some(number)
        };
        let (ts, pos) = (number(parts.next()?)?, number(parts.next()?)?);
        let room = String::from_utf8(URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok()?;
        Some(Self::Recent(End { ts, pos, room_id: RoomId::parse(room).ok()? }))
    }

    pub fn text(&self) -> String {
        match self {
            Self::Rank(skip) => format!("r{skip}"),
            Self::Recent(End { ts, room_id, pos }) => {
                format!("n{ts}_{pos}_{}", URL_SAFE_NO_PAD.encode(room_id.as_str()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let end = End { ts: -5, pos: 7, room_id: RoomId::parse("!a_b:c.d").unwrap() };
        for token in [Token::Rank(10), Token::Recent(end)] {
            assert_eq!(Token::parse(&token.text()), Some(token));
        }
        for bad in [
            "",
            "r",
            "r-1",
            "r501",
            "n",
            "n1_2",
            "n1_2_!",
            "n1_2_YWI",
            "n9007199254740992_1_IWE6Yg",
            "x",
        ] {
            assert_eq!(Token::parse(bad), None, "{bad}");
        }
    }
}
