-- The presence of users, as others are told of it: a copy for who begins to poll, for who comes to share a room, and for
-- who was away. Of other servers' users it is what their servers said, while they share a room with one of ours.
CREATE TABLE presences (
    user TEXT PRIMARY KEY,
    local INTEGER NOT NULL,      -- whether the user is ours
    state TEXT NOT NULL,
    status_msg TEXT,
    active_ts INTEGER,
    currently_active INTEGER NOT NULL,
    told_ts INTEGER NOT NULL     -- when it was told last: the later one holds
) STRICT, WITHOUT ROWID;

CREATE INDEX presences_told ON presences (told_ts);
