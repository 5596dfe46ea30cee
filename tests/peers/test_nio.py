"""Can matrix-nio, a client that checks every answer against a schema, do on our server what its users do?

https://matrix-nio.readthedocs.io/
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import nio
import pytest

from poll import until
from user import Room, User


class Seen:
    """What nio reported, by kind and room."""

    def __init__(self, client: nio.AsyncClient):
        self.texts: list[tuple[str, str, str]] = []
        self.redacted: list[str] = []
        self.typing: dict[str, list[str]] = {}
        self.read: set[tuple[str, str]] = set()
        client.add_event_callback(self._text, nio.RoomMessageText)
        client.add_event_callback(self._redaction, nio.RedactionEvent)
        client.add_ephemeral_callback(self._typing, nio.TypingNoticeEvent)
        client.add_ephemeral_callback(self._receipt, nio.ReceiptEvent)

    async def _text(self, room: nio.MatrixRoom, event: nio.RoomMessageText) -> None:
        self.texts.append((room.room_id, event.sender, event.body))

    async def _redaction(self, _room: nio.MatrixRoom, event: nio.RedactionEvent) -> None:
        self.redacted.append(event.redacts)

    async def _typing(self, room: nio.MatrixRoom, event: nio.TypingNoticeEvent) -> None:
        self.typing[room.room_id] = event.users

    async def _receipt(self, _room: nio.MatrixRoom, event: nio.ReceiptEvent) -> None:
        self.read.update((receipt.user_id, receipt.event_id) for receipt in event.receipts)


@asynccontextmanager
async def logged_in(owner: User):
    """nio, logged in with the user's password as a device of its own, with its first sync done."""
    client = nio.AsyncClient(owner.server.url, owner.id)
    seen = Seen(client)
    try:
        ok(await client.login(owner.password, device_name="nio"), nio.LoginResponse)
        ok(await client.sync(timeout=0, full_state=True), nio.SyncResponse)
        yield client, seen
        ok(await client.logout(), nio.LogoutResponse)
    finally:
        await client.close()


def ok(answer: object, kind: type):
    """The answer, which must be of the kind that nio gives to success."""
    assert isinstance(answer, kind), answer
    return answer


async def sees(client: nio.AsyncClient, fact: Callable[[], object]) -> None:
    """Syncs until the fact holds."""
    for _ in range(60):
        if fact():
            return
        ok(await client.sync(timeout=500), nio.SyncResponse)
    raise AssertionError("nio does not see it within 30 s")


@pytest.fixture
def owner(servers) -> Iterator[User]:
    """Whom nio logs in as, on our server."""
    user = User(servers["ours"], "nio")
    yield user
    user.close()


@pytest.fixture
def other(servers) -> Iterator[User]:
    """A user of Synapse."""
    user = User(servers["synapse"], "dora")
    yield user
    user.close()


def with_nio(owner: User, scenario: Callable[[nio.AsyncClient, Seen], Awaitable[None]]) -> None:
    """Runs the scenario with nio logged in."""

    async def run() -> None:
        async with logged_in(owner) as (client, seen):
            await scenario(client, seen)

    asyncio.run(run())


def test_nio_creates_a_room_invites_and_talks(owner, other, version):
    async def scenario(client: nio.AsyncClient, seen: Seen) -> None:
        made = ok(await client.room_create(name="Harbour", room_version=version, invite=[other.id]), nio.RoomCreateResponse)
        room = made.room_id
        await asyncio.to_thread(other.sees, lambda: room in other.invited)
        await asyncio.to_thread(other.join, room, owner.server)
        await sees(client, lambda: room in client.rooms and other.id in client.rooms[room].users)
        assert client.rooms[room].name == "Harbour"
        content = {"msgtype": "m.text", "body": "from nio"}
        sent = ok(await client.room_send(room, "m.room.message", content), nio.RoomSendResponse)
        event = await asyncio.to_thread(other.sees_message, room, "from nio")
        assert event["event_id"] == sent.event_id
        await asyncio.to_thread(other.say, room, "from synapse")
        await sees(client, lambda: (room, other.id, "from synapse") in seen.texts)

    with_nio(owner, scenario)


