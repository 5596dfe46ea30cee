//! Do imports go round in a circle?

use std::collections::{BTreeMap, BTreeSet};

use crate::names::{Crate, Imports, Module};

/// A part of the workspace: where its sources lie, what there lies apart from it, and the circles that are meant.
struct Part {
    root: &'static str,
    apart: &'static [&'static str],
    meant: &'static [&'static [&'static str]],
}

/// The simulator's parts make one machine, and in the Worker's half of the platform an object's world and its host call
/// each other.
const PARTS: [Part; 4] = [
    Part { root: "src", apart: &["src/protocol", "src/platform"], meant: &[] },
    Part { root: "src/protocol", apart: &[], meant: &[] },
    Part {
        root: "src/platform",
        apart: &["src/platform/workers"],
        meant: &[&[
            "simulated/d1",
            "simulated/executor",
            "simulated/kv",
            "simulated/network",
            "simulated/object",
            "simulated/r2",
            "simulated/server",
            "simulated/simulation",
            "simulated/world",
        ]],
    },
    Part {
        root: "src/platform",
        apart: &["src/platform/simulated"],
        meant: &[&["workers/host", "workers/world"]],
    },
];

#[test]
fn imports_go_round_in_no_circle() {
    for Part { root, apart, meant } in PARTS {
        let imports = Crate::read(root, apart).imports();
        assert!(imports.len() > 5, "{root} is read");
        let found: Vec<Vec<String>> = circles(&imports)
            .into_iter()
            .map(|circle| circle.iter().map(|module| module.join("/")).collect())
            .collect();
        assert_eq!(found, meant, "{root} without {apart:?}");
    }
}

#[test]
fn a_circle_is_found() {
    let module = |name: &str| vec![name.to_owned()];
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e")];
    let mut imports = Imports::new();
    for (from, to) in edges {
        imports.entry(module(from)).or_default().insert(module(to));
    }
    assert_eq!(circles(&imports), [["a", "b", "c"].map(module)]);
}

/// The groups of modules in which each leads to each other.
fn circles(imports: &Imports) -> Vec<Vec<Module>> {
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

fn reached<'a>(imports: &'a Imports, from: &Module) -> BTreeSet<&'a Module> {
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
