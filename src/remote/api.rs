//! What do our requests to other servers look like?

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is escaped: all but the unreserved characters ([RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-2.3)).
/// A proxy may write those plainly, and our signature would not cover that path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path of a federation endpoint: `path("v1/make_join", [room_id, user_id])`.
pub fn path<'a>(endpoint: &str, arguments: impl IntoIterator<Item = &'a str>) -> String {
    let mut path = format!("/_matrix/federation/{endpoint}");
    for argument in arguments {
        path.push('/');
        path.push_str(&encode(argument));
    }
    path
}

/// An identifier as a path segment or the value of a query.
pub fn encode(id: &str) -> String {
    utf8_percent_encode(id, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_path_says_which_arguments() {
        let path = super::path("v1/make_join", ["!a/b:c.d", "@e-_~:f"]);
        assert_eq!(path, "/_matrix/federation/v1/make_join/%21a%2Fb%3Ac.d/%40e-_~%3Af");
    }
}
