-- Tokens by which accounts may be made. `uses_allowed` NULL: any number; `expires_ts` NULL: never.
CREATE TABLE registration_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL UNIQUE,
    uses_allowed INTEGER,
    expires_ts INTEGER
) STRICT;
-- The token by which an account was made: how often a token was used is how many accounts have it.
ALTER TABLE accounts ADD COLUMN token_id INTEGER;
CREATE INDEX accounts_by_token ON accounts (token_id) WHERE token_id IS NOT NULL;
