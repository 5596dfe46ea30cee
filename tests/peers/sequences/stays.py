"""Who was in which room, and who is in it now? What the calls that succeeded say."""

import json
import re

from .call import Call, Json, Past

_ENDS = ("leave", "kick", "ban")


class Stays:
    """The rooms of a sequence, with their members."""

    def __init__(self) -> None:
        # By room.
        self._ever: dict[str, set[str]] = {}
        self._now: dict[str, set[str]] = {}
        self._came: dict[str, set[str]] = {}
        self._left: dict[str, set[str]] = {}
        self._banned: dict[str, set[str]] = {}
        self._purged: set[str] = set()
        self._redacted: set[str] = set()
        # The rooms whose initial state says something twice.
        self._doubled: set[str] = set()
        self._veiled: set[str] = set()
        # The users who ever ignored somebody.
        self._ignoring: set[str] = set()
        # What account data was set to, by path; and who set some again to what it was.
        self._data: dict[str, str] = {}
        self._repeating: set[str] = set()

    def past(self, who: str) -> Past:
        """What was before a user's call."""
        return Past(
            never=frozenset(room for room, users in self._ever.items() if who not in users),
            deserted=frozenset(room for room, users in self._now.items() if not users),
            veiled=frozenset(self._veiled),
            came=frozenset(room for room, users in self._came.items() if who in users),
            left=frozenset(room for room, users in self._left.items() if who in users),
            banned=frozenset(room for room, users in self._banned.items() if who in users),
            doubled=frozenset(self._doubled),
            purged=frozenset(self._purged),
            redacted=frozenset(self._redacted),
            ignores=who in self._ignoring,
            repeats=who in self._repeating,
        )

    def take(self, call: Call, body: Json) -> None:
        """Takes in a call that succeeded, and what it was answered."""
        if re.search(r'"history_visibility": "(joined|invited)"', json.dumps(call.body)):
            self._veiled.update(re.findall(r"<room:\d+>", call.path) or [f"<room:{call.step}>"])
        member = re.fullmatch(r"/v3/rooms/(<room:\d+>)/state/m\.room\.member/<(\w+)>", call.path)
        if call.path.endswith("/m.ignored_user_list") and call.changes:
            self._ignoring.add(call.who)
        if call.changes and "redact" in call.path:
            self._redacted.update(re.findall(r"<room:\d+>", call.path))
        if call.kind == "account_data" and call.changes:
            self._set(call)
        if call.kind == "createRoom":
            self._come(f"<room:{call.step}>", call.who)
            said = [event.get("type") for event in call.body.get("initial_state", ()) if isinstance(event, dict)] if isinstance(call.body, dict) else []
            if len(set(said)) < len(said) or {"m.room.join_rules", "m.room.history_visibility"} & set(said):
                self._doubled.add(f"<room:{call.step}>")
        elif call.kind == "join":
            room = call.member[0] if call.member else str(body.get("room_id")) if isinstance(body, dict) else ""
            self._came.setdefault(room, set()).add(call.who)
            self._come(room, call.who)
        elif call.kind in _ENDS and call.member:
            self._go(call.member[0], call.member[1].strip("<>"))
            if call.kind == "ban":
                self._banned.setdefault(call.member[0], set()).add(call.member[1].strip("<>"))
        elif call.kind == "memberState" and member and isinstance(call.body, dict):
            (self._come if call.body.get("membership") == "join" else self._go)(*member.groups())
            if call.body.get("membership") == "ban":
                self._banned.setdefault(member[1], set()).add(member[2])

    def _set(self, call: Call) -> None:
        content = json.dumps(call.body, sort_keys=True)
        if self._data.get(call.path) == content:
            self._repeating.add(call.who)
        self._data[call.path] = content

    def _come(self, room: str, user: str) -> None:
        self._ever.setdefault(room, set()).add(user)
        self._now.setdefault(room, set()).add(user)

    def _go(self, room: str, user: str) -> None:
        if user in self._now.get(room, set()):
            self._purged.add(room)
            self._left.setdefault(room, set()).add(user)
        self._now.get(room, set()).discard(user)
