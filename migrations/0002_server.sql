-- Who this server is: a deployment that disagrees is refused (local/deploy/facts.mjs).
CREATE TABLE server (
    fact TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
