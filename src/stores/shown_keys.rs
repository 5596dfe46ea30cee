//! What are others shown of the keys of local users? (D1: a copy of what the objects of these keys know)

use std::collections::BTreeMap;

use serde_json::json;
use tombolo_platform::{Row, SqlError, Statement, World, values};

/// How many users one statement reads.
const MOST_READ: usize = 200;
/// How many copies D1 is given at once.
const MOST_WRITTEN: usize = 20;
/// The longest text that is copied, in bytes.
const LONGEST: usize = 64 << 10;

/// What there is a copy of.
#[derive(Debug)]
pub struct Copied {
    pub localpart: String,
    /// Grows with each change.
    pub version: i64,
    /// `None`: it is too long, or no newer than what the reader knows.
    pub shown: Option<String>,
}

/// The copies of these users, by the version that is known of each.
pub async fn find(world: &World, known: &[(&str, Option<i64>)]) -> Result<Vec<Copied>, SqlError> {
    let query = "SELECT k.localpart, k.version, iif(k.version <= value, NULL, k.shown) AS shown
                 FROM json_each(?1) CROSS JOIN shown_keys k WHERE k.localpart = key";
    let read = |row: &Row<'_>| {
        Ok(Copied { localpart: row.text(0)?, version: row.int(1)?, shown: row.text_or_null(2)? })
    };
    let mut copies = Vec::new();
    for some in known.chunks(MOST_READ) {
        let some: BTreeMap<_, _> = some.iter().copied().collect();
        let some = json!(some).to_string();
        copies.extend(world.d1().rows(query, values![&some], read).await?);
    }
    Ok(copies)
}

/// Writes copies: localpart, version, what is shown. Where there is one of this version or a later one, or no such
/// account, nothing is written.
pub async fn save(world: &World, copies: &[(&str, i64, &str)]) -> Result<(), SqlError> {
    let upsert = "INSERT INTO shown_keys (localpart, version, shown)
                  SELECT localpart, ?2, ?3 FROM accounts WHERE localpart = ?1
                  ON CONFLICT DO UPDATE SET version = excluded.version, shown = excluded.shown
                  WHERE excluded.version > version";
    for some in copies.chunks(MOST_WRITTEN) {
        let rows: Vec<_> = some
            .iter()
            .map(|(localpart, version, shown)| {
                let shown = Some(*shown).filter(|shown| shown.len() <= LONGEST);
                values![*localpart, *version, shown].to_vec()
            })
            .collect();
        let all: Vec<_> = rows.iter().map(|values| Statement { sql: upsert, values }).collect();
        world.d1().batch(&all).await?;
    }
    Ok(())
}
