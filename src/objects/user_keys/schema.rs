//! How are a user's keys stored in SQLite?

/// The numbered steps; the missing ones run inside the first transaction that finds them missing.
pub const STEPS: &[&str] = &["
-- The devices and their keys (JSON), as they were signed; `keys` is NULL once a device is removed.
CREATE TABLE devices (
    device TEXT PRIMARY KEY,
    born INTEGER NOT NULL,       -- which device of this name: a name may be used again
    keys TEXT,
    display_name TEXT,
    version INTEGER NOT NULL     -- of the list, when the device changed last
) WITHOUT ROWID;
CREATE TABLE one_time_keys (
    device TEXT, algorithm TEXT, id TEXT,
    pos INTEGER NOT NULL,        -- keys are claimed in the order in which they came
    key TEXT NOT NULL,
    PRIMARY KEY (device, algorithm, id)
) WITHOUT ROWID;
CREATE TABLE fallback_keys (
    device TEXT, algorithm TEXT, id TEXT NOT NULL, key TEXT NOT NULL,
    used INTEGER NOT NULL,       -- whether it was claimed
    PRIMARY KEY (device, algorithm)
) WITHOUT ROWID;
-- `kind` is master, self_signing or user_signing.
CREATE TABLE cross_signing (kind TEXT PRIMARY KEY, key TEXT NOT NULL) WITHOUT ROWID;
-- What this user's keys signed: devices and keys of their own, and master keys of others.
CREATE TABLE signatures (user TEXT, target TEXT, key TEXT, signature TEXT NOT NULL, PRIMARY KEY (user, target, key)) WITHOUT ROWID;
-- The versions of the list of devices, and of the cross-signing keys; and what others were told of them.
CREATE TABLE list (
    one INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    signing_version INTEGER NOT NULL, -- of the list, when the cross-signing keys changed last
    told INTEGER NOT NULL
);
-- What has to be said of a device's one-time keys to the object that answers its syncs.
CREATE TABLE counts (device TEXT PRIMARY KEY, version INTEGER NOT NULL, told INTEGER NOT NULL) WITHOUT ROWID;
-- There is a row for a user of another server whose devices are held.
CREATE TABLE remote (
    one INTEGER PRIMARY KEY,
    stream_id INTEGER NOT NULL,  -- of their server, up to which the list is complete
    asked_at INTEGER,            -- when that server was asked for the whole list (ms); NULL: it has to be asked again
    asking_until INTEGER NOT NULL -- until when somebody is asking it (ms)
);
"];
