//! What do our requests to other servers look like?

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
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_path_says_which_arguments() {
        let path = super::path("v1/make_join", ["!a/b:c", "@d:e"]);
        assert_eq!(path, "/_matrix/federation/v1/make_join/%21a%2Fb%3Ac/%40d%3Ae");
    }
}
