"""How long does it take to come into a large room, and how much memory? By us through another server, and through us.

`make bench-joins`, or with other sizes: ARGS="--members 5000 --servers 500".
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/peers"))

import authority  # noqa: E402
from connection import Connection, User  # noqa: E402
from resident import Resident, Room  # noqa: E402
from tombolo import Tombolo  # noqa: E402

MEGABYTE = 1 << 20
# How many messages stand in a room.
HISTORY = 200


class Joining(Tombolo):
    """Our server, which believes the resident's word on other servers' keys."""

    notary = ""

    def command(self) -> list[str]:
        return [*super().command(), "--set", "UNITS=yes", "--set", f"TRUSTED_KEY_SERVERS={self.notary}"]

    def memory(self) -> float:
        """How large the isolate's memory has grown, in MB."""
        return Connection(self).call("GET", "/_tombolo/units")["memory"] / MEGABYTE


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--members", type=int, default=50_000)
    arguments.add_argument("--servers", type=int, default=500)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trusted = authority.make(Path(folder))
        resident = Resident(trusted)
        Joining.notary = resident.home.name
        try:
            dead(Path(folder), trusted, resident)
            large(Path(folder), trusted, resident.room(chosen.members, chosen.servers, history=HISTORY))
        finally:
            resident.stop()


def dead(folder: Path, trusted: authority.Authority, resident: Resident) -> None:
    """A join of 5,000 members of 500 servers: all alive, then a tenth of them dead."""
    for count in (0, 50):
        server = Joining(folder / f"dead-{count}", trusted)
        room = resident.room(5000, 500, count, HISTORY)
        server.start()
        try:
            user = User(server, "joiner")
            print(f"5,000 members of 500 servers, {count} dead: {join(user, room, room.home.name):.1f} s; then {history(server, user, room)} of {HISTORY} messages are paged back to", flush=True)
        finally:
            server.stop()


def large(folder: Path, trusted: authority.Authority, room: Room) -> None:
    """A join of a large room by us, and by another of ours through us."""
    first, second = Joining(folder / "first", trusted), Joining(folder / "second", trusted)
    try:
        for server, through in ((first, room.home.name), (second, first.name)):
            server.start()
            user = User(server, "joiner")
            idle = {each: each.memory() for each in (first, server)}
            took = join(user, room, through)
            print(f"{len(room.state) - 5:,} members, through {through}: {took:.1f} s", flush=True)
            for each, before in idle.items():
                print(f"    memory of {each.name}: {before:.0f} MB, then {each.memory():.0f} MB", flush=True)
    finally:
        first.stop()
        second.stop()


def join(user: User, room: Room, through: str) -> float:
    """Seconds until a join is answered."""
    began = time.monotonic()
    user.call("POST", f"/_matrix/client/v3/join/{quote(room.id)}?server_name={quote(through)}", {})
    return time.monotonic() - began


def history(server: Tombolo, user: User, room: Room) -> int:
    """How many messages from before the join are found by paging back. A connection may break while names are looked up."""
    found, start = set(), ""
    while True:
        page = Connection(server, user.token).call("GET", f"/_matrix/client/v3/rooms/{quote(room.id)}/messages?dir=b&limit=50{start}")
        found |= {event["event_id"] for event in page["chunk"]} & set(room.history)
        if "end" not in page:
            return len(found)
        start = f"&from={page['end']}"


if __name__ == "__main__":
    main()
