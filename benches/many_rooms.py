"""What is timed of a user in many rooms, and of files? Each server's user is made once: nothing here changes anything.

https://spec.matrix.org/v1.19/client-server-api/#syncing
"""

import itertools
import secrets
import time
from urllib.parse import quote

import usage
from connection import Connection, User
from server import Server
from workloads import CLIENTS, Poll, at_once, leave, people

ROOMS = 500
MESSAGES = 20
SYNCS = 20
FILE = 10_000_000
USERS = 30
POLLS_EACH = 10
# How long the polls wait (s) before they are weighed.
SETTLED = 5
# A word that one message of each room has.
WORD = "pelican"

SLIDING = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
# What Element X asks for of its room list, with a screen of rooms.
SCREEN = {
    "ranges": [[0, 19]],
    "timeline_limit": 20,
    "required_state": [
        ["m.room.name", ""],
        ["m.room.encryption", ""],
        ["m.room.member", "$LAZY"],
        ["m.room.member", "$ME"],
        ["m.room.topic", ""],
        ["m.room.canonical_alias", ""],
        ["m.room.power_levels", ""],
        ["m.room.create", ""],
    ],
}

_users: dict[Server, User] = {}


def _user(server: Server) -> User:
    """A user in 500 rooms, in each of which something was said."""
    if server in _users:
        return _users[server]
    user = _users[server] = User(server, f"bench-{secrets.token_hex(6)}")
    connections = [user.again() for _ in range(CLIENTS)]
    rooms: list[str] = []

    def create(connection: Connection) -> None:
        connection.ask("POST", "/_matrix/client/v3/createRoom", {"name": f"Room {len(rooms)}"})

    for connection in connections:
        create(connection)
    while len(rooms) < ROOMS:
        for connection in connections:
            rooms.append(connection.answer()["room_id"])
            create(connection)
    rooms += [connection.answer()["room_id"] for connection in connections]
    turns = itertools.cycle(rooms)
    numbers = itertools.count()

    def say(connection: Connection) -> None:
        number = next(numbers)
        word = WORD if number < len(rooms) else "message"
        path = f"/_matrix/client/v3/rooms/{quote(next(turns))}/send/m.room.message/{number}"
        connection.ask("PUT", path, {"msgtype": "m.text", "body": f"{word} {number} of a run of some length"})

    at_once(connections, len(rooms) * MESSAGES // CLIENTS, say)
    leave(connections)
    return user


def _each(server: Server, path: str, times: int = SYNCS) -> float:
    """Milliseconds a request, one after the other."""
    user = _user(server)
    start = time.perf_counter()
    for _ in range(times):
        user.call("GET", path)
    return (time.perf_counter() - start) * 1000 / times


def initial(server: Server) -> float:
    """Milliseconds a first `/sync`."""
    return _each(server, "/_matrix/client/v3/sync?timeout=0", 1)


def quiet(server: Server) -> float:
    """Milliseconds a `/sync` of a client that knows everything."""
    since = _user(server).call("GET", "/_matrix/client/v3/sync?timeout=0")["next_batch"]
    return _each(server, f"/_matrix/client/v3/sync?timeout=0&since={since}")


def screen(server: Server) -> float:
    """Milliseconds until a client that begins has a screen of its rooms, over a sliding sync."""
    user = _user(server)
    start = time.perf_counter()
    for _ in range(SYNCS):
        body = {"conn_id": secrets.token_hex(4), "lists": {"all": SCREEN}}
        assert len(user.call("POST", f"{SLIDING}?timeout=0", body)["rooms"]) >= MESSAGES
    return (time.perf_counter() - start) * 1000 / SYNCS


def found(server: Server) -> float:
    """Milliseconds a search in all rooms, for what was said once in each."""
    user = _user(server)
    criteria = {"search_term": WORD, "order_by": "recent"}
    body = {"search_categories": {"room_events": criteria}}
    user.call("POST", "/_matrix/client/v3/search", body)
    start = time.perf_counter()
    for _ in range(SYNCS):
        results = user.call("POST", "/_matrix/client/v3/search", body)["search_categories"]["room_events"]
        assert results["count"] >= ROOMS
    return (time.perf_counter() - start) * 1000 / SYNCS


def ten_megabytes(server: Server) -> float:
    """Milliseconds to upload 10 MB and to download them."""
    user = _user(server)
    content = secrets.token_bytes(FILE)
    start = time.perf_counter()
    user.ask("POST", "/_matrix/media/v3/upload", content)
    uri = user.answer()["content_uri"]
    user.ask("GET", f"/_matrix/client/v1/media/download/{uri.removeprefix('mxc://')}")
    got = user.content()
    took = (time.perf_counter() - start) * 1000
    assert got == content
    return took


def waiting(server: Server) -> float:
    """Megabytes that 300 idle long-polls of 30 users take."""
    _, users = people(server, USERS)
    before = usage.memory(server._process.pid)  # noqa: SLF001
    polls = [Poll(user) for user in users for _ in range(POLLS_EACH)]
    for poll in polls:
        poll.ask()
    time.sleep(SETTLED)
    took = usage.memory(server._process.pid) - before  # noqa: SLF001
    leave([*users, *(poll.connection for poll in polls)])
    return took
