"""Does a whole bridge work through this server? heisenbridge, an application service, between us and an IRC network.

https://github.com/hifi/heisenbridge
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import poll
from irc import Network, Talker
from server import free_port
from tombolo import Tombolo
from user import Room, User

NICK = "tombola"


class Bridged(Tombolo):
    """Our server with an application service that is registered by its file."""

    registration: Path

    def command(self) -> list[str]:
        return [*super().command(), "--appservice", str(self.registration)]


class Heisenbridge:
    """The bridge, of which all it keeps is its registration: the rest lies with the server."""

    def __init__(self, folder: Path):
        self.registration = folder / "registration.yaml"
        self._log = folder / "bridge.log"
        self._process: subprocess.Popen | None = None
        self._port = free_port()
        self._run("--generate", "-l", "127.0.0.1", "-p", str(self._port)).wait(timeout=30)
        assert self.registration.exists(), self.said()

    def start(self, server: Tombolo) -> None:
        """Starts it, and returns when it listens."""
        self._process = self._run(server.url)
        poll.until(lambda: "Bridge is now running" in self.said() or "bridge is now running" in self.said().lower(), 30)

    def stop(self) -> None:
        """Ends it as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def said(self) -> str:
        """What it has logged."""
        return self._log.read_text() if self._log.exists() else ""

    def _run(self, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "heisenbridge", "-v", "-c", str(self.registration), *arguments]
        with self._log.open("ab") as log:
            return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


@pytest.fixture
def network(tmp_path) -> Iterator[Network]:
    made = Network(tmp_path)
    yield made
    made.close()


@pytest.fixture
def bridge(tmp_path) -> Iterator[Heisenbridge]:
    made = Heisenbridge(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def server(tmp_path, authority, bridge) -> Iterator[Bridged]:
    made = Bridged(tmp_path / "server", authority)
    made.registration = bridge.registration
    made.start()
    yield made
    made.stop()


def accepts(user: User) -> str:
    """Joins the one room that the user is invited to."""
    user.sees(lambda: user.invited)
    room = user.join(next(iter(user.invited)))
    user.sees_joined(room)
    return room


def sees_text(user: User, room: str, text: str) -> None:
    """Waits for a message that has this text."""
    user.sees(lambda: any(text in body for body in user.joined.get(room, Room()).bodies()))


def test_irc_is_bridged_both_ways_and_survives_restarts(server, bridge, network):
    bridge.start(server)
    alice = User(server, "alice")
    control = alice.create_room(preset="trusted_private_chat", is_direct=True, invite=[f"@heisenbridge:{server.name}"])
    sees_text(alice, control, "HELP")
    alice.say(control, "ADDNETWORK loop")
    sees_text(alice, control, "loop")
    alice.say(control, f"ADDSERVER loop 127.0.0.1 {network.port}")
    sees_text(alice, control, "added")
    alice.say(control, "OPEN loop")
    at_network = accepts(alice)
    for line, answer in [(f"NICK {NICK}", NICK), ("CONNECT", "Connected"), ("JOIN #test", "")]:
        alice.say(at_network, line)
        sees_text(alice, at_network, answer)
    channel = accepts(alice)
    bob = Talker(network, "bob", "#test")
    bob.says("hello from IRC")
    event = alice.sees_message(channel, "hello from IRC")
    assert event["sender"] == f"@irc_loop_bob:{server.name}"
    alice.say(channel, "hello from Matrix")
    bob.hears(f":{NICK}!")
    bob.hears("hello from Matrix")
    # A bridge that was away gets what was said meanwhile, once.
    bridge.stop()
    alice.say(channel, "said while the bridge was away")
    server.kill()
    server.start()
    bridge.start(server)
    alice.say(control, "LISTNETWORKS")
    bob.close()
