//! What does a source file say of itself?

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A source file.
pub struct Source {
    pub name: String,
    pub text: String,
}

impl Source {
    /// The top-level module of the server that it belongs to.
    pub fn module(&self) -> String {
        let path = self.name.trim_start_matches("src/").trim_end_matches(".rs");
        path.split('/').next().unwrap_or_default().to_owned()
    }

    /// Whether its head says in a sentence or a question what is in it.
    pub fn has_head(&self) -> bool {
        let head = self.text.lines().map_while(|line| line.strip_prefix("//! "));
        let head = head.collect::<Vec<_>>().join(" ") + " ";
        [". ", "? "].iter().any(|end| head.find(end).is_some_and(|end| end > 0))
    }

    pub fn is_test(&self) -> bool {
        self.name.contains("/tests/") || self.name.ends_with("/tests.rs")
    }

    /// The methods of the room that others may call.
    pub fn methods_of_the_room(&self) -> Vec<String> {
        let code = self.code();
        let blocks = code.split("impl Room<'_> {\n").skip(1);
        let blocks = blocks.filter_map(|block| block.split_once("\n}").map(|(block, _)| block));
        let names = blocks.flat_map(|block| block.split("    pub fn ").skip(1));
        names.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())).collect()
    }

    /// Whether a path ends in this name.
    pub fn names(&self, name: &str) -> bool {
        self.paths().iter().any(|path| path.last().is_some_and(|last| last == name))
    }

    /// The text without comments.
    pub fn code(&self) -> String {
        let lines = self.text.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Every path of two names or more that is imported, or named where it is used.
    pub fn paths(&self) -> Vec<Vec<String>> {
        let code = self.code();
        let mut paths = Vec::new();
        for part in code.split("use ").skip(1) {
            if let Some((tree, _)) = part.split_once(';') {
                flatten(&[], tree, &mut paths);
            }
        }
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        for (place, _) in code.match_indices("::") {
            let head = code[..place].trim_end_matches(is_word);
            if head.len() < place && !head.ends_with("::") {
                let rest = &code[head.len()..];
                let path = rest.split(|letter: char| !is_word(letter) && letter != ':').next();
                let parts = path.unwrap_or_default().split("::").filter(|part| !part.is_empty());
                paths.push(parts.map(str::to_owned).collect());
            }
        }
        paths.retain(|path| path.len() > 1);
        paths
    }
}

/// The paths of a `use` tree.
fn flatten(prefix: &[String], tree: &str, paths: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let (head, group) = match tree.split_once('{') {
        Some((head, group)) => (head, group.rsplit_once('}').map(|(group, _)| group)),
        None => (tree, None),
    };
    let named = head.split("::").map(|part| part.split(" as ").next().unwrap_or_default().trim());
    let named = named.filter(|part| !part.is_empty()).map(str::to_owned);
    let path: Vec<String> = prefix.iter().cloned().chain(named).collect();
    let Some(group) = group else {
        paths.push(path);
        return;
    };
    let (mut depth, mut begin) = (0, 0);
    for (place, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                flatten(&path, &group[begin..place], paths);
                begin = place + 1;
            }
            _ => {}
        }
    }
    if !group[begin..].trim().is_empty() {
        flatten(&path, &group[begin..], paths);
    }
}

pub fn all() -> Vec<Source> {
    ["src", "tests", "xtask"].into_iter().flat_map(sources).collect()
}

/// The source files below a folder, which holds some.
pub fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} holds no source files");
    let read = |path: PathBuf| Source {
        name: path.strip_prefix(root()).unwrap().display().to_string(),
        text: fs::read_to_string(&path).unwrap(),
    };
    found.into_iter().map(read).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_head_is_a_sentence_or_a_question() {
    let has_head = |text: &str| Source { name: String::new(), text: text.to_owned() }.has_head();
    assert!(has_head("//! What does\n//! the rule v1.19 say? ([spec](https://example.org/))\n"));
    assert!(has_head("//! The rules of version 6. Later versions build on them.\n"));
    assert!(!has_head("//! The rules\n//!\n"));
    assert!(!has_head("/// What?\n"));
}

#[test]
fn trees_of_imports_are_read_to_their_leaves() {
    let text = "use std::fs;\n// use std::net;\nuse crate::{\n    a::{self, B},\n    c as d,\n};\nfn f() { crate::e::g(); }";
    let source = Source { name: String::new(), text: text.to_owned() };
    let paths: BTreeSet<String> = source.paths().iter().map(|path| path.join("::")).collect();
    let expected = ["crate::a::B", "crate::a::self", "crate::c", "crate::e::g", "std::fs"];
    assert_eq!(paths, expected.map(str::to_owned).into());
}
