-- What an operator's list of rooms is ordered by and searched through (JSON); NULL: nothing is held of the room. So every
-- room of which something is held has a row, also one that was never open and never published.
ALTER TABLE public_rooms ADD COLUMN overview TEXT;
-- The list of published rooms does not look through the others.
CREATE INDEX public_rooms_published ON public_rooms (members DESC, room_id) WHERE members IS NOT NULL;
