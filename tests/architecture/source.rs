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
        let heads = blocks.flat_map(str::lines).filter(|line| line.starts_with("    pub"));
        let names = heads.filter_map(|line| line.split_once(" fn ")?.1.split(['(', '<']).next());
        names.map(str::to_owned).collect()
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

    /// What is imported, inside functions too.
    pub fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for tree in self.split().0 {
            flatten(&[], &tree, &mut imports);
        }
        imports
    }

    /// The names that the module itself defines.
    pub fn items(&self) -> BTreeSet<String> {
        const KINDS: [&str; 8] =
            ["struct", "enum", "trait", "type", "const", "static", "fn", "macro_rules"];
        let code = self.code();
        let tops = code.lines().filter(|line| !line.starts_with([' ', '}']));
        let item = |line: &str| {
            let mut words = words(line).skip_while(|word| !KINDS.contains(word));
            words.find(|word| !KINDS.contains(word)).map(str::to_owned)
        };
        tops.filter_map(item).collect()
    }

    /// Every word that stands in the code, imports apart, and texts that end in their line.
    pub fn words(&self) -> BTreeSet<String> {
        let code = self.split().1;
        let outside = code.lines().flat_map(|line| line.split('"').step_by(2));
        outside.flat_map(words).map(str::to_owned).collect()
    }

    /// Every path of two names or more that is imported, or named where it is used.
    pub fn paths(&self) -> Vec<Vec<String>> {
        let mut paths: Vec<Vec<String>> =
            self.imports().into_iter().map(|import| import.path).collect();
        let code = self.split().1;
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

    /// The trees of its imports, and the code without them.
    fn split(&self) -> (Vec<String>, String) {
        let (mut trees, mut rest, mut tree) = (Vec::new(), String::new(), None::<String>);
        for line in self.code().lines() {
            let begun = tree.take().or_else(|| tree_in(line).is_some().then(String::new));
            let Some(begun) = begun else {
                rest.extend([line, "\n"]);
                continue;
            };
            let whole = begun + tree_in(line).unwrap_or(line);
            match whole.split_once(';') {
                Some((whole, _)) => trees.push(whole.to_owned()),
                None => tree = Some(whole),
            }
        }
        (trees, rest)
    }
}

/// A name that a module has from elsewhere.
pub struct Import {
    pub name: String,
    pub path: Vec<String>,
}

impl Import {
    /// Whether it takes every name there is.
    pub fn is_glob(&self) -> bool {
        self.name == "*"
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !is_word(letter)).filter(|word| !word.is_empty())
}

/// The tree of imports that begins in this line.
fn tree_in(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let (before, tree) = line.split_once("use ")?;
    let is_use = before.is_empty()
        || before == "pub "
        || before.starts_with("pub(") && before.ends_with(") ");
    is_use.then_some(tree)
}

/// The imports of a `use` tree.
fn flatten(prefix: &[String], tree: &str, imports: &mut Vec<Import>) {
    let tree = tree.trim();
    let (head, group) = match tree.split_once('{') {
        Some((head, group)) => (head, group.rsplit_once('}').map(|(group, _)| group)),
        None => (tree, None),
    };
    let (head, alias) =
        head.split_once(" as ").map_or((head, None), |(head, alias)| (head, Some(alias)));
    let named = head.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned);
    let mut path: Vec<String> = prefix.iter().cloned().chain(named).collect();
    let Some(group) = group else {
        path.pop_if(|last| last == "self");
        let name = alias.map(|alias| alias.trim().to_owned()).or(path.last().cloned());
        path.pop_if(|last| last == "*");
        imports.push(Import { name: name.unwrap_or_default(), path });
        return;
    };
    let (mut depth, mut begin) = (0, 0);
    for (place, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                flatten(&path, &group[begin..place], imports);
                begin = place + 1;
            }
            _ => {}
        }
    }
    if !group[begin..].trim().is_empty() {
        flatten(&path, &group[begin..], imports);
    }
}

pub fn all() -> Vec<Source> {
    ["src", "tests", "compliance", "xtask"].into_iter().flat_map(sources).collect()
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
    let expected = ["crate::a", "crate::a::B", "crate::c", "crate::e::g", "std::fs"];
    assert_eq!(paths, expected.map(str::to_owned).into());
}
