"""What is a homeserver to a test? A process with a name, two addresses and a log, that can be stopped and started again."""

import os
import random
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

import httpx

import poll
from authority import Authority

REPOSITORY = Path(__file__).resolve().parents[2]

_given: set[int] = set()


def free_port() -> int:
    """A port below the range that outgoing connections use, so that a stopped server finds its own again."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        if not taken and port not in _given:
            _given.add(port)
            return port


class Server(ABC):
    """One homeserver on loopback; its data lives in `folder`. Others reach it at `public_port`, if one is given."""

    def __init__(self, folder: Path, authority: Authority, public_port: int | None = None):
        folder.mkdir()
        self.folder = folder
        self.authority = authority
        self.client_port = free_port()
        self.federation_port = free_port()
        self.public_port = public_port or self.federation_port
        self.log = folder / "log"
        self._process: subprocess.Popen | None = None
        self._started_at = 0

    @property
    def name(self) -> str:
        """The server name, which users and events bear."""
        return f"localhost:{self.public_port}"

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.client_port}"

    @abstractmethod
    def command(self) -> list[str]:
        """What to run."""

    def start(self) -> None:
        """Starts it, and returns when it answers clients."""
        self.launch()
        self.wait_until_started()

    def launch(self) -> None:
        """Starts it. It dies with the thread that calls this: it must not outlive the tests, however these end."""
        with self.log.open("ab") as log:
            self._started_at = log.tell()
            command = ["setpriv", "--pdeathsig", "KILL", "--", *self.command()]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, process_group=0)

    def wait_until_started(self) -> None:
        """Returns when it answers clients."""
        poll.until(self._has_started, seconds=60)

    def stop(self) -> None:
        """Stops it as an administrator would; what it acknowledged is kept."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """Kills it and what it started, as a power cut would; what it acknowledged is kept."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def group(self) -> int | None:
        """The process group that it runs in."""
        return self._process and self._process.pid

    def said(self) -> str:
        """What it has logged since it was started last."""
        return self.log.read_bytes()[self._started_at :].decode(errors="replace")

    def answers(self) -> bool:
        """Whether it is ready for clients."""
        try:
            return httpx.get(f"{self.url}/_matrix/client/versions", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def _has_started(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.name} has ended:\n{self.said()[-3000:]}")
        return self.answers()
