-- What of our rooms strangers may find: a copy, kept by each room's telling, for questions that name no room. A room that
-- was never open and never published has no row; one that is so no more keeps its row, so that an older version is not
-- written over it.
CREATE TABLE public_rooms (
    room_id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,    -- the higher one is newer
    open INTEGER NOT NULL,       -- whether anybody may join or read the room
    members INTEGER,             -- how many are joined; NULL: the room is not published
    federates INTEGER NOT NULL,
    room_type TEXT,
    searched TEXT NOT NULL,      -- what a search looks through, in lower case
    summary TEXT                 -- JSON; NULL: the room is not published
) STRICT, WITHOUT ROWID;
