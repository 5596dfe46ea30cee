-- What the profiles of our users have beside display names and avatars: a row for each field, whose value is JSON.
CREATE TABLE profile_fields (
    localpart TEXT,
    name TEXT,
    value TEXT NOT NULL,
    PRIMARY KEY (localpart, name)
) STRICT, WITHOUT ROWID;
