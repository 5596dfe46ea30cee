"""How soon does a short outage between two of our servers heal? Within its own length and 5 seconds, with nothing lost.

An outage lasts 8 s; `TOMBOLO_OUTAGE=30` makes it as many seconds. The room versions are tried in it together.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

import authority
from conftest import started
from mesh.links import Links
from server import Server, free_port
from tombolo import Tombolo
from user import User

VERSIONS = ("10", "11", "12")
OUTAGE = float(os.environ.get("TOMBOLO_OUTAGE", "8"))
MORE = 5.0
PAUSE = 0.3


@pytest.fixture(scope="module")
def pair(tmp_path_factory, links: Links) -> Iterator[dict[str, Server]]:
    """Two of our servers, each by its name here."""
    folder = tmp_path_factory.mktemp("outages")
    trusted = authority.make(folder)
    made = {name: Tombolo(folder / name, trusted, free_port()) for name in ("one", "other")}
    yield from started(made, links)


@dataclass
class Shared:
    """A room with a user of each server, and what was said in it."""

    room: str
    users: tuple[User, User]
    said: set[str] = field(default_factory=set)

    def say(self, user: User) -> None:
        """Says something, which is noted once it is acknowledged."""
        body = f"{user.localpart} says {len(self.said)}"
        user.say(self.room, body)
        self.said.add(body)

    def lacks(self) -> list[int]:
        """How much of what was said each user's server does not show."""
        shown = [user.history(self.room, len(self.said)) for user in self.users]
        return [len(self.said - {event["content"]["body"] for event in events}) for events in shown]


@pytest.fixture
def rooms(pair: dict[str, Server]) -> Iterator[list[Shared]]:
    """A room of each version."""
    users = (User(pair["one"], "alice"), User(pair["other"], "bob"))
    alice, bob = users
    rooms = [Shared(alice.create_room(room_version=version, preset="public_chat"), users) for version in VERSIONS]
    for shared in rooms:
        bob.join(shared.room, via=alice.server)
        bob.sees_joined(shared.room)
        alice.sees(lambda room=shared.room: room in alice.joined)
    yield rooms
    for user in users:
        user.close()


def heals(rooms: list[Shared], length: float) -> None:
    """Waits until all is seen everywhere, at most as long as an outage of this length may take to heal."""
    began = time.monotonic()
    while any(map(any, lacks := [shared.lacks() for shared in rooms])):
        assert time.monotonic() - began < length + MORE, f"{length:.0f} s after the outage these still lack so many: {lacks}"
        time.sleep(0.1)
    took = time.monotonic() - began
    assert took < length + MORE, f"healed only {took:.1f} s after an outage of {length:.1f} s"
    print(f"healed {took:.1f} s after an outage of {length:.1f} s; {[len(shared.said) for shared in rooms]} messages")


def test_a_cut_heals_while_both_sides_write(rooms: list[Shared], links: Links) -> None:
    began = time.monotonic()
    links.cut("one", "other")
    while time.monotonic() - began < OUTAGE:
        for shared in rooms:
            for user in shared.users:
                shared.say(user)
        time.sleep(PAUSE)
    links.heal("one", "other")
    heals(rooms, time.monotonic() - began)


def test_a_killed_server_is_caught_up(rooms: list[Shared], pair: dict[str, Server]) -> None:
    began = time.monotonic()
    pair["other"].kill()
    while time.monotonic() - began < OUTAGE:
        for shared in rooms:
            shared.say(shared.users[0])
        time.sleep(PAUSE)
    pair["other"].start()
    heals(rooms, time.monotonic() - began)
