"""What is billed for an action? Counted by our server itself, alarms and everything that follows included.

https://developers.cloudflare.com/durable-objects/platform/pricing/
"""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from connection import Connection, User
from server import Server
from workloads import Poll, people

# An alarm may come this much later, in seconds.
QUIET = 3.0
# An action is done so often, and the mean is taken.
APART = 4
AT_ONCE = 100

Units = dict[str, float]


@dataclass
class Action:
    """Something that is done, apart from everything else or as one of many at once."""

    name: str
    act: Callable[[], object]
    at_once: bool = False


class Meter:
    """The counters of a server that was started with UNITS=yes."""

    def __init__(self, server: Server):
        self._connection = Connection(server)
        self._asked = 0

    def count(self, action: Action) -> Units:
        """What one doing of it costs."""
        times = AT_ONCE if action.at_once else APART
        before = self._settled()
        for _ in range(times):
            action.act()
            if not action.at_once:
                self._settled()
        after = self._settled()
        return {name: (after[name] - before[name]) / times for name in after}

    def _settled(self) -> Units:
        """The counters when nothing has happened for a while."""
        last, since = self._read(), time.monotonic()
        while time.monotonic() - since < QUIET:
            time.sleep(0.2)
            if (now := self._read()) != last:
                last, since = now, time.monotonic()
        return last

    def _read(self) -> Units:
        """The counters, but for the questions for them."""
        self._asked += 1
        units = self._connection.call("GET", "/_tombolo/units")
        units["requests"] -= self._asked
        return units


class Waiting:
    """Users who wait in `/sync` for one message at a time."""

    def __init__(self, room: str, users: list[User]):
        self._room = room
        self._polls = [Poll(user) for user in users]

    def see(self, send: Callable[[], str]) -> None:
        """Sends while all wait, until all have seen it."""
        for poll in self._polls:
            poll.ask()
        time.sleep(0.2)
        event_id = send()
        for poll in self._polls:
            while event_id not in poll.take(self._room):
                poll.ask()


def measure(server: Server, peer: Server) -> Iterator[tuple[str, Units]]:
    """Every action and its units, one after the other."""
    meter = Meter(server)
    for group in (_sends, _watched, _syncs, _others, partial(_federated, peer=peer)):
        for action in group(server):
            yield action.name, meter.count(action)


def _sends(server: Server) -> list[Action]:
    alone, [alice] = people(server, 1)
    pair, [carol, _] = people(server, 2)
    return [
        Action("message, alone in the room", lambda: alice.send(alone)),
        Action("the same, one of a hundred at once", lambda: alice.send(alone), at_once=True),
        Action("message, two local users, nobody waits", lambda: carol.send(pair)),
        Action("the same, one of a hundred at once", lambda: carol.send(pair), at_once=True),
    ]


def _watched(server: Server) -> list[Action]:
    actions = []
    for count in (2, 8):
        room, users = people(server, count)
        waiting = Waiting(room, users)
        act = lambda room=room, users=users, waiting=waiting: waiting.see(lambda: users[0].send(room))  # noqa: E731
        actions.append(Action(f"message, {count} local users who all wait, seen by all", act))
    return actions


def _syncs(server: Server) -> list[Action]:
    _, [alice] = people(server, 1)
    since = alice.call("GET", "/_matrix/client/v3/sync?timeout=0")["next_batch"]
    ask = lambda timeout: alice.call("GET", f"/_matrix/client/v3/sync?timeout={timeout}&since={since}")  # noqa: E731
    return [
        Action("sync without news", lambda: ask(0), at_once=True),
        Action("sync that waits in vain", lambda: ask(2000)),
        Action("initial sync, one room", lambda: alice.call("GET", "/_matrix/client/v3/sync?timeout=0"), at_once=True),
    ]


def _others(server: Server) -> list[Action]:
    room, [alice, bob] = people(server, 2)
    path = f"/_matrix/client/v3/rooms/{quote(room)}"
    typing = {"typing": True, "timeout": 1000}
    return [
        Action("message and its read receipt", lambda: bob.call("POST", f"{path}/receipt/m.read/{quote(alice.send(room))}", {})),
        Action("typing, until it ends", lambda: bob.call("PUT", f"{path}/typing/{quote(bob.id)}", typing)),
        Action("account", lambda: User(server, f"bench-{secrets.token_hex(6)}").close()),
        Action("account, and its join of a public room", lambda: User(server, f"bench-{secrets.token_hex(6)}").join(room)),
        Action("room", lambda: alice.create_room()),
    ]


def _federated(server: Server, peer: Server) -> list[Action]:
    room, [alice] = people(server, 1)
    guest = User(peer, f"bench-{secrets.token_hex(6)}")
    guest.join(room, via=server)
    both = Waiting(room, [alice, guest])
    return [
        Action("message to another server, one here waits", lambda: both.see(lambda: alice.send(room))),
        Action("message from another server, one here waits", lambda: both.see(lambda: guest.send(room))),
    ]
