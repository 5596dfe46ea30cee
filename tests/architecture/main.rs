//! Do imports point one way, and do files keep to the house's limits? (ARCHITECTURE.md)
//!
//! The compiler guards the crates; what lies between the modules of one crate is guarded here.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod circles;
mod names;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    names::{Crate, Module, module_of},
    source::{Source, all, sources},
};

/// No file is longer, tests included.
const MOST_LINES: usize = 400;

/// A module of the server, and the modules of the server that it may name.
const MAY_NAME: [(&str, &[&str]); 11] = [
    ("error", &["objects", "config"]),
    ("config", &[]),
    ("bucket", &[]),
    ("shell", &[]),
    ("objects", &["config", "shell", "bucket"]),
    ("stores", &["config"]),
    ("remote", &["config"]),
    ("flows", &["objects", "remote", "stores", "config"]),
    ("http", &["flows", "objects", "remote", "stores", "config", "error", "bucket"]),
    ("app", &["http", "flows", "objects", "shell"]),
    ("worker", &["app", "objects"]),
];

/// The folders of the room, from below: none names or calls what is in one above it.
const ROOM: [&str; 8] =
    ["graph", "outside", "followers", "sending", "arrival", "joining", "reading", "operator"];

/// What only the Worker can name.
const CLOUDFLARE: [&str; 5] =
    ["worker", "web_sys", "js_sys", "wasm_bindgen", "wasm_bindgen_futures"];

/// What is written with events in it for clients and other servers, federation's handlers apart.
const CARRY_EVENTS: [&str; 6] = [
    "src/flows/telling/deliver.rs",
    "src/flows/membership/invite.rs",
    "src/flows/sync/mod.rs",
    "src/http/client/sync/response.rs",
    "src/objects/room/reading/view.rs",
    "src/remote/api.rs",
];

/// Crates of the workspace that lie among the server's modules.
const APART: [&str; 2] = ["src/protocol", "src/platform"];

#[test]
fn imports_point_one_way() {
    let mut upwards = BTreeSet::new();
    for (from, named) in &Crate::read("src", &APART).imports() {
        let rule =
            MAY_NAME.iter().find(|(module, _)| from.first().is_some_and(|own| own == module));
        let Some((module, allowed)) = rule else { continue };
        let may = |other: &Module| other[0] == *module || allowed.contains(&&*other[0]);
        for other in named.iter().filter(|other| !may(other)) {
            upwards.insert(format!("{} names {}", from.join("::"), other.join("::")));
        }
    }
    assert!(upwards.is_empty(), "{upwards:#?}");
}

#[test]
fn every_module_of_the_server_has_its_place_in_the_order() {
    let sources = sources("src");
    let of_server = |source: &&Source| {
        source.name != "src/lib.rs" && !APART.iter().any(|apart| source.name.starts_with(apart))
    };
    let modules: BTreeSet<String> = sources.iter().filter(of_server).map(Source::module).collect();
    assert_eq!(modules, MAY_NAME.map(|(module, _)| module.to_owned()).into());
}

#[test]
fn the_folders_of_the_room_stand_in_an_order() {
    let place = |module: &[String]| {
        let folder = module.strip_prefix(&["objects", "room"].map(str::to_owned))?.first()?;
        ROOM.iter().position(|known| known == folder)
    };
    let mut upwards = BTreeSet::new();
    for (from, named) in &Crate::read("src", &APART).imports() {
        let Some(own) = place(from) else { continue };
        for other in named.iter().filter(|other| place(other) > Some(own)) {
            upwards.insert(format!("{} names {}", from.join("::"), other.join("::")));
        }
    }
    let sources: Vec<(usize, Source)> = sources("src/objects/room")
        .into_iter()
        .filter_map(|source| Some((place(&module_of("src", &source.name))?, source)))
        .collect();
    let methods: Vec<(usize, String)> = sources
        .iter()
        .flat_map(|(place, source)| {
            source.methods_of_the_room().into_iter().map(|name| (*place, name))
        })
        .collect();
    assert!(methods.len() > 100, "the room's methods are found: {}", methods.len());
    for (own, source) in &sources {
        let code: String = source.code().split_whitespace().collect();
        let called = |name: &str| {
            [".", "Room::", "Self::"].iter().any(|by| code.contains(&format!("{by}{name}(")))
        };
        let above = methods.iter().filter(|(place, name)| place > own && called(name));
        upwards.extend(above.map(|(_, name)| format!("{} calls {name}", source.name)));
    }
    assert!(upwards.is_empty(), "{upwards:#?}");
}

