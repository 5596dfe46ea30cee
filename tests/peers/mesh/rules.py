"""Which rules of Matrix keep an event out of a state, as far as one other event there says so?

https://spec.matrix.org/v1.19/rooms/v11/#authorization-rules
"""


def forbids(by: dict, event: dict) -> str | None:
    """Why an event is not allowed in a state where another stands, if that alone says so."""
    kind, content = by["type"], by["content"]
    if kind == "m.room.member" and by["state_key"] == event["sender"] and content.get("membership") in ("leave", "ban"):
        return f"puts {event['sender']} out"
    if kind == "m.room.member" and membership(event) == "invite" and by["state_key"] == event["state_key"] and content.get("membership") in ("join", "ban"):
        return f"leaves nobody to invite in {event['state_key']}"
    if kind == "m.room.join_rules" and membership(event) == "join" and content.get("join_rule") != "public":
        return "closes the room"
    if kind == "m.room.power_levels" and (level := _level(content, event["sender"])) < (needed := _needed(content, event)):
        return f"gives {event['sender']} the level {level} where {needed} is needed"
    if kind == event["type"] == "m.room.power_levels" and (what := _out_of_reach(content, event)):
        return f"keeps {event['sender']} from changing {what}"
    return None


def is_power_event(event: dict) -> bool:
    """Whether an event may take somebody's right to do something.

    https://spec.matrix.org/v1.19/rooms/v2/#definitions
    """
    puts_out = membership(event) in ("leave", "ban") and event["sender"] != event["state_key"]
    return event["type"] in ("m.room.power_levels", "m.room.join_rules") or puts_out


def membership(event: dict) -> str | None:
    """What a member event makes of its user; nothing of other events."""
    return event["content"].get("membership") if event["type"] == "m.room.member" else None


def _level(levels: dict, user: str) -> int:
    return levels.get("users", {}).get(user, levels.get("users_default", 0))


def _needed(levels: dict, event: dict) -> int:
    """The level that power levels ask for an event."""
    if event["type"] == "m.room.member":
        if event["state_key"] == event["sender"]:
            return 0
        key, default = {"invite": ("invite", 0), "ban": ("ban", 50)}.get(event["content"].get("membership"), ("kick", 50))
        outranked = _level(levels, event["state_key"]) + 1 if key != "invite" else 0
        return max(levels.get(key, default), outranked)
    if event["type"] == "m.room.redaction":
        return max(levels.get("events_default", 0), levels.get("redact", 50))
    if "state_key" in event:
        return levels.get("events", {}).get(event["type"], levels.get("state_default", 50))
    return levels.get("events", {}).get(event["type"], levels.get("events_default", 0))


def _out_of_reach(levels: dict, event: dict) -> str | None:
    """What new power levels change that the old ones do not let their sender change."""
    own = _level(levels, event["sender"])
    old, new = _flat(levels), _flat(event["content"])
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        of_equal = key[0] == "users" and key[1] != event["sender"] and before == own
        if before != after and (of_equal or max(before or 0, after or 0) > own):
            return " ".join(key)
    return None


def _flat(levels: dict) -> dict[tuple[str, str], int]:
    """Power levels, each by its section and key."""
    sections = {key: value if isinstance(value, dict) else {"": value} for key, value in levels.items()}
    return {(section, key): level for section, held in sections.items() for key, level in held.items()}
