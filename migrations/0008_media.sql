-- What is kept in R2. An object whose hash is not known is being written, or nobody has it any more.
CREATE TABLE media_contents (
    key TEXT PRIMARY KEY,        -- of the object in R2
    sha256 TEXT UNIQUE,
    since INTEGER NOT NULL       -- without a hash: a day later the object is removed
) STRICT, WITHOUT ROWID;

CREATE INDEX media_contents_left ON media_contents (since) WHERE sha256 IS NULL;

-- What was uploaded here, and what was fetched from other servers.
CREATE TABLE media (
    server TEXT,
    media_id TEXT,
    localpart TEXT,              -- who uploads it; NULL: it is another server's
    content TEXT,                -- key of media_contents; NULL: not uploaded yet
    size INTEGER NOT NULL,
    content_type TEXT,
    filename TEXT,
    created_ts INTEGER NOT NULL,
    expires_ts INTEGER,          -- until when it may be uploaded, where it was only created
    accessed_ts INTEGER NOT NULL,  -- to a day
    authenticated INTEGER NOT NULL,  -- whether only who is logged in may read it
    quarantined INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (server, media_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX media_content ON media (content) WHERE content IS NOT NULL;
CREATE INDEX media_local ON media (localpart) WHERE localpart IS NOT NULL;
CREATE INDEX media_pending ON media (localpart, expires_ts) WHERE content IS NULL;
CREATE INDEX media_cached ON media (accessed_ts) WHERE localpart IS NULL;
