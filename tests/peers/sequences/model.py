"""What does a client know after its syncs? It applies `state`, then `timeline`, and keeps nothing else.

https://spec.matrix.org/v1.19/client-server-api/#syncing
"""

from dataclasses import dataclass, field

from .call import Json
from .known import UNSAID_TYPES

Key = tuple[str, str]


@dataclass
class Room:
    """A room as a client holds it."""

    section: str
    # Event names, by type and state key.
    state: dict[Key, str] = field(default_factory=dict)
    typing: list[str] = field(default_factory=list)
    # Event names, by receipt type, thread and user.
    read: dict[tuple[str, str, str], str] = field(default_factory=dict)
    account_data: dict[str, Json] = field(default_factory=dict)

    def take(self, shown: dict) -> None:
        """Takes in what a sync says of the room."""
        for event in [*_events(shown, "state"), *_events(shown, "timeline")]:
            if "state_key" in event:
                self.state[event["type"], event["state_key"]] = event.get("event_id", "?")
        for event in _events(shown, "ephemeral"):
            self._take_ephemeral(event["type"], event["content"])
        for event in _events(shown, "account_data"):
            self.account_data[event["type"]] = event["content"]

    def _take_ephemeral(self, kind: str, content: dict) -> None:
        if kind == "m.typing":
            self.typing = sorted(content["user_ids"])
        if kind == "m.receipt":
            for event_id, kinds in content.items():
                for receipt, users in kinds.items():
                    for user, said in users.items():
                        self.read[receipt, said.get("thread_id", ""), user] = event_id


class Model:
    """All rooms as a client holds them."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self.account_data: dict[str, Json] = {}

    def take(self, answer: Json) -> None:
        """Takes in a sync."""
        assert isinstance(answer, dict)
        # Who left and was invited anew may be told of both.
        for section in ("join", "leave", "knock", "invite"):
            for name, shown in answer.get("rooms", {}).get(section, {}).items():
                self._take_room(name, section, shown)
        for event in _events(answer, "account_data"):
            self.account_data[event["type"]] = event["content"]

    def _take_room(self, name: str, section: str, shown: dict) -> None:
        room = self.rooms.get(name)
        # Who comes back begins anew, and who is invited knows only what the invite shows.
        if room is None or (section != "leave" and section != room.section):
            room = self.rooms[name] = Room(section)
        room.section = section
        room.take(shown)

    def facts(self) -> dict[str, Json]:
        """What is known, as pairs that can be held beside another client's."""
        found: dict[str, Json] = {f"account_data {kind}": content for kind, content in self.account_data.items() if kind not in UNSAID_TYPES}
        for name, room in self.rooms.items():
            found[f"{name} section"] = room.section
            if room.section != "join":
                continue
            found.update({f"{name} state {' '.join(key)}": event for key, event in room.state.items()})
            found.update({f"{name} read {' '.join(key)}": event for key, event in room.read.items()})
            found.update({f"{name} account_data {kind}": content for kind, content in room.account_data.items()})
            found[f"{name} typing"] = room.typing
        return found


def _events(shown: dict, part: str) -> list[dict]:
    return shown.get(part, {}).get("events", [])
