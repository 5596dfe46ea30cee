//! How is a remote server stored in SQLite?

/// The numbered steps; the missing ones run inside the first transaction that finds them missing.
pub const STEPS: &[&str] = &["
CREATE TABLE server (one INTEGER PRIMARY KEY, failures INTEGER NOT NULL, retry_at INTEGER NOT NULL);
CREATE TABLE owed (room TEXT PRIMARY KEY, since INTEGER NOT NULL, upto INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE edus (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, until INTEGER, edu TEXT NOT NULL);
", "
-- When the first of the failures in a row began (ms).
ALTER TABLE server ADD COLUMN since INTEGER;
", "
-- Only what is worth sending for ever is written down, and `until` is never set.
DELETE FROM edus WHERE until IS NOT NULL;
"];
