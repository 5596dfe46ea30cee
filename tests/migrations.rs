//! Does every SQL statement fit the schema it runs against?
//!
//! Statements stand as constant texts beside the function that reads their rows. Here each is prepared against the
//! tables of its object, or against D1 as all migrations make it.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::{
    collections::BTreeSet,
    fs,
    iter::Peekable,
    path::{Path, PathBuf},
    str::Chars,
};

use sha2::{Digest, Sha256};
use tombolo::objects::{SCHEMAS, room, user_keys};
use tombolo_platform::{Row, Sql, values};
use tombolo_support::migrations;

const VERBS: [&str; 5] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];

#[test]
fn the_statements_of_objects_fit_their_tables() {
    for (folder, steps) in SCHEMAS {
        let sql = Sql::open_in_memory().unwrap();
        for step in *steps {
            sql.script(step).unwrap();
            // Workerd takes what follows the last statement for one more, and a comment is none.
            assert!(step.trim_end().ends_with(';'), "{folder}: a step ends in a comment");
        }
        statements_that_fit(&sql, &format!("src/objects/{folder}"));
    }
}

/// The steps of D1 that are in use somewhere, by their hashes without comments and spaces. Only new ones follow. Those of
/// objects stand beside their schemas.
const IN_USE: [&str; 14] = [
    "0c99e62598eb5ca4e665c5b1042e7d53",
    "e63ef05aab2316355180a823b6c2f2ce",
    "06089c851e03515d58d534ed52a16e99",
    "cdca5cb51f83359c52cfc9ccce836dd3",
    "17a1e6f457c1a4edf94cb023b481df07",
    "b3f45ae5c4089da6b43b38d9cb1d1330",
    "114f9c1ea7c16438f368594f7c6634ee",
    "374fe47cfc8b0209b4782f2ab1fde21c",
    "d59e9ace94104f95ca66a062f92531db",
    "2bba78c10ab19c6bbc2e7e3285b8619c",
    "b42fbce2137a4b6dde091b60bc63adcd",
    "4c638ed10cbe6dc418ca0e8548518bcb",
    "a17e8361a51ca3d0c4c79acc7697de38",
    "1f53af83090071f5134f514b8ef3e2b7",
];

#[test]
fn a_step_that_is_in_use_never_changes() {
    for (folder, steps) in SCHEMAS {
        let text = fs::read(root().join(format!("src/objects/{folder}/steps.json"))).unwrap();
        let in_use: Vec<String> = serde_json::from_slice(&text).unwrap();
        let now: Vec<String> = steps.iter().map(|step| hash(step)).collect();
        assert_eq!(
            now, in_use,
            "{folder}: a step changed, or a new one is to be noted in steps.json"
        );
    }
    let now: Vec<String> = migrations().into_iter().map(|(_, text)| hash(&text)).collect();
    assert_eq!(now, IN_USE, "a migration changed, or a new one is to be noted here");
}

