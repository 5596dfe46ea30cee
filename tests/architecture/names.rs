//! Which module does a name lead to? Through what modules import and export again, to where it is defined.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Import, Source, sources};

/// A module of a crate, by its path from the crate's root.
pub type Module = Vec<String>;

/// Which modules name something of which others.
pub type Imports = BTreeMap<Module, BTreeSet<Module>>;

/// Through so many imports a name is followed.
const MOST_STEPS: usize = 16;

/// A module as the names in it are read.
struct Names {
    imports: Vec<Import>,
    items: BTreeSet<String>,
    paths: Vec<Vec<String>>,
    words: BTreeSet<String>,
}

/// The modules of a crate.
pub struct Crate(BTreeMap<Module, Names>);

impl Crate {
    /// The crate whose sources lie in a folder, without its tests and what lies in the folders `apart`.
    pub fn read(root: &str, apart: &[&str]) -> Self {
        let is_part = |source: &Source| {
            !source.is_test() && !apart.iter().any(|apart| source.name.starts_with(apart))
        };
        let files = sources(root).into_iter().filter(is_part);
        Self::of(files.map(|source| (module_of(root, &source.name), source)))
    }

    fn of(files: impl Iterator<Item = (Module, Source)>) -> Self {
        let names = |source: &Source| Names {
            imports: source.imports(),
            items: source.items(),
            paths: source.paths(),
            words: source.words(),
        };
        Self(files.map(|(module, source)| (module, names(&source))).collect())
    }

    /// Which modules name something of which others, parents and children apart.
    pub fn imports(&self) -> Imports {
        let of = |(module, names): (&Module, &Names)| {
            let paths = names.paths.iter().filter_map(|path| self.find(module, path, MOST_STEPS));
            let globs = names.imports.iter().filter(|import| import.is_glob());
            let globs = globs.flat_map(|import| self.taken(module, &import.path, &names.words));
            let related = |other: &Module| other.starts_with(module) || module.starts_with(other);
            (module.clone(), paths.chain(globs).filter(|other| !related(other)).collect())
        };
        self.0.iter().map(of).collect()
    }

    /// The modules whose names a module has through `use path::*`.
    fn taken(&self, from: &Module, path: &[String], words: &BTreeSet<String>) -> Vec<Module> {
        let Some(module) = self.find(from, path, MOST_STEPS) else { return Vec::new() };
        words.iter().filter_map(|word| self.given(&module, word, MOST_STEPS)).collect()
    }

    /// The module that a path leads to, seen from another; `None` where it leads out of the crate.
    fn find(&self, from: &Module, path: &[String], steps: usize) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(self.walk(Module::new(), rest, steps)),
            "self" | "super" => Some(self.walk(from.clone(), path, steps)),
            name => {
                let given = self.given(from, name, steps).filter(|module| module != from)?;
                Some(self.walk(given, rest, steps))
            }
        }
    }

    /// The module in which a name of a module is defined, or which it is.
    fn given(&self, module: &Module, name: &str, steps: usize) -> Option<Module> {
        let steps = steps.checked_sub(1)?;
        let child: Module = module.iter().cloned().chain([name.to_owned()]).collect();
        if self.0.contains_key(&child) {
            return Some(child);
        }
        let names = &self.0[module];
        if names.items.contains(name) {
            return Some(module.clone());
        }
        let called = |import: &&Import| import.name == name;
        let mut imported = names.imports.iter().filter(called);
        imported.find_map(|import| self.find(module, &import.path, steps)).or_else(|| {
            let mut globs = names.imports.iter().filter(|import| import.is_glob());
            globs.find_map(|import| {
                let from = self.find(module, &import.path, steps)?;
                self.given(&from, name, steps)
            })
        })
    }

    /// The module that the rest of a path leads to: the last one of the crate that it names.
    fn walk(&self, mut module: Module, path: &[String], steps: usize) -> Module {
        for part in path {
            match part.as_str() {
                "crate" | "self" => {}
                "super" => {
                    module.pop();
                }
                name => match self.given(&module, name, steps) {
                    Some(given) if given != module => module = given,
                    _ => break,
                },
            }
        }
        module
    }
}

/// The module that a file of a crate holds.
pub fn module_of(root: &str, file: &str) -> Module {
    let path = file.trim_start_matches(root).trim_start_matches('/').trim_end_matches(".rs");
    let parts = path.split('/').filter(|part| !matches!(*part, "mod" | "lib"));
    parts.map(str::to_owned).collect()
}

#[test]
fn names_are_followed_to_where_they_are_defined() {
    let texts = [
        ("lib.rs", "pub use a::{A, b::B as C};"),
        ("a/mod.rs", "pub use self::b::*;\npub struct A;"),
        ("a/b.rs", "pub struct B;\npub struct D;"),
        ("c.rs", "use crate::{A, C};"),
        ("d.rs", "use super::a;\nfn f(_: a::D) {}"),
        ("e.rs", "use crate::a::*;\nfn f(_: D) {}"),
        ("f.rs", "use std::fs;\nfn f() { fs::read(super::c::g::<u8>()) }"),
    ];
    let sources = texts.map(|(name, text)| Source { name: name.to_owned(), text: text.to_owned() });
    let files = sources.into_iter().map(|source| (module_of("", &source.name), source));
    let imports = Crate::of(files).imports();
    let of = |module: &str| -> Vec<String> {
        imports[&vec![module.to_owned()]].iter().map(|module| module.join("/")).collect()
    };
    assert_eq!(of("c"), ["a", "a/b"]);
    assert_eq!(of("d"), ["a", "a/b"]);
    assert_eq!(of("e"), ["a", "a/b"]);
    assert_eq!(of("f"), ["c"]);
}
