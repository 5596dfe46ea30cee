//! Which names does a pattern match, and does a hostile one stay cheap?

use super::{MAX_NAME, Pattern, Subject, matches_type};

#[track_caller]
fn matches(name: &str, pattern: &str, expected: bool) {
    assert_eq!(Subject::new(name).unwrap().matches(pattern), expected, "{name} {pattern}");
}

/// The textbook definition, exponential and obvious.
fn slow(name: &[u8], pattern: &[u8]) -> bool {
    match (name, pattern) {
        ([], []) => true,
        (_, [b'*', rest @ ..]) => slow(name, rest) || !name.is_empty() && slow(&name[1..], pattern),
        ([_, name @ ..], [b'?', rest @ ..]) => slow(name, rest),
        ([a, name @ ..], [b, rest @ ..]) => a == b && slow(name, rest),
        _ => false,
    }
}

#[test]
fn patterns_match_whole_names() {
    for (pattern, expected) in [
        ("evil.com", true),
        ("EVIL.com", true),
        ("*", true),
        ("*.com", true),
        ("evil.*", true),
        ("e*l*m", true),
        ("?vil.com", true),
        ("????.com", true),
        ("**", true),
        ("evil.com*", true),
        ("*evil.com", true),
        ("vil.com", false),
        ("evil.co", false),
        ("", false),
        ("?", false),
        ("*.org", false),
        ("evil?com?", false),
        ("evilxcom", false),
        ("[e]vil.com", false),
        ("évil.com", false),
    ] {
        matches("evil.com", pattern, expected);
    }
    matches("", "", true);
    matches("", "*", true);
    matches("", "?", false);
}

#[test]
fn case_does_not_matter_in_the_name_either() {
    matches("EVIL.com", "evil.COM", true);
}

#[test]
fn the_longest_name_is_matched_to_its_end() {
    let name = "a".repeat(MAX_NAME);
    matches(&name, &name, true);
    matches(&name, &format!("{}?", "a".repeat(MAX_NAME - 1)), true);
    matches(&name, &format!("{name}a"), false);
    matches(&name, &format!("{name}?"), false);
    matches(&name, &format!("{name}*"), true);
    matches(&name, "*a", true);
    matches(&name, "*b", false);
    assert!(Subject::new(&"a".repeat(MAX_NAME + 1)).is_none());
    assert!(Subject::new("é").is_none());
}

/// Every text of these letters up to a length.
fn texts(letters: &[u8], longest: usize) -> Vec<Vec<u8>> {
    let mut all = vec![vec![]];
    let mut last = all.clone();
    for _ in 0..longest {
        let longer = |text: &Vec<u8>| {
            letters.iter().map(|letter| [text, &[*letter][..]].concat()).collect::<Vec<_>>()
        };
        last = last.iter().flat_map(longer).collect();
        all.extend(last.iter().cloned());
    }
    all
}

#[test]
fn every_short_pattern_matches_as_the_textbook_says() {
    for name in texts(b"ab", 5) {
        let subject = Subject::new(str::from_utf8(&name).unwrap()).unwrap();
        for pattern in texts(b"ab*?", 4) {
            let expected = slow(&name, &pattern);
            assert_eq!(subject.matches(str::from_utf8(&pattern).unwrap()), expected);
        }
    }
}

#[test]
fn a_long_hostile_pattern_is_read_once() {
    let subject = Subject::new(&"a".repeat(MAX_NAME)).unwrap();
    for _ in 0..20 {
        assert!(!subject.matches(&"*a".repeat(32_000)));
        assert!(!subject.matches(&format!("{}b", "*a*".repeat(20_000))));
    }
}

#[test]
fn types_match_by_case_and_without_question_marks() {
    for (pattern, kind, expected) in [
        ("m.room.*", "m.room.member", true),
        ("*.member", "m.room.member", true),
        ("m.*.m*r", "m.room.member", true),
        ("*", "", true),
        ("m.*.member", "m.member", false),
        ("M.room.member", "m.room.member", false),
        ("m.room.membe?", "m.room.member", false),
        ("é*", "éé", true),
        ("", "m", false),
    ] {
        assert_eq!(matches_type(pattern, kind), expected, "{pattern} {kind}");
    }
}

#[test]
fn wildcards_in_a_row_are_wildcards() {
    for (pattern, body, matches) in [
        ("??", "aa", true),
        ("??", "a", false),
        ("a??", "to abc now", true),
        ("a??", "to abcd now", false),
        ("a**d", "to abcd now", true),
        ("a?*?d", "abd acd", true),
        ("a?*?d", "abd ad", true),
        ("a?*?d", "abd", false),
        ("a*d", "to ab\ncd now", true),
    ] {
        assert_eq!(Pattern::new(pattern).matches_words(body), matches, "{pattern} in {body}");
    }
}