def test_nio_joins_a_room_of_synapse_and_reads_its_history(owner, other, version):
    room = other.create_room(room_version=version, preset="public_chat", room_alias_name=f"quay-{other.localpart}")
    said = [f"before {number}" for number in range(30)]
    for body in said:
        other.say(room, body)

    async def scenario(client: nio.AsyncClient, _seen: Seen) -> None:
        ok(await client.join(f"#quay-{other.localpart}:{other.server.name}"), nio.JoinResponse)
        await sees(client, lambda: room in client.rooms)
        texts: list[str] = []
        start = client.next_batch
        while len(texts) < len(said):
            page = ok(await client.room_messages(room, start, limit=20), nio.RoomMessagesResponse)
            texts += [event.body for event in page.chunk if isinstance(event, nio.RoomMessageText)]
            start = page.end
            if not start:
                break
        assert texts[::-1] == said
        ok(await client.room_leave(room), nio.RoomLeaveResponse)
        await asyncio.to_thread(until, lambda: other.membership(room, owner.id) == "leave")

    with_nio(owner, scenario)


def test_nio_types_reads_redacts_and_kicks(owner, other, version):
    async def scenario(client: nio.AsyncClient, seen: Seen) -> None:
        made = ok(
            await client.room_create(room_version=version, preset=nio.RoomPreset.public_chat),
            nio.RoomCreateResponse,
        )
        room = made.room_id
        await asyncio.to_thread(other.join, room, owner.server)
        await asyncio.to_thread(other.sees_joined, room)
        ok(await client.room_typing(room, True), nio.RoomTypingResponse)
        await asyncio.to_thread(other.sees, lambda: owner.id in other.joined[room].typing)
        await asyncio.to_thread(other.type, room, True)
        await sees(client, lambda: other.id in seen.typing.get(room, []))

        event_id = await asyncio.to_thread(other.say, room, "to be read")
        await sees(client, lambda: (room, other.id, "to be read") in seen.texts)
        ok(await client.room_read_markers(room, event_id, event_id), nio.RoomReadMarkersResponse)
        await asyncio.to_thread(other.sees, lambda: other.joined[room].read.get(owner.id) == event_id)

        ok(await client.room_redact(room, event_id, reason="unsaid"), nio.RoomRedactResponse)
        await sees(client, lambda: event_id in seen.redacted)
        await asyncio.to_thread(until, lambda: was_redacted(other, room, event_id))

        ok(await client.room_kick(room, other.id, reason="enough"), nio.RoomKickResponse)
        await asyncio.to_thread(other.sees, lambda: room in other.left)
        await sees(client, lambda: other.id not in client.rooms[room].users)

    with_nio(owner, scenario)


def was_redacted(witness: User, room: str, event_id: str) -> bool:
    """Whether the witness has been told of the redaction."""
    witness.sync()
    timeline = witness.joined.get(room, Room()).timeline
    return any(event["type"] == "m.room.redaction" and redacts(event) == event_id for event in timeline)


def redacts(event: dict) -> str | None:
    """Where a redaction names its target depends on the room version."""
    return event.get("redacts") or event["content"].get("redacts")


def test_nio_sets_a_profile_that_synapse_reads(owner, other):
    async def scenario(client: nio.AsyncClient, _seen: Seen) -> None:
        ok(await client.set_displayname("Nio"), nio.ProfileSetDisplayNameResponse)
        assert ok(await client.get_displayname(), nio.ProfileGetDisplayNameResponse).displayname == "Nio"
        profile = await asyncio.to_thread(other.call, "GET", f"/v3/profile/{owner.id}")
        assert profile["displayname"] == "Nio"

    with_nio(owner, scenario)
