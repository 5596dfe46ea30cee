//! Do imports go round in a circle?

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Source, sources};

/// A module of a crate, by its path from the crate's root.
type Module = Vec<String>;

/// The crates of the workspace, and the circles that are meant: the simulator's parts make one machine, and in the
/// Worker's half of the platform an object's world and its host call each other.
const CRATES: [(&str, &[&[&str]]); 3] = [
    ("src", &[]),
    ("src/protocol", &[]),
    (
        "src/platform",
        &[
            &[
                "simulated/executor",
                "simulated/kv",
                "simulated/network",
                "simulated/object",
                "simulated/server",
                "simulated/simulation",
            ],
            &["workers/host", "workers/world"],
        ],
    ),
];

#[test]
fn imports_go_round_in_no_circle() {
    for (root, meant) in CRATES {
        let imports = imports(root);
        assert!(imports.len() > 5, "{root} is read");
        let found: Vec<Vec<String>> = circles(&imports)
            .into_iter()
            .map(|circle| circle.iter().map(|module| module.join("/")).collect())
            .filter(|circle: &Vec<String>| !meant.iter().any(|meant| circle == meant))
            .collect();
        assert!(found.is_empty(), "{root}: {found:#?}");
    }
}

#[test]
fn a_circle_is_found() {
    let module = |name: &str| vec![name.to_owned()];
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e")];
    let mut imports: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for (from, to) in edges {
        imports.entry(module(from)).or_default().insert(module(to));
    }
    assert_eq!(circles(&imports), [["a", "b", "c"].map(module)]);
}

/// Which modules of a crate name something of which others, parents and children apart.
fn imports(root: &str) -> BTreeMap<Module, BTreeSet<Module>> {
    let elsewhere = |name: &str| {
        CRATES
            .iter()
            .any(|(other, _)| *other != root && other.starts_with(root) && name.starts_with(other))
    };
    let sources: Vec<(Module, Source)> = sources(root)
        .into_iter()
        .filter(|source| !source.is_test() && !elsewhere(&source.name))
        .map(|source| (module_of(root, &source.name), source))
        .collect();
    let known: BTreeSet<&Module> = sources.iter().map(|(module, _)| module).collect();
    let mut imports = BTreeMap::new();
    for (module, source) in &sources {
        let named = source.paths().into_iter().filter_map(|path| named(module, &path, &known));
        let related = |other: &Module| other.starts_with(module) || module.starts_with(other);
        imports.insert(module.clone(), named.filter(|other| !related(other)).collect());
    }
    imports
}

fn module_of(root: &str, file: &str) -> Module {
    let path = file.trim_start_matches(root).trim_start_matches('/').trim_end_matches(".rs");
    let parts = path.split('/').filter(|part| !matches!(*part, "mod" | "lib"));
    parts.map(str::to_owned).collect()
}

/// The module that a path leads to, seen from another.
fn named(from: &Module, path: &[String], known: &BTreeSet<&Module>) -> Option<Module> {
    let mut rest = path.iter().peekable();
    let mut module = match path[0].as_str() {
        "crate" => Module::new(),
        "self" | "super" => from.clone(),
        child => {
            let mut module = from.clone();
            module.push(child.to_owned());
            if !known.contains(&module) {
                return None;
            }
            from.clone()
        }
    };
    while let Some(part) = rest.next_if(|part| matches!(part.as_str(), "crate" | "self" | "super"))
    {
        if part == "super" {
            module.pop();
        }
    }
    module.extend(rest.cloned());
    while !module.is_empty() && !known.contains(&module) {
        module.pop();
    }
    Some(module)
}

/// The groups of modules in which each leads to each other.
fn circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Vec<Module>> {
    let reach: BTreeMap<&Module, BTreeSet<&Module>> =
        imports.keys().map(|module| (module, reached(imports, module))).collect();
    let mut circles: BTreeSet<Vec<Module>> = BTreeSet::new();
    for (module, reached) in &reach {
        let leads_back =
            |other: &&&Module| reach.get(**other).is_some_and(|back| back.contains(module));
        let circle: Vec<Module> =
            reached.iter().filter(leads_back).map(|other| (*other).clone()).collect();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reached<'a>(
    imports: &'a BTreeMap<Module, BTreeSet<Module>>,
    from: &Module,
) -> BTreeSet<&'a Module> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        for other in imports.get(module).into_iter().flatten() {
            if reached.insert(other) {
                next.push(other);
            }
        }
    }
    reached
}
