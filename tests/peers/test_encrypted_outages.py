"""Is everything decrypted that was said around an outage? Room keys travel outside of rooms, and must be lost no more than events.

Each message has a room key of its own: if what carries the key is lost, the message is never read.

https://spec.matrix.org/v1.19/server-server-api/#send-to-device-messaging
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from conftest import one_more, ours_and_synapse, played, started
from e2ee.cast import Cast, Clients, acquainted, gather
from e2ee.device import Said
from e2ee.driven import Driven
from server import Server
from synapse import Synapse

# Who speaks lives on the first, who reads on the other.
ACROSS = ("ours-synapse", "synapse-ours", "ours-twin")
MESSAGES = 8
# More than a sync or a transaction carries at once.
BACKLOG = 120


@pytest.fixture(scope="module")
def servers(tmp_path_factory) -> Iterator[dict[str, Server]]:
    """Servers of this file's own, which are stopped and killed."""
    yield from started(ours_and_synapse(tmp_path_factory.mktemp("outages")))


@pytest.fixture(scope="module")
def twin(tmp_path_factory, servers) -> Iterator[dict[str, Server]]:
    """One more of ours."""
    yield from started(one_more(tmp_path_factory.mktemp("twin"), servers))


def talking(homes: tuple[Server, Server], clients: Clients, cast: Cast) -> tuple[Driven, Driven, Said]:
    """Two users, each on his server, who have talked before."""
    home, away = homes
    alice, bob = clients.first(cast.user(home, "alice")), clients.other(cast.user(away, "bob"))
    said = gather(alice, bob)
    for device in (alice, bob):
        said.say(device)
    said.read_by(alice, bob)
    return alice, bob, said


def say_some(speaker: Driven, said: Said, count: int = 3) -> None:
    """Says some messages, each with a new room key."""
    for _ in range(count):
        speaker.rotate(said.room)
        said.say(speaker)


@contextmanager
def speaking(speaker: Driven, said: Said, count: int) -> Iterator[threading.Thread]:
    """Says some messages meanwhile, each until it is acknowledged."""
    failures: list[Exception] = []

    def speak() -> None:
        try:
            say_some(speaker, said, count)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()
    assert not failures, f"{speaker} could not say all: {failures}"


def heals(alice: Driven, bob: Driven, said: Said) -> None:
    """Waits until all is read; then both go on talking."""
    for device in (alice, bob):
        device.hurry()
    if isinstance(alice.server, Synapse):
        # It tries again when it hears of the other server; else only after a minute.
        said.say(bob)
    said.read_by(alice, bob, seconds=60)
    for device in (alice, bob):
        say_some(device, said, 1)
    said.read_by(alice, bob)


@played({"js": ACROSS, "sdk": ACROSS})
def test_what_is_said_while_the_readers_server_is_down_is_read(homes, clients, cast):
    _, away = homes
    alice, bob, said = talking(homes, clients, cast)
    away.stop()
    say_some(alice, said)
    away.start()
    heals(alice, bob, said)


@played({"js": ACROSS, "sdk": ACROSS})
def test_what_the_speakers_server_could_not_deliver_survives_its_restart(homes, clients, cast):
    home, away = homes
    alice, bob, said = talking(homes, clients, cast)
    away.stop()
    say_some(alice, said)
    home.stop()
    with speaking(alice, said, 1):
        away.start()
        home.start()
    heals(alice, bob, said)


@played({"js": ACROSS, "sdk": ["ours-twin"], "sliding": ["ours-twin"]})
@pytest.mark.parametrize("killed", ["speakers", "readers"])
def test_a_server_is_killed_while_messages_are_under_way(homes, clients, cast, killed):
    home, away = homes
    alice, bob, said = talking(homes, clients, cast)
    victim = home if killed == "speakers" else away
    before = len(said.bodies)
    with speaking(alice, said, MESSAGES) as thread:
        while thread.is_alive() and len(said.bodies) < before + MESSAGES // 3:
            time.sleep(0.002)
        assert len(said.bodies) < before + MESSAGES, "all was said before the server could be killed"
        victim.kill()
        time.sleep(0.5)
        victim.start()
    heals(alice, bob, said)


@played({"js": ACROSS, "sdk": ["synapse-ours"]})
def test_a_device_that_came_during_an_outage_is_encrypted_to(homes, clients, cast):
    home, away = homes
    alice, bob, said = talking(homes, clients, cast)
    home.stop()
    new = clients.other(bob.owner)
    acquainted(bob, new)
    home.start()
    alice.hurry()
    if isinstance(away, Synapse):
        # It tells of its devices when it hears of the other server; else only after a minute.
        said.say(alice)
    acquainted(alice, bob, new)
    later = said.after()
    say_some(alice, later)
    later.read_by(alice, bob, new)


@played({"js": ACROSS, "sdk": ["ours-twin"]})
def test_a_device_is_encrypted_to_as_soon_as_its_server_is_back(homes, clients, cast):
    _, away = homes
    alice, bob, said = talking(homes, clients, cast)
    new = clients.other(bob.owner)
    acquainted(alice, bob, new)
    # Nobody has asked for the new device's one-time keys yet.
    away.kill()
    away.start()
    later = said.after()
    say_some(alice, later)
    for device in (bob, new):
        device.hurry()
    later.read_by(alice, bob, new)


@played({"js": ["ours", "synapse-ours", "ours-synapse"], "sdk": ["ours", "synapse-ours"]})
def test_what_waits_for_an_offline_device_survives_a_restart(homes, clients, cast):
    _, away = homes
    alice, bob, said = talking(homes, clients, cast)
    witness = clients.other(bob.owner)
    acquainted(alice, bob, witness)
    bob.ask("disconnect")
    later = said.after()
    say_some(alice, later, 1)
    for number in range(BACKLOG):
        to = {bob.owner.id: {bob.id: {"number": number}}}
        alice.owner.call("PUT", f"/v3/sendToDevice/org.example.noise/{number}", json={"messages": to})
    say_some(alice, later, 1)
    later.read_by(witness)
    away.kill()
    away.start()
    bob.ask("reconnect")
    witness.hurry()
    later.read_by(bob)
