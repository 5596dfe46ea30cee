"""How are two servers parted that both live on loopback? Whatever one server asks of another passes through here.

A server's name leads to a port of ours, and from there to the server's own. All of them call from 127.0.0.1: who calls is
told by the process that owns the calling socket, which Linux shows in /proc.
"""

import asyncio
import contextlib
import os
import threading
from pathlib import Path

from server import Server

Pair = frozenset[str]


class Links:
    """The links between servers, known by short names; each can be cut in both directions."""

    def __init__(self) -> None:
        self._servers: dict[str, Server] = {}
        self._cut: set[Pair] = set()
        self._open: dict[Pair, set[asyncio.StreamWriter]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def lead_to(self, name: str, server: Server) -> None:
        """Takes calls at the server's public port from now on."""
        self._servers[name] = server

        async def listen() -> None:
            await asyncio.start_server(lambda *ends: self._pass_on(name, *ends), "127.0.0.1", server.public_port)

        self._call(listen())

    def cut(self, one: str, other: str) -> None:
        """Ends what the two are saying to each other, and keeps them from saying more."""

        async def cut() -> None:
            pair = frozenset((one, other))
            self._cut.add(pair)
            for writer in list(self._open.get(pair, ())):
                writer.transport.abort()

        self._call(cut())

    def heal(self, one: str, other: str) -> None:
        """Lets the two speak again."""

        async def heal() -> None:
            self._cut.discard(frozenset((one, other)))

        self._call(heal())

    def heal_all(self) -> None:
        """Lets all speak to all."""
        for pair in list(self._cut):
            self.heal(*pair)

    def close(self) -> None:
        """Ends all calls."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    def _call(self, work) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _pass_on(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = self._caller(writer.get_extra_info("peername")[1])
        if caller is None:
            # It ended before it was asked who it is.
            return writer.transport.abort()
        pair = frozenset((caller, name))
        try:
            if pair in self._cut:
                raise ConnectionError("the link is cut")
            onward_reader, onward = await asyncio.open_connection("127.0.0.1", self._servers[name].federation_port)
        except OSError:
            return writer.transport.abort()
        both = {writer, onward}
        opened = self._open.setdefault(pair, set())
        opened |= both
        await asyncio.gather(_pump(reader, onward), _pump(onward_reader, writer))
        opened -= both
        for each in both:
            each.close()

    def _caller(self, port: int) -> str | None:
        """Which server called from a port."""
        inode = _inode(port)
        names = {server.group: name for name, server in self._servers.items() if server.group}
        for process in Path("/proc").glob("[0-9]*") if inode else ():
            name = names.get(_group(process))
            if name and _holds(process, inode):
                return name
        return None


def _group(process: Path) -> int:
    try:
        return os.getpgid(int(process.name))
    except ProcessLookupError:
        return 0


def _holds(process: Path, inode: str) -> bool:
    """Whether a process owns a socket. What is closed meanwhile is none of it."""
    try:
        for name in os.listdir(process / "fd"):
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(process / "fd" / name) == f"socket:[{inode}]":
                    return True
    except (FileNotFoundError, ProcessLookupError):
        pass
    return False


def _inode(port: int) -> str | None:
    """The socket of the connection that was made from a port of 127.0.0.1."""
    local = f"0100007F:{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines():
        fields = line.split()
        if fields[1] == local and fields[9] != "0":
            return fields[9]
    return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes bytes on until either side ends."""
    try:
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()
