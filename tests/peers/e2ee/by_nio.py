"""How is matrix-nio driven as a client that encrypts? Every such device syncs in one thread, which the tests' calls enter.

https://matrix-nio.readthedocs.io/
"""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import nio

from e2ee.device import PATIENCE, VERSION, Device, Message
from server import Server
from user import User


class Loop:
    """The thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine) -> Any:
        """Does it there, and returns what came of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=PATIENCE)

    def close(self) -> None:
        """Ends it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)


class NioDevice(Device):
    """A device of matrix-nio."""

    def __init__(self, loop: Loop, owner: User, name: str, store: Path):
        self.owner = owner
        self.name = name
        self._loop = loop
        self._read: dict[str, tuple[str, Message]] = {}
        self._unread: dict[str, nio.MegolmEvent] = {}
        store.mkdir()
        config = nio.AsyncClientConfig(encryption_enabled=True, store_sync_tokens=False, backoff_factor=0.1)
        self._client = loop.run(self._login(store, config))
        self.id = self._client.device_id

    async def _login(self, store: Path, config: nio.AsyncClientConfig) -> nio.AsyncClient:
        client = nio.AsyncClient(self.owner.server.url, self.owner.id, store_path=str(store), config=config)
        client.add_event_callback(self._text, nio.RoomMessageText)
        client.add_event_callback(self._secret, nio.MegolmEvent)
        _ok(await client.login(self.owner.password, device_name=self.name), nio.LoginResponse)
        _ok(await client.sync(timeout=0, full_state=True), nio.SyncResponse)
        if client.should_upload_keys:
            _ok(await client.keys_upload(), nio.KeysUploadResponse)
        self._syncing = asyncio.create_task(client.sync_forever(timeout=10000))
        return client

    async def _text(self, room: nio.MatrixRoom, event: nio.RoomMessageText) -> None:
        self._unread.pop(event.event_id, None)
        body, problem = (event.body, None) if event.decrypted else (None, "it was not encrypted")
        self._read[event.event_id] = (room.room_id, Message(event.event_id, event.sender, body, problem))

    async def _secret(self, _room: nio.MatrixRoom, event: nio.MegolmEvent) -> None:
        self._unread[event.event_id] = event

    def create_room(self, *invited: User, preset: str = "private_chat") -> str:
        encrypted = nio.EnableEncryptionBuilder().as_dict()
        made = self._client.room_create(
            room_version=VERSION,
            preset=nio.RoomPreset[preset],
            invite=[user.id for user in invited],
            initial_state=[encrypted],
        )
        return _ok(self._loop.run(made), nio.RoomCreateResponse).room_id

    def invited(self) -> set[str]:
        return set(self._client.invited_rooms)

    def join(self, room: str, via: Server) -> None:
        # nio has no way to name a server, and an invited user's server needs none.
        _ok(self._loop.run(self._client.join(room)), nio.JoinResponse)

    def say(self, room: str, body: str) -> str:
        return self._loop.run(self._say(room, body))

    async def _say(self, room: str, body: str) -> str:
        if self._client.should_query_keys:
            _ok(await self._client.keys_query(), nio.KeysQueryResponse)
        content = {"msgtype": "m.text", "body": body}
        sent = await self._client.room_send(room, "m.room.message", content, ignore_unverified_devices=True)
        return _ok(sent, nio.RoomSendResponse).event_id

    def messages(self, room: str) -> list[Message]:
        return self._loop.run(self._messages(room))

    async def _messages(self, room: str) -> list[Message]:
        if self._syncing.done():
            # It raises what nio could not cope with.
            self._syncing.result()
        found = [message for place, message in self._read.values() if place == room]
        for event in [event for event in self._unread.values() if event.room_id == room]:
            try:
                text = self._client.decrypt_event(event)
                found.append(Message(event.event_id, text.sender, text.body))
            except nio.EncryptionError as error:
                found.append(Message(event.event_id, event.sender, None, str(error)))
        return found

    def members(self, room: str) -> dict[str, str]:
        known = self._client.rooms.get(room)
        if known is None or not known.encrypted:
            return {}
        return {user: "invite" if member.invited else "join" for user, member in known.users.items()}

    def known(self, user: User) -> set[str]:
        # It does not list itself.
        own = {self.id} if user is self.owner else set()
        return own | {device.id for device in self._client.device_store.active_user_devices(user.id)}

    def logout(self) -> None:
        self._loop.run(self._end(logout=True))

    def close(self) -> None:
        self._loop.run(self._end(logout=False))

    async def _end(self, logout: bool) -> None:
        if self._syncing.cancelled():
            return
        self._syncing.cancel()
        await asyncio.gather(self._syncing, return_exceptions=True)
        if logout:
            _ok(await self._client.logout(), nio.LogoutResponse)
        await self._client.close()


def _ok(answer: object, kind: type) -> Any:
    """The answer, which must be of the kind that nio gives to success."""
    assert isinstance(answer, kind), answer
    return answer