#[test]
fn each_table_of_an_object_is_written_by_one_file() {
    let mut writers: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    // A purge empties the tables of all others.
    let spares = ["/schema.rs", "src/objects/room/operator/purge.rs"];
    let writes = |source: &Source| {
        !source.is_test() && !spares.iter().any(|spared| source.name.ends_with(spared))
    };
    for source in sources("src/objects").into_iter().filter(writes) {
        let class = source.name.split('/').nth(2).unwrap_or_default().to_owned();
        let words: Vec<&str> = source.text.split_whitespace().collect();
        for window in words.windows(4) {
            let table = match window {
                [_, "INTO", table, _] => table,
                [first, "FROM", table, _] if first.ends_with("DELETE") => table,
                ["OR", _, table, "SET"] => table,
                [first, table, "SET", _] if first.ends_with("UPDATE") => table,
                _ => continue,
            };
            let table =
                table.trim_matches(|letter: char| !letter.is_alphanumeric() && letter != '_');
            let written = writers.entry((class.clone(), table.to_owned())).or_default();
            written.insert(source.name.clone());
        }
    }
    assert!(writers.len() > 20, "the tables are found: {writers:#?}");
    writers.retain(|_, files| files.len() > 1);
    assert!(writers.is_empty(), "{writers:#?}");
}

#[test]
fn an_object_sees_no_world() {
    for source in sources("src/objects").iter().filter(|source| !source.is_test()) {
        let alive = source.names("World") || source.code().contains(".await");
        assert!(!alive, "{} reaches out of its object", source.name);
    }
}

#[test]
fn surfaces_do_not_touch_databases() {
    for source in sources("src/http").iter().filter(|source| !source.is_test()) {
        let touches = source.names("Sql") || source.code().contains(".d1()");
        assert!(!touches, "{} touches a database", source.name);
    }
}

#[test]
fn only_the_entry_and_one_half_of_the_platform_name_cloudflare() {
    for source in all() {
        let may = source.name == "src/worker.rs"
            || source.name.starts_with("src/platform/workers/")
            || source.name == "src/platform/tests/contract/worker.rs";
        for path in source.paths().iter().filter(|path| CLOUDFLARE.contains(&path[0].as_str())) {
            assert!(may, "{} names {path:?}", source.name);
        }
    }
}

#[test]
fn rules_have_no_clock_and_no_io() {
    const FOREIGN: [&str; 5] = ["tombolo_platform", "tokio", "futures_util", "reqwest", "worker"];
    const OUTSIDE: [&str; 5] = ["fs", "process", "thread", "time", "env"];
    for source in sources("src/protocol").iter().filter(|source| !source.is_test()) {
        let alive = source.code().contains("async ") || source.code().contains(".await");
        assert!(!alive, "{} is asynchronous", source.name);
        for path in source.paths() {
            // The moment from which others are counted is no clock.
            let is_epoch = path.join("::") == "std::time::UNIX_EPOCH";
            let outside = path[0] == "std" && OUTSIDE.contains(&path[1].as_str()) && !is_epoch;
            let foreign = FOREIGN.contains(&path[0].as_str());
            assert!(!outside && !foreign, "{} names {path:?}", source.name);
        }
    }
}

/// An event may be nested deeper than `serde_json` reads, and `json!` panics where its text becomes a value.
#[test]
fn what_carries_events_is_written_straight_to_text() {
    let carries = |source: &Source| {
        CARRY_EVENTS.contains(&source.name.as_str())
            || source.name.starts_with("src/http/federation/") && source.names("RawValue")
    };
    let carriers: Vec<Source> = sources("src").into_iter().filter(carries).collect();
    assert!(carriers.len() > CARRY_EVENTS.len(), "files were renamed");
    for Source { name, text } in carriers {
        for maker in ["json!", "to_value(", "from_str::<Value>"] {
            assert!(!text.contains(maker), "{name} makes values by {maker}");
        }
    }
}

#[test]
fn every_file_opens_by_saying_what_is_in_it() {
    let all = all();
    let silent: Vec<&str> =
        all.iter().filter(|source| !source.has_head()).map(|source| source.name.as_str()).collect();
    assert!(silent.is_empty(), "these do not say what is in them: {silent:#?}");
}

#[test]
fn no_file_is_too_long() {
    for source in all() {
        let lines = source.text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", source.name);
    }
}
