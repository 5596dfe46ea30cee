-- A deactivated account keeps its name, which nobody may have again.
ALTER TABLE accounts ADD COLUMN deactivated INTEGER NOT NULL DEFAULT 0;
