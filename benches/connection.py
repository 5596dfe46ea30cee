"""What does a client cost that is to be no part of the measurement? One socket, kept alive, and one `sendall` a request.

https://datatracker.ietf.org/doc/html/rfc9112
"""

import json
import selectors
import socket
import time
from urllib.parse import quote

from server import Server


# workerd hangs up on who is silent for five seconds.
IDLE = 2.0
# A join of a large room takes minutes.
PATIENCE = 600


class Failed(Exception):
    """The server refused, or hung up."""


class Connection:
    """A kept-alive connection on which one request at a time is under way."""

    def __init__(self, server: Server, token: str | None = None):
        self._port = server.client_port
        self.token = token
        self._open()

    def _open(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._used = time.monotonic()

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        """One request, and its answer."""
        self.ask(method, path, body)
        return self.answer()

    def ask(self, method: str, path: str, body: dict | bytes | None = None) -> None:
        """Sends a request; bytes go as they are."""
        if time.monotonic() - self._used > IDLE:
            self.close()
            self._open()
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
        if self.token:
            head += f"Authorization: Bearer {self.token}\r\n"
        if body is not None:
            kind = "octet-stream" if isinstance(body, bytes) else "json"
            head += f"Content-Type: application/{kind}\r\nContent-Length: {len(content)}\r\n"
        self._socket.sendall(head.encode() + b"\r\n" + content)

    def answer(self) -> dict:
        """Waits for the answer to the request that was sent."""
        return json.loads(self.content())

    def content(self) -> bytes:
        """The same, as it is."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(head[0].split(" ", 2)[1])
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if fields.get("transfer-encoding", "").lower() == "chunked":
            content = self._chunks()
        else:
            content = self._exactly(int(fields.get("content-length", "0")))
        self._used = time.monotonic()
        if status != 200:
            raise Failed(f"{status} {content[:500]!r}")
        return bytes(content)

    def _chunks(self) -> bytes:
        content = bytearray()
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            content += self._exactly(size)
            self._until(b"\r\n")
        self._until(b"\r\n")
        return bytes(content)

    def _until(self, mark: bytes) -> bytes:
        while (end := self._buffer.find(mark)) < 0:
            self._more()
        taken = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return taken

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._more()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise Failed("the server hung up")
        self._buffer += data


class User(Connection):
    """A new user of a server, logged in, on one connection."""

    def __init__(self, server: Server, localpart: str):
        super().__init__(server)
        self.server = server
        body = {"username": localpart, "password": "correct horse", "auth": {"type": "m.login.dummy"}}
        answer = self.call("POST", "/_matrix/client/v3/register", body)
        self.id: str = answer["user_id"]
        self.token = answer["access_token"]
        self._sent = 0

    def again(self) -> Connection:
        """A further connection of the same session."""
        return Connection(self.server, self.token)

    def create_room(self) -> str:
        """Creates a public room."""
        return self.call("POST", "/_matrix/client/v3/createRoom", {"preset": "public_chat"})["room_id"]

    def join(self, room: str, via: Server | None = None) -> None:
        """Joins a room of the same server, or one of another."""
        query = f"?via={quote(via.name)}&server_name={quote(via.name)}" if via else ""
        self.call("POST", f"/_matrix/client/v3/join/{quote(room)}{query}", {})

    def ask_send(self, room: str) -> None:
        """Sends a message, and does not wait for the answer."""
        self._sent += 1
        path = f"/_matrix/client/v3/rooms/{quote(room)}/send/m.room.message/{self._sent}"
        self.ask("PUT", path, {"msgtype": "m.text", "body": f"message {self._sent} of a run of some length"})

    def send(self, room: str) -> str:
        """Sends a message; its ID."""
        self.ask_send(room)
        return self.answer()["event_id"]


def ready(connections: list[Connection]) -> list[Connection]:
    """Which of these have something to be read; waits for the first."""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ, connection)
        return [key.data for key, _ in selector.select(60)]
