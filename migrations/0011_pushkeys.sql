-- Whose pushers have a key: a user who sets one takes it from the others.
CREATE TABLE pushkeys (
    app_id TEXT,
    pushkey TEXT,
    localpart TEXT,
    PRIMARY KEY (app_id, pushkey, localpart)
) STRICT, WITHOUT ROWID;
