//! Which messages does a text betray?
//!
//! Every message carries a string that occurs nowhere else, so that a user's responses show whether they were given it.

use std::collections::BTreeSet;

const MARK: &str = "secret<";

/// The body of a message that carries this secret.
pub fn plant(number: usize) -> String {
    format!("{MARK}{number}>")
}

/// The secrets in a text.
pub fn found(text: &str) -> BTreeSet<usize> {
    let after = text.split(MARK).skip(1);
    after.filter_map(|rest| rest.split_once('>')?.0.parse().ok()).collect()
}
