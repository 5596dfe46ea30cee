-- The display name in lower case of whatever script, for searches.
ALTER TABLE profiles ADD COLUMN searched TEXT;
UPDATE profiles SET searched = lower(displayname) WHERE displayname IS NOT NULL;
-- What our users report to the operator.
CREATE TABLE reports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    reporter TEXT NOT NULL,
    received_ts INTEGER NOT NULL,
    room_id TEXT,                -- of a room, or of an event in it
    event_id TEXT,
    user TEXT,                   -- who is reported, or who sent the event
    reason TEXT,
    event TEXT                   -- as the reporter saw it (JSON): it may be redacted since
) STRICT;
CREATE INDEX reports_by_reporter ON reports (reporter);
