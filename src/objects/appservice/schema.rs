//! How is what an application service has yet to be told stored in SQLite?

/// The numbered steps; the missing ones run inside the first transaction that finds them missing.
pub const STEPS: &[&str] = &["
-- `last`: the ID of the newest transaction that ever was; the attempts are those in a row that failed.
CREATE TABLE service (
    one INTEGER PRIMARY KEY, last INTEGER NOT NULL, attempts INTEGER NOT NULL, retry_at INTEGER NOT NULL, error TEXT
);
-- In the order of `seq`: a range of a room, or an event (`event`) that has no position in a room.
CREATE TABLE owed (
    seq INTEGER PRIMARY KEY, room TEXT NOT NULL, since INTEGER NOT NULL, upto INTEGER NOT NULL,
    whole INTEGER NOT NULL,      -- whether all of the range is owed, or only what the service's users do in it
    event TEXT, at INTEGER NOT NULL
);
-- Up to where the events (`upto`) and the rest (`noted`) of a room were ever owed, and its newest row of `owed`.
CREATE TABLE rooms (
    room TEXT PRIMARY KEY, upto INTEGER NOT NULL, noted INTEGER NOT NULL, seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE edus (seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, until INTEGER, edu TEXT NOT NULL);
-- The one that is on its way, as it is sent.
CREATE TABLE txn (id INTEGER PRIMARY KEY, body TEXT NOT NULL, created INTEGER NOT NULL);
"];