/// The SHA-256 of a step without comments and spaces, its first half.
fn hash(step: &str) -> String {
    let code = step.lines().map(|line| line.split("--").next().unwrap_or_default());
    let words: Vec<String> = code.map(str::split_whitespace).map(|words| words.collect()).collect();
    Sha256::digest(words.concat())[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn states_with_gaps_of_an_older_room_are_derived_again() {
    let sql = Sql::open_in_memory().unwrap();
    room::STEPS[..4].iter().for_each(|step| sql.script(step).unwrap());
    let insert = "INSERT INTO left_out_of_fork (id, fork, at, parents) VALUES ('$a', 7, 1, '[3]'), ('$b', 7, 1, '[3]'), ('$a', 8, NULL, NULL);";
    sql.script(insert).unwrap();
    room::STEPS[4..].iter().for_each(|step| sql.script(step).unwrap());
    let read = |row: &Row<'_>| Ok((row.int(0)?, row.text(1)?));
    let derived = sql.rows("SELECT fork, parents FROM derived", values![], read).unwrap();
    assert_eq!(derived, [(7, "[3]".to_owned())]);
}

#[test]
fn devices_that_an_older_deployment_removed_stay_removed() {
    let sql = Sql::open_in_memory().unwrap();
    user_keys::STEPS[..2].iter().for_each(|step| sql.script(step).unwrap());
    let insert = "INSERT INTO devices (device, born, keys, version) VALUES ('HERE', 1, '{}', 1), ('GONE', 2, NULL, 2);
                  INSERT INTO remote (one, stream_id, asked_at) VALUES (1, 5, 100);";
    sql.script(insert).unwrap();
    user_keys::STEPS[2..].iter().for_each(|step| sql.script(step).unwrap());
    let read = |row: &Row<'_>| Ok((row.text(0)?, row.int(1)?));
    let gone = sql.rows("SELECT device, gone FROM devices ORDER BY device", values![], read);
    assert_eq!(gone.unwrap(), [("GONE".to_owned(), 1), ("HERE".to_owned(), 0)]);
    let read = |row: &Row<'_>| Ok((row.int(0)?, row.int(1)?, row.int(2)?));
    let remote = sql.rows("SELECT asked_at, noted, told FROM remote", values![], read);
    assert_eq!(remote.unwrap(), [(100, 0, 0)]);
}

#[test]
fn no_object_is_left_out() {
    let entries = fs::read_dir(root().join("src/objects")).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let names: BTreeSet<String> =
        folders.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let known = SCHEMAS.iter().map(|(folder, _)| (*folder).to_owned());
    assert_eq!(names, known.collect());
}

#[test]
fn the_statements_of_stores_fit_what_the_migrations_make() {
    let sql = Sql::open_in_memory().unwrap();
    for (_, text) in migrations() {
        sql.script(&text).unwrap();
    }
    // A row of D1 is an object: of two columns of one name it would keep one.
    for statement in statements_that_fit(&sql, "src/stores") {
        let columns = sql.columns(&statement).unwrap();
        let distinct: BTreeSet<&String> = columns.iter().collect();
        assert_eq!(distinct.len(), columns.len(), "{statement} names a column twice");
    }
}

/// Prepares every statement of a folder's files; answers them.
fn statements_that_fit(sql: &Sql, folder: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let files = files(&root().join(folder), "rs");
    let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for (file, text) in files.iter().zip(&texts) {
        let begins = |literal: &&String| VERBS.iter().any(|verb| literal.starts_with(verb));
        for literal in literals(text).iter().filter(begins) {
            let statement = filled(literal, &format!("{text}{}", texts.concat()));
            if let Err(error) = sql.columns(&statement) {
                panic!("{}: {error}: {statement}", file.display());
            }
            statements.push(statement);
        }
    }
    assert!(!statements.is_empty(), "{folder} has no statements");
    statements
}

/// A statement as `format!` makes it: constants of its file or folder, the order of rows, and in a purge the name of any
/// table are all that is ever put in.
fn filled(statement: &str, text: &str) -> String {
    let mut filled = statement.replace("{order}", "DESC").replace("{table}", "events");
    while let Some((before, rest)) = filled.split_once('{') {
        let (name, after) = rest.split_once('}').unwrap();
        let Some((_, declaration)) = text.split_once(&format!("const {name}: &str =")) else {
            panic!("{statement} puts in {name}, which is no constant");
        };
        let constant = literals(declaration).into_iter().next().unwrap();
        filled = format!("{before}{constant}{after}");
    }
    filled
}

/// The string literals of a source text.
fn literals(text: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), text.chars().peekable());
    while let Some(next) = rest.next() {
        match next {
            '/' if rest.peek() == Some(&'/') => {
                rest.by_ref().take_while(|next| *next != '\n').for_each(drop);
            }
            '\'' => skip_char(&mut rest),
            '"' => found.push(literal(&mut rest)),
            _ => {}
        }
    }
    found
}

/// Skips a character literal; a lifetime is left to be read on.
fn skip_char(rest: &mut Peekable<Chars<'_>>) {
    let mut ahead = rest.clone();
    let escaped = ahead.next() == Some('\\');
    let closes = if escaped { ahead.nth(1) } else { ahead.next() };
    if closes == Some('\'') {
        rest.nth(if escaped { 2 } else { 1 });
    }
}

/// A string literal, its opening quote read.
fn literal(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut literal = String::new();
    while let Some(next) = rest.next().filter(|next| *next != '"') {
        if next != '\\' {
            literal.push(next);
            continue;
        }
        match rest.next() {
            Some('n') => literal.push('\n'),
            Some('\n') => while rest.next_if(|next| next.is_whitespace()).is_some() {},
            Some(other) => literal.push(other),
            None => {}
        }
    }
    literal
}

/// Files of a kind in a folder and the folders in it, tests apart.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) && name != "tests.rs" {
            found.push(path);
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
