CREATE TABLE accounts (
    localpart TEXT PRIMARY KEY,
    password_hash TEXT,          -- PHC string; NULL: no login by password
    admin INTEGER NOT NULL,
    created_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE profiles (
    localpart TEXT PRIMARY KEY,
    displayname TEXT,
    avatar_url TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE aliases (
    alias TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    creator TEXT NOT NULL,
    created_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX aliases_room ON aliases (room_id);

CREATE TABLE registration_nonces (
    nonce TEXT PRIMARY KEY,
    created_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which servers are in which rooms: a copy, kept by each room's telling, for questions that name no room.
CREATE TABLE room_servers (
    server TEXT,
    room_id TEXT,
    PRIMARY KEY (server, room_id)
) STRICT, WITHOUT ROWID;
