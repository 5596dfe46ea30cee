//! What does a search term ask for?
//!
//! As Synapse reads it: all words must be there, in any form of theirs; words in quotation marks one after the other;
//! none that has a minus before it; of terms with `or` between them, one is enough. Here it becomes an expression of
//! [FTS5](https://www.sqlite.org/fts5.html#full_text_query_syntax), in which every word is quoted, so that nothing of it
//! is a command.

/// The longest term, in bytes.
pub const MAX_TERM: usize = 1_024;
/// How many words of a term are looked at, those in quotation marks too: an index takes each apart from the others.
const MAX_WORDS: usize = 30;

/// A term, taken apart.
#[derive(Debug, Default)]
pub struct Terms {
    /// Of these lists one must be found whole.
    wanted: Vec<Vec<String>>,
    unwanted: Vec<String>,
}

impl Terms {
    pub fn of(term: &str) -> Self {
        let mut terms = Self { wanted: vec![Vec::new()], unwanted: Vec::new() };
        let mut left = MAX_WORDS;
        for Part { words, quoted, negated } in parts(term) {
            if left == 0 {
                break;
            }
            let words = first_words(&words, &mut left);
            match terms.wanted.last_mut() {
                _ if negated => terms.unwanted.push(words),
                Some(_) if !quoted && words.eq_ignore_ascii_case("or") => {
                    terms.wanted.push(Vec::new());
                }
                Some(last) => last.push(words),
                None => {}
            }
        }
        terms.wanted.retain(|words| !words.is_empty());
        terms
    }

    /// The expression over these columns; `None` where nothing is asked for.
    pub fn expression(&self, columns: &[&str]) -> Option<String> {
        if self.wanted.is_empty() || columns.is_empty() {
            return None;
        }
        let all = |words: &Vec<String>| {
            format!("({})", words.iter().map(quoted).collect::<Vec<_>>().join(" "))
        };
        let wanted: Vec<String> = self.wanted.iter().map(all).collect();
        let columns = format!("{{{}}} : ", columns.join(" "));
        let mut expression = format!("({columns}({}))", wanted.join(" OR "));
        for words in &self.unwanted {
            expression.push_str(&format!(" NOT ({columns}({}))", quoted(words)));
        }
        Some(expression)
    }

    /// The words that a client may highlight.
    pub fn highlights(&self) -> Vec<String> {
        let words = self.wanted.iter().flatten().flat_map(|words| words.split_whitespace());
        words.map(str::to_lowercase).collect()
    }
}

/// A word, or several in quotation marks.
struct Part {
    words: String,
    quoted: bool,
    negated: bool,
}

fn parts(term: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    // What stands between two quotation marks is every second piece.
    for (index, piece) in term.split('"').enumerate() {
        let piece: String = piece.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if index % 2 == 1 {
            let negated = term_ends_in_minus(&mut parts);
            parts.push(Part { words: piece, quoted: true, negated });
            continue;
        }
        for word in piece.split_whitespace() {
            let bare = word.trim_start_matches('-');
            let negated = bare.len() < word.len() && !bare.is_empty();
            let words = if negated { bare } else { word };
            parts.push(Part { words: words.to_owned(), quoted: false, negated });
        }
    }
    parts.retain(|part| part.words.chars().any(char::is_alphanumeric));
    parts
}

/// What a text begins with, up to so many words, which are counted off. What is neither a letter nor a number parts words
/// for the index, whether or not a space stands there.
fn first_words(text: &str, left: &mut usize) -> String {
    let mut within = false;
    let one = |character: &char| {
        let begins = character.is_alphanumeric() && !within;
        within = character.is_alphanumeric();
        if begins && *left == 0 {
            return false;
        }
        *left -= usize::from(begins);
        true
    };
    text.chars().take_while(one).collect()
}

/// Whether a lone minus stands right before a quotation mark; it is taken away.
fn term_ends_in_minus(parts: &mut Vec<Part>) -> bool {
    let is_minus = parts.last().is_some_and(|part| !part.quoted && part.words == "-");
    if is_minus {
        parts.pop();
    }
    is_minus
}

fn quoted(words: &String) -> String {
    format!("\"{words}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(term: &str) -> Option<String> {
        Terms::of(term).expression(&["body"])
    }

    #[test]
    fn every_word_is_wanted_in_any_order() {
        assert_eq!(expression(" hello  World ").unwrap(), r#"({body} : (("hello" "World")))"#);
        assert_eq!(expression("a or b c").unwrap(), r#"({body} : (("a") OR ("b" "c")))"#);
        assert_eq!(expression("\"a or b\" c").unwrap(), r#"({body} : (("a or b" "c")))"#);
        let without = r#"({body} : (("a"))) NOT ({body} : ("b")) NOT ({body} : ("c d"))"#;
        assert_eq!(expression("a -b -\"c d\"").unwrap(), without);
        let both = Terms::of("a").expression(&["body", "name"]).unwrap();
        assert_eq!(both, r#"({body name} : (("a")))"#);
        assert_eq!(Terms::of("One \"two Three\" -four").highlights(), ["one", "two", "three"]);
    }

    #[test]
    fn nothing_of_a_term_is_a_command() {
        assert_eq!(
            expression("a* ^b {c}:d NEAR(e) \0").unwrap(),
            r#"({body} : (("a*" "^b" "{c}:d" "NEAR(e)")))"#
        );
        for nothing in ["", "  ", "\"", "-a", "or", "or or", "*", "' % _ \\", "\"\"", "-"] {
            assert_eq!(expression(nothing), None, "{nothing}");
        }
        let many = "x ".repeat(10_000);
        assert!(expression(&many).unwrap().len() < 300);
    }

    #[test]
    fn words_are_counted_wherever_they_part() {
        let phrase = format!("\"{}\" b", "a ".repeat(10_000));
        let dotted = "a.".repeat(10_000);
        for long in [phrase, dotted, "\"a b\" ".repeat(10_000), "-a'a ".repeat(10_000)] {
            let long = expression(&format!("x {long}")).unwrap();
            let words = long.matches(['a', 'b']).count() - long.matches("body").count();
            assert_eq!(words, MAX_WORDS - 1, "{long}");
        }
        let whole = "Größe".repeat(100);
        assert_eq!(expression(&whole).unwrap(), format!("({{body}} : ((\"{whole}\")))"));
    }
}
