"""Which answers are the same to a client? Their normal form: without what is a server's own to choose."""

import re
from collections.abc import Callable

from .call import Call, Json
from .known import UNSAID, UNSAID_TYPES
from .side import Answer

# A token means something to its server alone: that there is one matters.
_TOKENS = {"next_batch", "prev_batch", "start", "end", "filter_id", "etag", "pos"}
# Lists without an order, as the end of a path.
_UNORDERED = re.compile(r"(^|\.)(state|account_data|ephemeral|invite_state|knock_state)\.events$|\.(required_state|invite_state|heroes)$|^(joined|joined_rooms|aliases|servers)$|\.(user_ids|auth_events|prev_events)$")
_WHOLE_ANSWER_UNORDERED = {"members": "chunk", "state": "", "messages": "state"}


def normal(call: Call, answer: Answer) -> Json:
    """The normal form of a body. Of an error, its code is all that counts."""
    if not answer.good:
        return answer.verdict
    return _normal(answer.body, "", lambda path: bool(_UNORDERED.search(path)) or _WHOLE_ANSWER_UNORDERED.get(call.kind) == path)


def _normal(value: Json, path: str, unordered: Callable[[str], bool]) -> Json:
    if isinstance(value, list):
        items = [_normal(each, path, unordered) for each in value if not _is_unsaid(path, each)]
        return sorted(items, key=_order) if unordered(path) else items
    if not isinstance(value, dict):
        return value
    inside = {}
    for key, each in _untold(value).items():
        where = f"{path}.{key}".removeprefix(".")
        if any(re.search(pattern, where) for pattern in UNSAID):
            continue
        if key in _TOKENS and isinstance(each, str):
            each = "a token"
        # In an event's content, everything counts as it is.
        shown = _content(each) if key == "content" and value.get("type") not in ("m.typing", "m.receipt") else _normal(each, where, unordered)
        # An empty section says no more than an absent one.
        if shown in ({}, []) and key != "content":
            continue
        inside[key] = shown
    return inside


def _untold(shown: dict[str, Json]) -> dict[str, Json]:
    """A room of a sync, without the state that its timeline sets.

    What such a key held before the timeline is seen in nothing but how old messages look; Synapse says it or not.
    """
    state, timeline = shown.get("state"), shown.get("timeline")
    if not isinstance(state, dict) or not isinstance(timeline, dict):
        return shown
    told = [_key(event) for event in timeline.get("events", [])]
    return {**shown, "state": {"events": [event for event in state.get("events", []) if _key(event) not in told]}}


def _key(event: dict[str, Json]) -> tuple[Json, Json]:
    return event.get("type"), event.get("state_key")


def _content(content: Json) -> Json:
    """Synapse writes the creators that the preset adds in any order."""
    if isinstance(content, dict) and isinstance(creators := content.get("additional_creators"), list):
        return {**content, "additional_creators": sorted(map(str, creators))}
    return content


def _is_unsaid(path: str, item: Json) -> bool:
    return path.endswith("account_data.events") and isinstance(item, dict) and item.get("type") in UNSAID_TYPES


def _order(value: Json) -> str:
    if isinstance(value, dict):
        return f"{value.get('type')} {value.get('state_key')} {value.get('event_id')} {value.get('user_id')}"
    return str(value)
