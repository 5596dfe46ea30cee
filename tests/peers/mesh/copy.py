"""What does a server hold of a room, shown to its users or not? Read from its own tables, only to explain what it shows."""

import json
import sqlite3
import struct
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from server import Server
from synapse import Synapse

# As our rooms store it (`Verdict`).
_STANDINGS = ("accepted", "soft-failed", "rejected", "outlier")

_STUCK = """SELECT event_id FROM event_backward_extremities WHERE room_id = ?1 AND EXISTS (
              SELECT 1 FROM event_failed_pull_attempts WHERE room_id = ?1 AND last_cause LIKE '%valid state history%')"""


_LOCKED_OUT = """SELECT known.user_id, known.event_id FROM local_current_membership AS known JOIN events USING (event_id)
                 LEFT JOIN current_state_events AS now ON now.room_id = known.room_id AND now.state_key = known.user_id AND now.type = 'm.room.member'
                 WHERE known.room_id = ? AND known.membership <> 'join' AND (now.membership = 'join' OR outlier)"""


@dataclass(frozen=True)
class Held:
    """An event as it came, and what a server made of it."""

    pdu: dict
    standing: str
    reason: str | None
    # In which order they were heard of.
    order: int


@dataclass
class Copy:
    """A server's copy of a room."""

    events: dict[str, Held] = field(default_factory=dict)
    tips: frozenset[str] = frozenset()
    is_synapse: bool = False
    # Our joins that another server may have taken: when it is asked again, it says so.
    joining: frozenset[str] = frozenset()
    # Redactions whose senders had not the level in some state that Synapse checked: it shows only what they say of their own
    # server's events.
    distrusted: frozenset[str] = frozenset()
    # What Synapse made on top of an invite before it knew what that builds on.
    blind: frozenset[str] = frozenset()
    # Where Synapse's history ends, though it has asked for more and was not given what it needs to read that.
    stuck_at: frozenset[str] = frozenset()
    # Synapse's users whom it takes for gone by an event that is none of its state, such as an invite that crossed their join;
    # each with that event.
    locked_out: dict[str, str] = field(default_factory=dict)


def copy(server: Server, room: str) -> Copy:
    """What a server holds of a room; nothing if it does not know it."""
    return _of_synapse(server.folder, room) if isinstance(server, Synapse) else _of_ours(server.folder, room)


def _of_ours(folder: Path, room: str) -> Copy:
    path = _file(folder, room)
    if path is None:
        return Copy()
    with closing(_open(path)) as database:
        rows = database.execute("SELECT sn, id, verdict, reason, json FROM events").fetchall()
        (packed,) = database.execute("SELECT tips FROM room").fetchone()
        ids = {sn: event_id for sn, event_id, *_ in rows}
        events = {event_id: Held(json.loads(text), _STANDINGS[verdict], reason, sn) for sn, event_id, verdict, reason, text in rows}
        tips = frozenset(ids[sn] for (sn,) in struct.iter_unpack("<I", packed))
        return Copy(events, tips, joining=_column(database, "SELECT id FROM joining"))


_files: dict[tuple[Path, str], Path] = {}


def _file(folder: Path, room: str) -> Path | None:
    """Where one of our servers keeps a room."""
    if (folder, room) not in _files:
        for path in (folder / "data/v3/do/tombolo-RoomObject").glob("*.sqlite"):
            with closing(_open(path)) as database:
                if _is_of(database, room):
                    _files[folder, room] = path
    return _files.get((folder, room))


def _is_of(database: sqlite3.Connection, room: str) -> bool:
    """Whether an object is the room's; one file beside them is of none."""
    has_room = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'room'").fetchone()
    return bool(has_room and database.execute("SELECT 1 FROM room WHERE id = ?", (room,)).fetchone())


def _of_synapse(folder: Path, room: str) -> Copy:
    with closing(_open(folder / "homeserver.db")) as database:
        query = """SELECT event_id, json, internal_metadata, outlier, rejection_reason, stream_ordering
                   FROM events JOIN event_json USING (event_id) WHERE events.room_id = ?"""
        events, invites, distrusted = {}, set(), set()
        for event_id, text, metadata, outlier, rejection, order in database.execute(query, (room,)):
            known = json.loads(metadata)
            soft_failed = known.get("soft_failed")
            invites |= {event_id} if known.get("out_of_band_membership") else set()
            distrusted |= {event_id} if known.get("recheck_redaction") else set()
            standing = "rejected" if rejection else "soft-failed" if soft_failed else "outlier" if outlier else "accepted"
            events[event_id] = Held(json.loads(text), standing, rejection, order)
        tips = _column(database, "SELECT event_id FROM event_forward_extremities WHERE room_id = ?", room)
        blind = frozenset(event_id for event_id, held in events.items() if invites & set(held.pdu["prev_events"]))
        stuck_at, locked_out = _column(database, _STUCK, room), dict(database.execute(_LOCKED_OUT, (room,)))
        return Copy(events, tips, is_synapse=True, distrusted=frozenset(distrusted), blind=blind, stuck_at=stuck_at, locked_out=locked_out)


def _column(database: sqlite3.Connection, query: str, *values: str) -> frozenset[str]:
    return frozenset(value for (value,) in database.execute(query, values))


def _open(path: Path) -> sqlite3.Connection:
    """Opened to read only, as it is at the first question: its server writes meanwhile."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10, isolation_level=None)
    database.execute("BEGIN")
    return database
