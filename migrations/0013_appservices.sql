-- The application services that operators have registered.
CREATE TABLE appservices (
    id TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,  -- SHA-256 of the token with which the service asks us, in hexadecimal
    hs_token TEXT NOT NULL,           -- the token with which we ask it, sealed by the server's secret
    registration TEXT NOT NULL        -- the rest, as JSON
) STRICT, WITHOUT ROWID;
