"""What does a server show of a room to a user of its own?"""

import time
from dataclasses import dataclass, field
from urllib.parse import quote

from synapse import Synapse
from user import Refused, User

Key = tuple[str, str]


@dataclass
class View:
    """A room as one server shows it."""

    # Who of the server's users is in it, as the server says.
    joined: list[str] = field(default_factory=list)
    state: dict[Key, dict] = field(default_factory=dict)
    # Its timeline.
    events: set[str] = field(default_factory=set)
    # What it does not show to somebody who is in it, and why.
    refused: list[str] = field(default_factory=list)

    def ids(self) -> dict[Key, str]:
        """The event of each key of the state."""
        return {key: event["event_id"] for key, event in self.state.items()}

    def members(self, server_name: str) -> list[str]:
        """The users of a server that are joined, as this server sees it."""
        joined = (key for (kind, key), event in self.state.items() if kind == "m.room.member" and event["content"].get("membership") == "join")
        return [user for user in joined if user.endswith(f":{server_name}")]


def view(room: str, users: list[User]) -> View:
    """What a server shows to those of its users that are in the room; nothing where nobody is."""
    seen = View()
    for user in users:
        state = _state(room, user)
        if state and state.get(("m.room.member", user.id), {}).get("content", {}).get("membership") == "join":
            seen.joined.append(user.id)
            if not seen.state:
                seen.state = state
                try:
                    seen.events = _timeline(room, user)
                except Refused as refusal:
                    seen.refused.append(f"{user.id} is in the room, and may not read it: {refusal}")
    return seen


def _state(room: str, user: User) -> dict[Key, dict]:
    """The room's state; nothing where the user may not see it.

    Synapse may break off while it is written to, and is asked again. And it breaks off for who is out of the room by an event
    that it does not know the state at: who declined an invite from another server, and was in the room meanwhile.
    """
    for pause in (0.2, 0.5, 1.0, None):
        try:
            return user.state(room)
        except Refused as refusal:
            if refusal.status in (403, 404):
                return {}
            if not isinstance(user.server, Synapse):
                raise
            if room not in user.call("GET", "/v3/joined_rooms")["joined_rooms"]:
                return {}
            if pause is None:
                raise
            time.sleep(pause)
    return {}


def _timeline(room: str, user: User) -> set[str]:
    """All pages of it: what the server does not hold, it fetches for them."""
    found: set[str] = set()
    params = {"dir": "b", "limit": 200}
    while True:
        page = user.call("GET", f"/v3/rooms/{quote(room)}/messages", params=params)
        found |= {event["event_id"] for event in page["chunk"]}
        if "end" not in page or not page["chunk"]:
            return found
        params["from"] = page["end"]
