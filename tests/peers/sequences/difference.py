"""Where do two answers differ?"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .call import Call, Json
from .known import KNOWN, Known

_ABSENT = "nothing"


@dataclass(frozen=True)
class Difference:
    """One thing that the two sides answer differently."""

    call: Call
    path: str
    ours: str
    theirs: str
    # What the answers say besides: the texts of errors.
    said: str = ""

    @property
    def known(self) -> Known | None:
        """Why it is meant, if it is."""
        return next((each for each in KNOWN if each.explains(self.call, self.path, self.ours, self.theirs, self.said)), None)

    @property
    def parts(self) -> bool:
        """Whether the two servers may hold different things from then on."""
        return self.known.parts if self.known else self.call.changes

    @property
    def rule(self) -> tuple[str, str, str, str]:
        """What all differences by one rule have in common."""
        return self.call.kind, _general(self.path), _general(self.ours), _general(self.theirs)

    def __str__(self) -> str:
        return f"{self.call}\n    {self.path}\n      ours:   {self.ours}\n      theirs: {self.theirs}{self.said}"


def differences(call: Call, ours: Json, theirs: Json) -> list[Difference]:
    """All differences between two normal forms."""
    return [Difference(call, path or "status", _text(mine), _text(other)) for path, mine, other in _compare("", ours, theirs)]


def _compare(path: str, ours: Json, theirs: Json) -> Iterator[tuple[str, Json, Json]]:
    if _are_objects(ours, theirs):
        ours, theirs = ({} if each == _ABSENT else each for each in (ours, theirs))
        for key in sorted(ours.keys() | theirs.keys()):
            yield from _compare(f"{path}.{key}".removeprefix("."), ours.get(key, _ABSENT), theirs.get(key, _ABSENT))
    elif _are_events(ours, theirs):
        yield from _compare_events(path, ours, theirs)
    elif ours != theirs or type(ours) is not type(theirs):
        yield path, ours, theirs


def _are_objects(ours: Json, theirs: Json) -> bool:
    return all(isinstance(each, dict) or each == _ABSENT for each in (ours, theirs)) and any((ours != _ABSENT and ours, theirs != _ABSENT and theirs))


def _are_events(ours: Json, theirs: Json) -> bool:
    lists = [[] if each == _ABSENT else each for each in (ours, theirs)]
    return all(isinstance(each, list) for each in lists) and any(lists) and all(isinstance(item, dict) for each in lists for item in each)


def _compare_events(path: str, ours: Json, theirs: Json) -> Iterator[tuple[str, Json, Json]]:
    mine, other = ({_label(event): event for event in ([] if each == _ABSENT else each)} for each in (ours, theirs))
    missing, extra = [label for label in other if label not in mine], [label for label in mine if label not in other]
    if missing or extra:
        yield f"{path}[]", _only(extra), _only(missing)
    elif list(mine) != list(other):
        yield f"{path}[] order", list(mine), list(other)
    for label in mine.keys() & other.keys():
        yield from _compare(f"{path}[{label}]", mine[label], other[label])


def _only(labels: list[str]) -> str:
    return f"only {', '.join(labels)}" if labels else "no more"


def _label(event: dict) -> str:
    key = f" {event['state_key']}" if "state_key" in event else ""
    membership = f" {event['content'].get('membership')}" if event.get("type") == "m.room.member" else ""
    return f"{event.get('type')}{key}{membership} {event.get('event_id', '')}".strip()


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _general(text: str) -> str:
    """A text without what differs from case to case."""
    return re.sub(r"\[[^\]]*\]|\d+", "#", re.sub(r"<[^<>]*>", "<>", text))[:160]
