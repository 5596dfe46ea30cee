"""Does a whole bridge work through this server? heisenbridge, an application service, between us and an IRC network.

https://github.com/hifi/heisenbridge
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import authority
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
        self._port, self._starts = free_port(), 0
        self._run("--generate", "-l", "127.0.0.1", "-p", str(self._port)).wait(timeout=30)
        assert self.registration.exists(), self.said()

    def start(self, server: Tombolo) -> None:
        """Starts it, and returns when it listens."""
        self._process = self._run(server.url)
        poll.until(lambda: self.said().count("bridge is now running") > self._starts, 30)
        self._starts += 1

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
def server(tmp_path, bridge) -> Iterator[Bridged]:
    made = Bridged(tmp_path / "server", authority.make(tmp_path))
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


def test_irc_is_bridged_both_ways_and_nothing_is_lost_while_the_bridge_is_away(server, bridge, network):
    bridge.start(server)
    alice = User(server, "alice")
    control = alice.create_room(preset="trusted_private_chat", is_direct=True, invite=[f"@heisenbridge:{server.name}"])
    sees_text(alice, control, "You have been granted access")
    for line, answer in [
        ("ADDNETWORK loop", "Network added."),
        (f"ADDSERVER loop 127.0.0.1 {network.port}", "Server added."),
        ("OPEN loop", "You have been invited to loop"),
    ]:
        alice.say(control, line)
        sees_text(alice, control, answer)
    at_network = accepts(alice)
    for line, answer in [(f"NICK {NICK}", f"Nickname set to {NICK}"), ("CONNECT", "Welcome to the Internet Relay Network")]:
        alice.say(at_network, line)
        sees_text(alice, at_network, answer)
    alice.say(at_network, "JOIN #test")
    channel = accepts(alice)
    bob = Talker(network, "bob", "#test")
    bob.says("hello from IRC")
    assert alice.sees_message(channel, "hello from IRC")["sender"] == f"@irc_loop_bob:{server.name}"
    alice.say(channel, "hello from Matrix")
    assert bob.hears("hello from Matrix").startswith(f":{NICK}!")
    bob.close()
    # A bridge that was away, as the server was, too, is told once what was said meanwhile.
    bridge.stop()
    alice.say(control, "VERSION")
    server.kill()
    server.start()
    bridge.start(server)
    sees_text(alice, control, "heisenbridge v")
    alice.say(control, "NETWORKS")
    sees_text(alice, control, "loop (1 servers)")
    assert sum("heisenbridge v" in body for body in alice.joined[control].bodies()) == 1
