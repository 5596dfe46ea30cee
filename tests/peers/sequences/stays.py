"""Who was in which room, and who is in it now? What the calls that succeeded say."""

import json
import re

from .call import Call, Json

_ENDS = ("leave", "kick", "ban")


class Stays:
    """The rooms of a sequence, with their members."""

    def __init__(self) -> None:
        # By room.
        self._ever: dict[str, set[str]] = {}
        self._now: dict[str, set[str]] = {}
        self._veiled: set[str] = set()

    def never(self, who: str) -> frozenset[str]:
        """The rooms that a user was never in."""
        return frozenset(room for room, users in self._ever.items() if who not in users)

    @property
    def deserted(self) -> frozenset[str]:
        """The rooms that nobody is in any more."""
        return frozenset(room for room, users in self._now.items() if not users)

    @property
    def veiled(self) -> frozenset[str]:
        """The rooms where the visibility of history ever kept something from who came later."""
        return frozenset(self._veiled)

    def take(self, call: Call, body: Json) -> None:
        """Takes in a call that succeeded, and what it was answered."""
        if re.search(r'"history_visibility": "(joined|invited)"', json.dumps(call.body)):
            self._veiled.update(re.findall(r"<room:\d+>", call.path) or [f"<room:{call.step}>"])
        member = re.fullmatch(r"/v3/rooms/(<room:\d+>)/state/m\.room\.member/<(\w+)>", call.path)
        if call.kind == "createRoom":
            self._come(f"<room:{call.step}>", call.who)
        elif call.kind == "join":
            self._come(call.member[0] if call.member else str(body.get("room_id")) if isinstance(body, dict) else "", call.who)
        elif call.kind in _ENDS and call.member:
            self._go(call.member[0], call.member[1].strip("<>"))
        elif call.kind == "memberState" and member and isinstance(call.body, dict):
            (self._come if call.body.get("membership") == "join" else self._go)(*member.groups())

    def _come(self, room: str, user: str) -> None:
        self._ever.setdefault(room, set()).add(user)
        self._now.setdefault(room, set()).add(user)

    def _go(self, room: str, user: str) -> None:
        self._now.get(room, set()).discard(user)
