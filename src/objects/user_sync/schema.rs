//! How is a user stored in SQLite?
//!
//! The stream is the user's own order of news; a sync token is a position in it. Its rows are ranges of rooms.

/// The numbered steps; the missing ones run inside the first transaction that finds them missing.
pub const STEPS: &[&str] = &["
CREATE TABLE devices (device TEXT PRIMARY KEY, display_name TEXT, last_seen INTEGER) WITHOUT ROWID;
CREATE TABLE sessions (session TEXT PRIMARY KEY, device TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE stream (
    pos INTEGER PRIMARY KEY,
    room TEXT NOT NULL,
    since INTEGER NOT NULL,      -- room positions: from here, exclusive
    upto INTEGER NOT NULL,       --                 to here, inclusive
    membership TEXT NOT NULL,    -- the user's, at `upto`
    stripped TEXT                -- for invites and knocks
);
CREATE TABLE typing (room TEXT PRIMARY KEY, pos INTEGER NOT NULL, users TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE account_data (room TEXT, type TEXT, pos INTEGER NOT NULL, content TEXT NOT NULL, PRIMARY KEY (room, type)) WITHOUT ROWID;
CREATE TABLE filters (id INTEGER PRIMARY KEY, filter TEXT NOT NULL UNIQUE);
CREATE TABLE forgotten (room TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE checkpoint (
    part INTEGER PRIMARY KEY,
    pos INTEGER NOT NULL,        -- every row of the stream up to here is in it
    rooms TEXT NOT NULL          -- JSON: room, pos, upto, membership of its last row
);
", "
-- There is a row once the account is deactivated.
CREATE TABLE deactivated (
    one INTEGER PRIMARY KEY,
    erase INTEGER NOT NULL,      -- whether who joins a room later is not shown what the user said there
    attempts INTEGER NOT NULL,   -- how often the rooms were tried to be left
    retry_at INTEGER             -- when they are tried next (ms); NULL: the user is in none any more
);
", "
ALTER TABLE sessions ADD COLUMN expires_at INTEGER;  -- (ms); NULL: never
-- The session that was refreshed, and ends when this one is used.
ALTER TABLE sessions ADD COLUMN replaces TEXT;
-- Which refresh token belongs to which session.
CREATE TABLE refreshes (refresh TEXT PRIMARY KEY, session TEXT NOT NULL) WITHOUT ROWID;
", "
-- The tokens with which another device may log in, once each, until they expire (ms).
CREATE TABLE login_tokens (token TEXT PRIMARY KEY, expires_at INTEGER NOT NULL) WITHOUT ROWID;
", "
-- In which ranges of a room users came or went whose devices the user has to know, or has no more.
CREATE TABLE shares (
    pos INTEGER PRIMARY KEY,
    room TEXT NOT NULL,
    since INTEGER NOT NULL,      -- room positions: from here, exclusive
    upto INTEGER NOT NULL        --                 to here, inclusive
);
CREATE INDEX shares_of_room ON shares (room, pos);
", "
-- Which device of its name it is: names are used again.
ALTER TABLE devices ADD COLUMN born INTEGER NOT NULL DEFAULT 0;
CREATE TABLE births (one INTEGER PRIMARY KEY, last INTEGER NOT NULL);
-- Devices that are gone and whose keys have yet to be dropped.
CREATE TABLE removed (device TEXT, born INTEGER, PRIMARY KEY (device, born)) WITHOUT ROWID;
-- What each device has left of one-time keys (JSON).
CREATE TABLE key_counts (device TEXT PRIMARY KEY, version INTEGER NOT NULL, counts TEXT NOT NULL) WITHOUT ROWID;
-- The messages that a device has not said it has got.
CREATE TABLE to_device (device TEXT, pos INTEGER, event TEXT NOT NULL, PRIMARY KEY (device, pos)) WITHOUT ROWID;
-- The messages that came, by the day on which they did: one that comes again has no effect.
CREATE TABLE deposited (day INTEGER, id TEXT, PRIMARY KEY (day, id)) WITHOUT ROWID;
-- The end of the stream, where the rows that it was given to are gone.
CREATE TABLE stream_end (one INTEGER PRIMARY KEY, pos INTEGER NOT NULL);
-- Whose devices or keys changed.
CREATE TABLE device_changes (user TEXT PRIMARY KEY, pos INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX device_changes_by ON device_changes (pos);
", "
-- The device that waits for a login that can use it; `device_data` is JSON.
CREATE TABLE dehydrated_device (one INTEGER PRIMARY KEY, device TEXT NOT NULL, device_data TEXT NOT NULL);
", "
-- Of what the user is notified in each room.
CREATE TABLE unread (
    room TEXT PRIMARY KEY,
    pos INTEGER NOT NULL,        -- of the stream, where `counts` changed last
    counts TEXT NOT NULL,        -- JSON: by thread, what is unread
    newest INTEGER NOT NULL,     -- the number of the newest notice
    notices TEXT NOT NULL        -- JSON
) WITHOUT ROWID;
CREATE TABLE pushers (
    app_id TEXT,
    pushkey TEXT,
    device TEXT NOT NULL,
    pusher TEXT NOT NULL,        -- JSON, as clients are shown it
    set_ts INTEGER NOT NULL,     -- (s)
    sent INTEGER NOT NULL,       -- the number of the last notice that was sent
    unread INTEGER NOT NULL,     -- the count that was sent last
    failing_since INTEGER,       -- (ms)
    attempts INTEGER NOT NULL DEFAULT 0,
    retry_at INTEGER,            -- (ms)
    PRIMARY KEY (app_id, pushkey)
) WITHOUT ROWID;
", "
-- When something last happened in the room that the user was told of (ms), and what lists of rooms are filtered by (JSON).
ALTER TABLE stream ADD COLUMN active INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN traits TEXT;
-- What a device was sent over each of its connections.
CREATE TABLE connections (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    name TEXT NOT NULL,          -- as the device calls the connection
    used_at INTEGER NOT NULL,    -- (ms)
    sent TEXT NOT NULL           -- JSON
);
CREATE INDEX connections_of ON connections (device, name);
", "
-- The threads that the user is or was subscribed to.
CREATE TABLE thread_subscriptions (
    room TEXT,
    root TEXT,                   -- the event with which the thread begins
    pos INTEGER NOT NULL,        -- of the stream, where this changed last
    automatic INTEGER,           -- whether a client subscribed by itself; NULL: the user has unsubscribed,
    unsubscribed_at INTEGER,     -- when the room's timeline ended here
    PRIMARY KEY (room, root)
) WITHOUT ROWID;
CREATE INDEX thread_subscriptions_by ON thread_subscriptions (pos);
", "
-- What operators have done to the account.
CREATE TABLE moderation (one INTEGER PRIMARY KEY, locked INTEGER NOT NULL, suspended INTEGER NOT NULL);
", "
-- The events that are sent later, and for a while those that were.
CREATE TABLE delayed_events (
    delay_id TEXT PRIMARY KEY,
    device TEXT NOT NULL,
    txn TEXT,                    -- the transaction that scheduled it, if it had one
    scope TEXT,
    room TEXT NOT NULL,
    type TEXT NOT NULL,
    state_key TEXT,
    delay INTEGER NOT NULL,      -- (ms)
    delayed_since INTEGER NOT NULL,  -- (ms)
    taken_until INTEGER,         -- (ms) somebody sends it; from then on it is given out again
    attempts INTEGER NOT NULL DEFAULT 0,
    finalised_ts INTEGER,        -- (ms)
    event TEXT,                  -- the ID of what was sent
    failure TEXT,                -- JSON
    content TEXT NOT NULL        -- last: it may be large
);
", "
-- What is known of the user's presence, as it was written last.
CREATE TABLE presence (
    one INTEGER PRIMARY KEY,
    devices TEXT NOT NULL,       -- JSON: by device, what those say that are not offline
    status_msg TEXT,
    active_ts INTEGER NOT NULL,  -- when the user was last active, or a few minutes before (ms)
    told TEXT NOT NULL,          -- JSON: what others were told last
    told_ts INTEGER NOT NULL,    -- and when (ms)
    spent INTEGER NOT NULL       -- up to when the tellings so far are spread (ms)
);
", "
-- In which room a user of the server's own writes to this one.
CREATE TABLE notice_rooms (sender TEXT PRIMARY KEY, room TEXT NOT NULL) WITHOUT ROWID;
", "
-- How often the user may do something, where an operator set it.
CREATE TABLE rate_limit (one INTEGER PRIMARY KEY, per_second INTEGER NOT NULL, burst INTEGER NOT NULL);
"];
