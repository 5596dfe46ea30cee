"""What does a user do, and what has he seen? A client of the client-server API that keeps nothing but what /sync told it.

https://spec.matrix.org/v1.19/client-server-api/
"""

import itertools
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

import httpx

from server import Server

_numbers = itertools.count()


class Refused(Exception):
    """The server answered with a Matrix error."""

    def __init__(self, status: int, body: dict):
        super().__init__(f"{status} {body}")
        self.status = status
        self.code = body.get("errcode")


@dataclass
class Room:
    """What /sync told about one room."""

    timeline: list[dict] = field(default_factory=list)
    typing: set[str] = field(default_factory=set)
    # Who has read up to which event.
    read: dict[str, str] = field(default_factory=dict)

    def bodies(self) -> list[str]:
        """The texts of its messages, in the timeline's order."""
        messages = (event for event in self.timeline if event["type"] == "m.room.message")
        return [event["content"]["body"] for event in messages if "body" in event["content"]]


@dataclass(frozen=True)
class Session:
    """What a client keeps while it is closed."""

    localpart: str
    password: str
    user_id: str
    token: str
    since: str | None


class User:
    """A user of a server: a new one, logged in, or one whose client was closed."""

    def __init__(self, server: Server, name: str, session: Session | None = None):
        self.server = server
        self._http = httpx.Client(base_url=server.url, timeout=60)
        session = session or self._register(f"{name}-{secrets.token_hex(4)}", secrets.token_hex(8))
        self.localpart, self.password, self.id = session.localpart, session.password, session.user_id
        self._token, self._since = session.token, session.since
        self._http.headers["authorization"] = f"Bearer {self._token}"
        self.joined: dict[str, Room] = {}
        self.invited: set[str] = set()
        self.left: set[str] = set()

    def call(self, method: str, path: str, **arguments) -> dict:
        """One request below /_matrix/client; an error answer is raised as `Refused`."""
        response = self._http.request(method, f"/_matrix/client{path}", **arguments)
        if response.status_code != 200:
            raise Refused(response.status_code, response.json())
        return response.json()

    def session(self) -> Session:
        """What its client keeps."""
        return Session(self.localpart, self.password, self.id, self._token, self._since)

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def _register(self, localpart: str, password: str) -> Session:
        body = {"username": localpart, "password": password, "auth": {"type": "m.login.dummy"}}
        answer = self.call("POST", "/v3/register", json=body)
        return Session(localpart, password, answer["user_id"], answer["access_token"], None)

    # What it sees.

    def sync(self, timeout: int = 0) -> None:
        """Takes in what is new. Always goes on from the last answer: Synapse repeats an initial sync for two minutes."""
        params = {"timeout": timeout}
        if self._since:
            params["since"] = self._since
        answer = self.call("GET", "/v3/sync", params=params)
        self._since = answer["next_batch"]
        rooms = answer.get("rooms", {})
        for room_id, update in rooms.get("join", {}).items():
            self.invited.discard(room_id)
            self.left.discard(room_id)
            self._take(self.joined.setdefault(room_id, Room()), update)
        for room_id in rooms.get("invite", {}):
            self.left.discard(room_id)
            self.invited.add(room_id)
        for room_id, update in rooms.get("leave", {}).items():
            self.invited.discard(room_id)
            self.left.add(room_id)
            if room := self.joined.pop(room_id, None):
                self._take(room, update)

    def _take(self, room: Room, update: dict) -> None:
        room.timeline.extend(update.get("timeline", {}).get("events", []))
        for event in update.get("ephemeral", {}).get("events", []):
            if event["type"] == "m.typing":
                room.typing = set(event["content"]["user_ids"])
            if event["type"] == "m.receipt":
                for event_id, kinds in event["content"].items():
                    for reader in kinds.get("m.read", {}):
                        room.read[reader] = event_id

    def sees(self, fact: Callable[[], object], seconds: float = 30) -> object:
        """Syncs until the fact holds of what was seen."""
        end = time.monotonic() + seconds
        while not (answer := fact()):
            if time.monotonic() > end:
                raise AssertionError(f"{self.id} does not see it within {seconds} s; seen: {self.joined} {self.invited} {self.left}")
            self.sync(timeout=500)
        return answer

    def sees_joined(self, room_id: str) -> None:
        """Waits until it is in the room."""
        self.sees(lambda: room_id in self.joined)

    def sees_message(self, room_id: str, body: str, seconds: float = 30) -> dict:
        """Waits for a message, and returns its event."""

        def found() -> dict | None:
            room = self.joined.get(room_id, Room())
            return next((event for event in room.timeline if event.get("content", {}).get("body") == body), None)

        return self.sees(found, seconds)

    def state(self, room_id: str) -> dict[tuple[str, str], dict]:
        """The room's state now."""
        events = self.call("GET", f"/v3/rooms/{quote(room_id)}/state")
        return {(event["type"], event["state_key"]): event for event in events}

    def membership(self, room_id: str, user_id: str) -> str | None:
        """A member's membership now; None when there is none."""
        event = self.state(room_id).get(("m.room.member", user_id))
        return event and event["content"]["membership"]

    def history(self, room_id: str, limit: int) -> list[dict]:
        """The newest `limit` messages, newest first, fetched page by page."""
        found: list[dict] = []
        params = {"dir": "b", "limit": 30}
        while len(found) < limit:
            page = self.call("GET", f"/v3/rooms/{quote(room_id)}/messages", params=params)
            found.extend(event for event in page["chunk"] if event["type"] == "m.room.message")
            if "end" not in page:
                break
            params["from"] = page["end"]
        return found[:limit]

    # What it does.

    def create_room(self, **body) -> str:
        """Creates a room."""
        return self.call("POST", "/v3/createRoom", json=body)["room_id"]

    def join(self, room: str, via: Server | None = None) -> str:
        """Joins by ID or alias."""
        params = {"via": via.name, "server_name": via.name} if via else {}
        return self.call("POST", f"/v3/join/{quote(room)}", params=params, json={})["room_id"]

    def act(self, room_id: str, action: str, user_id: str | None = None) -> None:
        """invite, kick, ban, unban, leave, forget."""
        self.call("POST", f"/v3/rooms/{quote(room_id)}/{action}", json={"user_id": user_id} if user_id else {})

    def say(self, room_id: str, body: str) -> str:
        """Sends a text message."""
        return self.send(room_id, "m.room.message", {"msgtype": "m.text", "body": body})

    def send(self, room_id: str, kind: str, content: dict) -> str:
        """Sends an event."""
        path = f"/v3/rooms/{quote(room_id)}/send/{quote(kind)}/{next(_numbers)}"
        return self.call("PUT", path, json=content)["event_id"]

    def set_state(self, room_id: str, kind: str, content: dict, key: str = "") -> str:
        """Sets one piece of state."""
        path = f"/v3/rooms/{quote(room_id)}/state/{quote(kind)}/{quote(key)}"
        return self.call("PUT", path, json=content)["event_id"]

    def redact(self, room_id: str, event_id: str) -> str:
        """Redacts an event."""
        path = f"/v3/rooms/{quote(room_id)}/redact/{quote(event_id)}/{next(_numbers)}"
        return self.call("PUT", path, json={})["event_id"]

    def type(self, room_id: str, typing: bool) -> None:
        """Starts or stops typing."""
        body = {"typing": typing, "timeout": 20000} if typing else {"typing": False}
        self.call("PUT", f"/v3/rooms/{quote(room_id)}/typing/{quote(self.id)}", json=body)

    def read(self, room_id: str, event_id: str) -> None:
        """Acknowledges an event to all."""
        self.call("POST", f"/v3/rooms/{quote(room_id)}/receipt/m.read/{quote(event_id)}", json={})
