-- Who is joined or invited in the rooms in which one of our users is joined: a copy, kept by each room's telling, for
-- questions that name no room.
CREATE TABLE room_members (
    user TEXT,
    room_id TEXT,
    joined INTEGER NOT NULL,     -- 0: only invited
    local INTEGER NOT NULL,      -- whether the user is ours
    since INTEGER NOT NULL,      -- when the row was written last: after every change of the membership
    PRIMARY KEY (user, room_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX room_members_local ON room_members (room_id, user) WHERE local = 1 AND joined = 1;

CREATE INDEX room_servers_room ON room_servers (room_id);
