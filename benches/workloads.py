"""What is timed of rooms? Three workloads; each makes users and a room of its own, so that no run sees another's.

https://spec.matrix.org/v1.19/client-server-api/
"""

import secrets
import time
from collections.abc import Callable, Iterable
from statistics import median

from connection import Connection, Failed, User, ready
from server import Server

SENDS = 300
CLIENTS = 8
SENDS_EACH = 40
NOTICED = 60
# Long enough for a poll to be in place at either server.
SETTLED = 0.03


def people(server: Server, count: int) -> tuple[str, list[User]]:
    """New users in a new room."""
    users = [User(server, f"bench-{secrets.token_hex(6)}") for _ in range(count)]
    room = users[0].create_room()
    for user in users[1:]:
        user.join(room)
    return room, users


def leave(connections: Iterable[Connection]) -> None:
    """Hangs up, so that nothing of this run goes on in the next."""
    for connection in connections:
        connection.close()


def sequential(server: Server) -> float:
    """Milliseconds a send, when one client sends one message after the other."""
    room, [alice] = people(server, 1)
    for _ in range(10):
        alice.send(room)
    start = time.perf_counter()
    for _ in range(SENDS):
        alice.send(room)
    took = time.perf_counter() - start
    leave([alice])
    return took * 1000 / SENDS


def at_once(connections: list[Connection], each: int, ask: Callable[[Connection], None]) -> float:
    """Seconds until each of these has asked so often, all at once, and got its answers."""
    left = {connection: each for connection in connections}
    start = time.perf_counter()
    for connection in connections:
        ask(connection)
    while left:
        for connection in ready(list(left)):
            connection.answer()
            left[connection] -= 1
            if left[connection]:
                ask(connection)
            else:
                del left[connection]
    return time.perf_counter() - start


def together(server: Server) -> float:
    """Messages a second, when eight clients send to one room at once."""
    room, users = people(server, CLIENTS)
    for user in users:
        user.send(room)
    took = at_once(users, SENDS_EACH, lambda user: user.ask_send(room))
    leave(users)
    return CLIENTS * SENDS_EACH / took


class Poll:
    """A client that waits in `/sync` with the default filter."""

    def __init__(self, user: User):
        self.connection: Connection = user.again()
        self._since = self.connection.call("GET", "/_matrix/client/v3/sync?timeout=0")["next_batch"]
        # Some servers have more to say at once: only a poll that waits is of use.
        while self._grows():
            pass

    def _grows(self) -> bool:
        answer = self.connection.call("GET", f"/_matrix/client/v3/sync?timeout=50&since={self._since}")
        grown, self._since = answer["next_batch"] != self._since, answer["next_batch"]
        return grown

    def ask(self) -> None:
        """Starts to wait."""
        self.connection.ask("GET", f"/_matrix/client/v3/sync?timeout=30000&since={self._since}")

    def take(self, room: str) -> set[str]:
        """The events of the answer."""
        answer = self.connection.answer()
        self._since = answer["next_batch"]
        joined = answer.get("rooms", {}).get("join", {}).get(room, {})
        return {event["event_id"] for event in joined.get("timeline", {}).get("events", [])}


def noticed(server: Server) -> float:
    """Milliseconds from a send to another client's `/sync`, while the sender's own waits, too; the median."""
    room, [alice, bob] = people(server, 2)
    polls = [Poll(alice), Poll(bob)]
    for poll in polls:
        poll.ask()
    times = []
    for _ in range(NOTICED):
        time.sleep(SETTLED)
        times.append(_notice(room, alice, polls))
    leave([alice, bob, *(poll.connection for poll in polls)])
    return median(times)


def _notice(room: str, alice: User, polls: list[Poll]) -> float:
    """One message, until both have seen it; how long the other took, whose poll is the last."""
    by_connection = {poll.connection: poll for poll in polls}
    start = time.perf_counter()
    alice.ask_send(room)
    event_id, seen = None, {poll: set() for poll in polls}
    took = 0.0
    while event_id is None or any(event_id not in events for events in seen.values()):
        waiting: list[Connection] = [poll.connection for poll in polls] + ([alice] if event_id is None else [])
        readable = ready(waiting)
        now = time.perf_counter()
        if not readable:
            raise Failed("a message was not seen")
        for connection in readable:
            if connection is alice:
                event_id = alice.answer()["event_id"]
                continue
            poll = by_connection[connection]
            events = poll.take(room)
            poll.ask()
            if events and poll is polls[-1]:
                took = (now - start) * 1000
            seen[poll] |= events
    return took
