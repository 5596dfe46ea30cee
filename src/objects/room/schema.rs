//! How is a room stored in SQLite?
//!
//! Two numbers name an event inside: `sn`, which every event we hold has, and `pos`, its place in the one timeline that
//! clients see, which only accepted events have. State is an interval log: a value of `now` holds from `since` on, a
//! value of `past` from `since` until before `until`, so the state at any position is a look-up and nothing is ever
//! snapshotted. What deviates from it (the state before an event on a fork) is an overlay in `forks`.

/// The numbered steps; the missing ones run inside the first transaction that finds them missing.
pub const STEPS: &[&str] = &["
CREATE TABLE room (
    one INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    version TEXT NOT NULL,
    life TEXT NOT NULL,
    tips BLOB NOT NULL,          -- packed sn: the forward extremities
    pos INTEGER NOT NULL,        -- the last position given out
    told INTEGER NOT NULL,       -- every follower was told up to here, but for those in `lagging`
    joined INTEGER NOT NULL,
    invited INTEGER NOT NULL,
    floor INTEGER NOT NULL       -- the depth of the join by which we are here: what is below it is history
);
CREATE TABLE events (
    sn INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    pos INTEGER,
    verdict INTEGER NOT NULL,    -- see Verdict
    reason TEXT,
    height INTEGER NOT NULL,     -- longest path in the auth graph
    auth BLOB NOT NULL,          -- packed sn
    prev BLOB NOT NULL,          -- packed sn, of those we hold
    at INTEGER,                  -- state before = mainline at this position,
    fork INTEGER,                --                overlaid by this fork
    ours INTEGER NOT NULL,       -- whether we tell other servers
    given_by TEXT,               -- the server that gave it to us to tell, which is not told
    redacted_by INTEGER,         -- sn
    sender TEXT,                 -- these three only with a transaction ID
    device TEXT,
    txn TEXT,
    json TEXT NOT NULL
);
CREATE UNIQUE INDEX events_pos ON events (pos) WHERE pos IS NOT NULL;
CREATE UNIQUE INDEX events_txn ON events (sender, device, txn) WHERE txn IS NOT NULL;
CREATE TABLE now (type TEXT, key TEXT, sn INTEGER NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (type, key)) WITHOUT ROWID;
CREATE TABLE past (
    type TEXT, key TEXT, until INTEGER, since INTEGER NOT NULL, sn INTEGER NOT NULL, PRIMARY KEY (type, key, until)
) WITHOUT ROWID;
CREATE TABLE fork (fork INTEGER PRIMARY KEY, parent INTEGER, depth INTEGER NOT NULL);
CREATE TABLE forks (fork INTEGER, type TEXT, key TEXT, sn INTEGER, PRIMARY KEY (fork, type, key)) WITHOUT ROWID;
CREATE TABLE holes (child INTEGER PRIMARY KEY, missing TEXT NOT NULL);  -- JSON array of event IDs nobody gave us yet; empty: filled
-- `members` is -1 where a server is only told that we left: it was never in the room.
CREATE TABLE servers (server TEXT, since INTEGER, until INTEGER, members INTEGER NOT NULL, PRIMARY KEY (server, since)) WITHOUT ROWID;
CREATE TABLE locals (user TEXT PRIMARY KEY, membership TEXT NOT NULL, pos INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE parked (
    id TEXT PRIMARY KEY, origin TEXT NOT NULL, attempts INTEGER NOT NULL, retry_at INTEGER NOT NULL,
    known INTEGER NOT NULL,      -- whether its origin, or its sender's server, is or was in the room
    bytes INTEGER NOT NULL, json TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX parked_by ON parked (known, origin, bytes);
CREATE INDEX parked_due ON parked (retry_at);
CREATE TABLE awaited (id TEXT, parked TEXT, PRIMARY KEY (id, parked)) WITHOUT ROWID;  -- what each parked event lacks
CREATE INDEX awaited_by ON awaited (parked);
CREATE TABLE redactions (target TEXT, sn INTEGER, PRIMARY KEY (target, sn)) WITHOUT ROWID;
CREATE TABLE lagging (follower TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE receipts (
    user TEXT, kind TEXT, thread TEXT, event TEXT NOT NULL, ts INTEGER NOT NULL, pos INTEGER NOT NULL,
    PRIMARY KEY (user, kind, thread)
) WITHOUT ROWID;
CREATE TABLE typing (user TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE out_of_band (
    user TEXT PRIMARY KEY, id TEXT NOT NULL, membership TEXT NOT NULL, via TEXT NOT NULL, stripped TEXT NOT NULL,
    json TEXT NOT NULL, pos INTEGER NOT NULL,
    ended INTEGER NOT NULL       -- whether a server in the room knows that this event holds no longer
) WITHOUT ROWID;
CREATE TABLE joining (
    id TEXT PRIMARY KEY, user TEXT NOT NULL,
    version TEXT NOT NULL,       -- of the room, as the server said that was chosen
    via TEXT NOT NULL,           -- the servers that may know its end, apart by spaces; the first was chosen to take it
    json TEXT NOT NULL,
    active INTEGER NOT NULL,     -- whether somebody is at it, until its lease is over
    attempts INTEGER NOT NULL,   -- how often nobody knew how it ended
    until INTEGER NOT NULL       -- when the lease is over, or the server is asked again
) WITHOUT ROWID;
-- The state we were given, while joining.
CREATE TABLE given (type TEXT, key TEXT, sn INTEGER NOT NULL, PRIMARY KEY (type, key)) WITHOUT ROWID;
-- What was left out of it, since nobody could verify it, or what it cites, then; `since` is where that state begins.
CREATE TABLE left_out (id TEXT PRIMARY KEY, since INTEGER) WITHOUT ROWID;
", "
-- When the leave that ends an invite or knock is told again (ms), and how often it was.
ALTER TABLE out_of_band ADD COLUMN retry_at INTEGER;
ALTER TABLE out_of_band ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
-- The server through which we joined last.
ALTER TABLE room ADD COLUMN resident TEXT;
-- The same of a state that was given for one event.
CREATE TABLE left_out_of_fork (id TEXT, fork INTEGER, PRIMARY KEY (id, fork)) WITHOUT ROWID;
", "
-- A transaction ID is unique within the rest of its request's path, the scope; NULL where it was not noted.
ALTER TABLE events ADD COLUMN scope TEXT;
DROP INDEX events_txn;
CREATE UNIQUE INDEX events_txn ON events (sender, device, txn, scope) WHERE txn IS NOT NULL;
-- What our users annotated, and by which event.
CREATE TABLE annotations (target TEXT, user TEXT, type TEXT, key TEXT, sn INTEGER NOT NULL, PRIMARY KEY (target, user, type, key)) WITHOUT ROWID;
", "
-- Both columns are read no more: see `derived`.
ALTER TABLE left_out_of_fork ADD COLUMN at INTEGER;
ALTER TABLE left_out_of_fork ADD COLUMN parents TEXT;
", "
CREATE INDEX left_out_forks ON left_out_of_fork (fork);
-- The states that come from one of which something is left out, with the events after which they are (JSON, sn).
CREATE TABLE derived (fork INTEGER PRIMARY KEY, parents TEXT NOT NULL);
INSERT INTO derived SELECT fork, max(parents) FROM left_out_of_fork WHERE parents IS NOT NULL GROUP BY fork;
", "
-- The content by which the rules judge with a redacted event, where they read more than what is left; shown to nobody.
ALTER TABLE events ADD COLUMN judged TEXT;
", "
-- The text of answers that are too large for a Worker, until their events are stored or their time is up (ms).
CREATE TABLE kept (answer INTEGER, part INTEGER, until INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (answer, part));
", "
-- When what is left out is asked for again (ms), how often it was, and which was the last.
CREATE TABLE wanted (one INTEGER PRIMARY KEY, retry_at INTEGER NOT NULL, attempts INTEGER NOT NULL, upto TEXT NOT NULL);
", "
-- Local users of whose messages those see nothing who came into the room after this position.
CREATE TABLE erased (user TEXT PRIMARY KEY, pos INTEGER NOT NULL) WITHOUT ROWID;
", "
-- Whose membership changed where, from what to what (NULL: none). The user `*` says that everybody may have come there.
CREATE TABLE moves (pos INTEGER, user TEXT, was TEXT, became TEXT, PRIMARY KEY (pos, user)) WITHOUT ROWID;
-- Of an older room D1 has no copy yet, and our users are to be told of everybody in it.
INSERT INTO moves (pos, user) SELECT pos, '*' FROM room WHERE life = 'live';
INSERT INTO lagging (follower, since) SELECT 'room_members', 0 FROM room WHERE life = 'live';
", "
-- What events of the timeline say of others.
CREATE TABLE relations (
    target TEXT, rel_type TEXT, pos INTEGER,
    sn INTEGER NOT NULL, type TEXT NOT NULL, sender TEXT NOT NULL, ts INTEGER NOT NULL,
    PRIMARY KEY (target, rel_type, pos)
) WITHOUT ROWID;
CREATE INDEX relations_threads ON relations (pos) WHERE rel_type = 'm.thread';
-- Up to which event (sn) the relations of an older room have still to be noted.
CREATE TABLE relations_due (one INTEGER PRIMARY KEY, sn INTEGER NOT NULL);
INSERT INTO relations_due SELECT 1, sn FROM events ORDER BY sn DESC LIMIT 1;
", "
-- When each event of the timeline was sent, by its sender's clock.
CREATE TABLE times (ts INTEGER, pos INTEGER, PRIMARY KEY (ts, pos)) WITHOUT ROWID;
-- Up to which event (sn) an index that is made on demand goes.
CREATE TABLE indexed (name TEXT PRIMARY KEY, sn INTEGER NOT NULL) WITHOUT ROWID;
", "
-- What people said, and what rooms were called, by words; without the text itself.
CREATE VIRTUAL TABLE words USING fts5 (body, name, topic, content = '', contentless_delete = 1, tokenize = 'porter unicode61');
", "
-- Whether the server's directory has the room, and what D1's copy of public rooms is to hold of it.
CREATE TABLE directory (
    one INTEGER PRIMARY KEY,
    published INTEGER NOT NULL,
    entry TEXT,                  -- JSON
    version INTEGER NOT NULL,    -- of the entry
    copied INTEGER NOT NULL      -- the version that the copy is known to hold
);
", "
-- That nobody comes into the room through this server any more, and which operator wants that.
CREATE TABLE blocked (one INTEGER PRIMARY KEY, user TEXT NOT NULL);
-- What operators did to delete the room, and how far that is.
CREATE TABLE deletions (
    id TEXT PRIMARY KEY,
    began INTEGER NOT NULL,      -- when (ms)
    active INTEGER NOT NULL,     -- whether it is to go on: one at a time is
    attempts INTEGER NOT NULL,   -- how often users could not be removed
    retry_at INTEGER NOT NULL,   -- when it goes on (ms)
    body TEXT NOT NULL           -- JSON
) WITHOUT ROWID;
-- Of a room that was purged: our events since its deletion began, for who was out of reach.
CREATE TABLE farewells (pos INTEGER PRIMARY KEY, json TEXT NOT NULL);
"];
