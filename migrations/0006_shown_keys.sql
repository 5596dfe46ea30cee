-- What others are shown of the keys of our users: a copy, kept by the telling of each change.
CREATE TABLE shown_keys (
    localpart TEXT PRIMARY KEY,
    version INTEGER NOT NULL,    -- of the user's list of devices
    shown TEXT                   -- JSON; NULL: too long, the object of the user's keys is asked
) STRICT, WITHOUT ROWID;
