"""What do clients read of rooms?

https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room
"""

from ..call import USERS, Call, Json
from ..story import Room, Story, asked

KINDS = ("m.room.message", "m.room.member", "m.room.name", "m.room.*", "m.reaction", "org.example.cargo", "*", "nonsense")


@asked(6)
def messages(story: Story) -> Call:
    """A page in either direction, from a token of whatever endpoint, or from an end."""
    dice, room = story.dice, story.room()
    who = story.member(room, "join", "leave")
    query = story.query(
        **{"from": _token(story, who, room, 60), "to": _token(story, who, room, 10)},
        dir=dice.one(["b", "b", "f", None]) if dice.percent(20) else dice.one(["b", "f"]),
        limit=dice.one([None, 1, 2, 3, 5, 30, 0]),
        filter=event_filter(story, room) if dice.percent(35) else None,
    )
    story.pages.append((who, room.name, f"<end:{story.step}>"))
    return Call("messages", who, "GET", f"/v3/rooms/{room.name}/messages", query)


@asked(3)
def members(story: Story) -> Call:
    dice, room = story.dice, story.room()
    who = story.member(room, "join", "leave")
    query = story.query(
        at=_token(story, who, room, 30),
        membership=dice.one(["join", "leave", "invite", "ban"]) if dice.percent(30) else None,
        not_membership=dice.one(["join", "leave", "invite", "ban"]) if dice.percent(30) else None,
    )
    return Call("members", who, "GET", f"/v3/rooms/{room.name}/members", query)


@asked(3)
def whole_state(story: Story) -> Call:
    room = story.room()
    return Call("state", story.member(room, "join", "leave"), "GET", f"/v3/rooms/{room.name}/state")


@asked(3)
def one_state(story: Story) -> Call:
    dice, room = story.dice, story.room()
    kind = dice.one(["m.room.name/", "m.room.topic", "m.room.power_levels/", f"m.room.member/{story.somebody()}", "nonsense/x"])
    query = story.query(format=dice.one(["event", "content"]) if dice.percent(30) else None)
    return Call("oneState", story.member(room, "join", "leave"), "GET", f"/v3/rooms/{room.name}/state/{kind}", query)


@asked(5)
def event(story: Story) -> Call:
    room = story.room()
    return Call("event", story.member(room, "join", "leave"), "GET", f"/v3/rooms/{room.name}/event/{story.event(room)}")


@asked(4)
def related(story: Story) -> Call:
    """What relates to an event, mostly to a message."""
    dice, room = story.dice, story.room()
    who = story.member(room, "join", "leave")
    event = dice.one(room.said)[0] if room.said and dice.percent(85) else story.event(room)
    kinds = dice.one(["", "", "/m.thread", "/m.replace", "/m.annotation/m.reaction", "/m.thread/m.room.message", "/nonsense"])
    query = story.query(
        **{"from": _token(story, who, room, 20)},
        dir=dice.one([None, "b", "f"]),
        limit=dice.one([None, 1, 2, 30]),
        recurse="true" if dice.percent(20) else None,
    )
    return Call("related", who, "GET", f"/v1/rooms/{room.name}/relations/{event}{kinds}", query)


@asked(2)
def threads(story: Story) -> Call:
    dice, room = story.dice, story.room()
    query = story.query(include=dice.one([None, "all", "participated"]), limit=dice.one([None, 1, 2, 30]))
    return Call("threads", story.member(room, "join", "leave"), "GET", f"/v1/rooms/{room.name}/threads", query)


@asked(2)
def by_time(story: Story) -> Call:
    """Before everything, or after it: the clocks between are each server's own."""
    dice, room = story.dice, story.room()
    query = story.query(ts=dice.one(["0", "4000000000000"]), dir=dice.one(["f", "b"]))
    return Call("by_time", story.member(room, "join", "leave"), "GET", f"/v1/rooms/{room.name}/timestamp_to_event", query)


@asked(2)
def joined_members(story: Story) -> Call:
    room = story.room()
    return Call("joined_members", story.member(room, "join", "leave"), "GET", f"/v3/rooms/{room.name}/joined_members")


@asked(1)
def joined_rooms(story: Story, user: str | None = None) -> Call:
    return Call("joined_rooms", user or story.user(), "GET", "/v3/joined_rooms")


def event_filter(story: Story, room: Room | None = None) -> dict[str, Json]:
    """A filter for room events, mostly a right one."""
    dice = story.dice
    rooms = [each.name for each in story.rooms] or ["<room:999>"]
    parts: dict[str, Json] = {
        "types": dice.some(KINDS),
        "not_types": dice.some(KINDS[:5], least=1),
        "senders": dice.some([f"<{user}>" for user in USERS]),
        "not_senders": dice.some([f"<{user}>" for user in USERS], least=1),
        "limit": dice.one([1, 2, 5, 20]),
        "lazy_load_members": True,
        "rooms": dice.some(rooms),
        "not_rooms": dice.some(rooms),
        "contains_url": dice.percent(50),
        "related_by_senders": dice.some([f"<{user}>" for user in USERS], least=1),
        "related_by_rel_types": dice.some(["m.thread", "m.replace", "m.annotation"], least=1),
    }
    if not story.filters_rooms:
        del parts["rooms"], parts["not_rooms"]
    right = {key: value for key, value in parts.items() if dice.percent(15 if key in ("rooms", "not_rooms", "contains_url", "related_by_senders", "related_by_rel_types") else 30)}
    wrong = story.body(**right)
    return wrong if isinstance(wrong, dict) else right


def _token(story: Story, who: str, room: Room, chances: int) -> str | None:
    """A token that the user was given: of a sync, of a sync's timeline in this room, of a page."""
    if not story.dice.percent(chances):
        return None
    own = [step for user, step in story.syncs if user == who]
    tokens = [f"<since:{step}>" for step in own] + [f"<prev:{step}/{room.name.strip('<>')}>" for step in own]
    tokens += [end for user, where, end in story.pages if user == who and where == room.name]
    return story.dice.one(tokens[-6:]) if tokens else None
