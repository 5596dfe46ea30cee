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
    came_at INTEGER NOT NULL,    -- keys are claimed in the order in which they came (ms)
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
CREATE TABLE signatures (
    user TEXT, target TEXT, key TEXT, signature TEXT NOT NULL,
    version INTEGER NOT NULL,    -- of the list, when it was made
    PRIMARY KEY (user, target, key)
) WITHOUT ROWID;
-- How far the list of devices came, and what others know of it.
CREATE TABLE list (
    one INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,    -- grows with each change
    signing INTEGER NOT NULL,    -- the version in which the cross-signing keys changed last
    told INTEGER NOT NULL,       -- everybody was told everything up to this version
    sent INTEGER                 -- the last change of a device that other servers were told of
);
-- What has to be said of a device's one-time keys to the object that answers its syncs.
CREATE TABLE counts (device TEXT PRIMARY KEY, version INTEGER NOT NULL, told INTEGER NOT NULL) WITHOUT ROWID;
-- There is a row for a user of another server whose devices are held.
CREATE TABLE remote (
    one INTEGER PRIMARY KEY,
    stream_id INTEGER NOT NULL,  -- of their server, up to which the list is complete
    asked_at INTEGER             -- when that server was asked for the whole list (ms); NULL: it has to be asked again
);
", "
-- The backups of room keys that are not deleted. `auth_data` is JSON.
CREATE TABLE backups (
    version INTEGER PRIMARY KEY,
    algorithm TEXT NOT NULL,
    auth_data TEXT NOT NULL,
    etag INTEGER NOT NULL,       -- how often its keys have changed
    count INTEGER NOT NULL       -- how many keys it has
);
-- The version that was given out last.
CREATE TABLE backup_versions (one INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE backup_keys (
    version INTEGER, room TEXT, session TEXT,
    is_verified INTEGER NOT NULL,
    first_message_index INTEGER NOT NULL,
    forwarded_count INTEGER NOT NULL,
    session_data TEXT NOT NULL,  -- JSON, as a client encrypted it
    PRIMARY KEY (version, room, session)
) WITHOUT ROWID;
", "
ALTER TABLE devices ADD COLUMN gone INTEGER NOT NULL DEFAULT 0; -- whether it was removed: what it sends late is refused
UPDATE devices SET gone = 1 WHERE keys IS NULL; -- from here on it may also have published none
-- A key that was claimed is known for a while, so that it does not come again (ms).
ALTER TABLE one_time_keys ADD COLUMN claimed_at INTEGER;
-- When a change of the cross-signing keys was noted last (ms); how many changes were noted, and up to which of them our
-- users were told.
ALTER TABLE remote ADD COLUMN signing_at INTEGER;
ALTER TABLE remote ADD COLUMN noted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE remote ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
-- Until when somebody asks that server for the whole list (ms), if somebody does.
CREATE TABLE asking (one INTEGER PRIMARY KEY, until INTEGER NOT NULL);
-- The servers that asked for the whole list a while ago: they may hold it, and are told of changes like those that are
-- known to be in a room with the user.
CREATE TABLE holders (server TEXT PRIMARY KEY, asked_at INTEGER NOT NULL) WITHOUT ROWID;
-- There is a row once the account is deactivated: what comes late is refused.
CREATE TABLE deactivated (one INTEGER PRIMARY KEY);
", "
-- D1 has a copy of this version; since when somebody has to be told of a change (ms).
ALTER TABLE list ADD COLUMN copied INTEGER NOT NULL DEFAULT 0;
ALTER TABLE list ADD COLUMN untold_since INTEGER;
"];
