"""What is billed for an action? Counted by our server itself, alarms and everything that follows included.

https://developers.cloudflare.com/durable-objects/platform/pricing/
"""

import time
from collections.abc import Callable
from urllib.parse import quote

from connection import Connection, User
from server import Server
from workloads import Poll, people

# An alarm may come this much later, in seconds.
QUIET = 3.0
# Each action is done so often, apart from each other, and the mean is taken.
TIMES = 4

Units = dict[str, float]
Act = Callable[[], None]


class Meter:
    """The counters of a server that was started with UNITS=yes."""

    def __init__(self, server: Server):
        self._connection = Connection(server)

    def settled(self) -> Units:
        """The counters when nothing is going on any more; without the questions for them."""
        last, since = self._read(), time.monotonic()
        while time.monotonic() - since < QUIET:
            time.sleep(0.2)
            if (now := self._read()) != last:
                last, since = now, time.monotonic()
        return last

    def _read(self) -> Units:
        self._asked = getattr(self, "_asked", 0) + 1
        units = self._connection.call("GET", "/_tombolo/units")
        units["requests"] -= self._asked
        return units

    def count(self, act: Act, times: int = TIMES) -> Units:
        """What one doing of it costs."""
        before = self.settled()
        for _ in range(times):
            act()
            if times > 1:
                time.sleep(QUIET)
        after = self.settled()
        return {name: (after[name] - before[name]) / times for name in after}


class Waiting:
    """Users who wait in `/sync`, each time anew."""

    def __init__(self, room: str, users: list[User]):
        self._room = room
        self._polls = [Poll(user) for user in users]
        for poll in self._polls:
            poll.ask()

    def see(self, event_id: str) -> None:
        """Until all have seen it."""
        for poll in self._polls:
            while event_id not in poll.take(self._room):
                poll.ask()
            poll.ask()


def measure(server: Server, peer: Server) -> list[tuple[str, Units]]:
    """Every action and its units."""
    meter = Meter(server)
    found = []
    for name, times, act in [*_quiet(server), *_watched(server), *_federated(server, peer)]:
        found.append((name, meter.count(act, times)))
    return found
