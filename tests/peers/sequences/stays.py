"""Who was in which room, and who is in it now? What the calls that succeeded say."""

import json
import re
from collections import defaultdict

from .call import Call, Json, Past

# The calls about one member, and those of them that make the membership `leave`.
_ACTS = ("leave", "kick", "ban", "unban", "invite", "knock")
_LEAVES = ("leave", "kick", "unban")


class Stays:
    """The rooms of a sequence, with their members."""

    def __init__(self) -> None:
        # Who is in which room now, and who ever was.
        self._now: set[tuple[str, str]] = set()
        self._ever: set[tuple[str, str]] = set()
        # What ever became of a user in a room, and what ever happened in a room, by the names of `Past`.
        self._users: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        self._rooms: defaultdict[str, set[str]] = defaultdict(set)
        # The users who ever ignored somebody.
        self._ignoring: set[str] = set()
        # What account data was set to, by path; and who set some again to what it was.
        self._data: dict[str, str] = {}
        self._repeating: set[str] = set()
        # The users who took another name or avatar.
        self._renamed: set[str] = set()

    def past(self, who: str) -> Past:
        """What was before a user's call."""
        rooms = {room for room, _ in self._ever}
        return Past(
            never=frozenset(rooms - _rooms_of(who, self._ever)),
            deserted=frozenset(rooms - {room for room, _ in self._now}),
            purged=frozenset(room for room, _ in self._users["left"]),
            **{name: _rooms_of(who, self._users[name]) for name in ("came", "left", "out", "back", "forgotten", "banned", "unmarked", "spoke")},
            **{name: frozenset(self._rooms[name]) for name in ("veiled", "doubled", "redacted", "unread")},
            ignores=who in self._ignoring,
            repeats=who in self._repeating,
            renamed=who in self._renamed,
        )

    def take(self, call: Call, body: Json) -> None:
        """Takes in a call that succeeded, and what it was answered."""
        named = re.findall(r"<room:\d+>", call.path) or [f"<room:{call.step}>"]
        if re.search(r'"history_visibility": "(joined|invited)"', json.dumps(call.body)):
            self._rooms["veiled"].update(named)
        if call.changes and "redact" in call.path:
            self._rooms["redacted"].update(named)
        if call.changes and re.search(r"/(send|redact)/", call.path):
            self._users["spoke"].update((room, call.who) for room in named)
        if call.kind == "forget":
            self._users["forgotten"].add((named[0], call.who))
        if call.kind == "profile" and call.changes:
            self._renamed.add(call.who)
        if call.kind == "account_data" and call.changes:
            self._set(call)
        self._take_member(call, body)

    def refuse(self, call: Call) -> None:
        """Takes in a call that ours refused."""
        if call.kind in ("receipt", "read_markers"):
            named = re.findall(r"<room:\d+>", call.path)
            self._rooms["unread"].update(named)
            if "m.fully_read" in f"{call.path} {json.dumps(call.body)}":
                self._users["unmarked"].update((room, call.who) for room in named)

    def _take_member(self, call: Call, body: Json) -> None:
        """Takes in who came or went."""
        member = re.fullmatch(r"/v3/rooms/(<room:\d+>)/state/m\.room\.member/<(\w+)>", call.path)
        if call.kind == "createRoom":
            self._create(call)
        elif call.kind == "join":
            room = call.member[0] if call.member else str(body.get("room_id")) if isinstance(body, dict) else ""
            self._users["came"].add((room, call.who))
            self._change((room, call.who), "join")
        elif call.kind in _ACTS and call.member:
            self._change((call.member[0], call.member[1].strip("<>")), call.kind)
        elif call.kind == "memberState" and member and isinstance(call.body, dict):
            self._change((member[1], member[2]), str(call.body.get("membership")))

    def _create(self, call: Call) -> None:
        room = f"<room:{call.step}>"
        self._change((room, call.who), "join")
        state = call.body.get("initial_state", ()) if isinstance(call.body, dict) else ()
        said = [event.get("type") for event in state if isinstance(event, dict)]
        if len(set(said)) < len(said) or {"m.room.join_rules", "m.room.history_visibility"} & set(said):
            self._rooms["doubled"].add(room)

    def _set(self, call: Call) -> None:
        if call.path.endswith("/m.ignored_user_list"):
            self._ignoring.add(call.who)
        content = json.dumps(call.body, sort_keys=True)
        if self._data.get(call.path) == content:
            self._repeating.add(call.who)
        self._data[call.path] = content

    def _change(self, member: tuple[str, str], membership: str) -> None:
        if membership == "ban":
            self._users["banned"].add(member)
        if membership in _LEAVES:
            self._users["out"].add(member)
        else:
            self._users["out"].discard(member)
        if membership == "join":
            if member in self._users["left"]:
                self._users["back"].add(member)
            self._users["forgotten"].discard(member)
            self._ever.add(member)
            self._now.add(member)
        elif member in self._now:
            self._users["left"].add(member)
            self._now.discard(member)


def _rooms_of(who: str, members: set[tuple[str, str]]) -> frozenset[str]:
    return frozenset(room for room, user in members if user == who)
