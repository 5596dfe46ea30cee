"""What is an IRC network to a test? ngircd on loopback, and somebody who talks there by a raw socket."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

import poll
from server import free_port

SETTINGS = """
[Global]
    Name = irc.test
    AdminInfo1 = test
    AdminInfo2 = test
    AdminEMail = nobody@irc.test
    Info = test
    Listen = 127.0.0.1
    Ports = {port}
    ServerUID = {user}
    ServerGID = {group}
    PidFile = {folder}/pid
[Options]
    DNS = no
    Ident = no
    PAM = no
[Channel]
    Name = #test
"""


class Network:
    """An IRC network of one server."""

    def __init__(self, folder: Path):
        self.port = free_port()
        settings = folder / "ngircd.conf"
        # Who is root has it become the user of its package.
        settings.write_text(SETTINGS.format(port=self.port, user="irc", group="irc", folder=folder))
        binary = shutil.which("ngircd") or "/usr/sbin/ngircd"
        command = ["setpriv", "--pdeathsig", "KILL", "--", binary, "-n", "-f", str(settings)]
        with (folder / "ngircd.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        poll.until(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()


class Talker:
    """Somebody on a network, in its channel."""

    def __init__(self, network: Network, nick: str, channel: str):
        self._socket = socket.create_connection(("127.0.0.1", network.port), timeout=1)
        self._channel, self._buffer = channel, b""
        self.said: list[str] = []
        self._send(f"NICK {nick}")
        self._send(f"USER {nick} 0 * :{nick}")
        self.hears(" 001 ")
        self._send(f"JOIN {channel}")
        self.hears(" 366 ")

    def says(self, text: str) -> None:
        """Says something in the channel."""
        self._send(f"PRIVMSG {self._channel} :{text}")

    def hears(self, text: str, seconds: float = 30) -> str:
        """Waits for a line that has this text, and returns it."""
        end = time.monotonic() + seconds
        while True:
            for line in self.said:
                if text in line:
                    return line
            assert time.monotonic() < end, f"{text!r} is not heard within {seconds} s: {self.said}"
            self._read()

    def close(self) -> None:
        """Leaves."""
        self._socket.close()

    def _send(self, line: str) -> None:
        self._socket.sendall(f"{line}\r\n".encode())

    def _read(self) -> None:
        try:
            came = self._socket.recv(4096)
        except TimeoutError:
            return
        assert came, f"the network hung up: {self.said}"
        self._buffer += came
        *lines, self._buffer = self._buffer.split(b"\r\n")
        for line in lines:
            if line.startswith(b"PING"):
                self._send(line.decode().replace("PING", "PONG", 1))
            self.said.append(line.decode())
