"""What do clients ask of /sync, and which filters do they store?

https://spec.matrix.org/v1.19/client-server-api/#syncing
"""

from ..call import Call, Json
from ..story import Story, asked
from .reading import event_filter


@asked(14)
def go_on(story: Story) -> Call:
    """The next sync of a client, which keeps its filter."""
    return catch_up(story, story.user())


def catch_up(story: Story, user: str) -> Call:
    """The next sync of this user's client."""
    if user not in story.chain_filters:
        story.chain_filters[user] = story.dice.one([None, {"room": {"state": {"lazy_load_members": True}}}, _few(story), _filter(story)])
    story.syncs.append((user, story.step))
    chain = f"<chain:{user}>"
    query = {"since": chain, "timeout": "0"} | _given(story.chain_filters[user])
    return Call("sync", user, "GET", "/v3/sync", query, chain=chain)


def slide(story: Story, user: str) -> Call:
    """A sliding sync of this user that begins. How one goes on depends on when it is asked: the simulation plays that."""
    dice = story.dice
    wanted = [{"timeline_limit": dice.one([1, 2, 5, 20]), "required_state": dice.one(_WANTED)} for _ in range(2)]
    body: dict[str, Json] = {"lists": {"all": {"ranges": [[0, 9]], **wanted[0]}}}
    if story.rooms and dice.percent(30):
        body["room_subscriptions"] = {story.room().name: wanted[1]}
    return Call("slide", user, "POST", "/unstable/org.matrix.simplified_msc3575/sync", {"timeout": "0"}, body)


@asked(6)
def look(story: Story) -> Call:
    """A sync out of any chain: from the beginning, or from any token of this user, with any filter."""
    dice, who = story.dice, story.user()
    own = [step for user, step in story.syncs if user == who]
    query = story.query(
        since=f"<since:{dice.one(own)}>" if own and dice.percent(60) else None,
        full_state="true" if dice.percent(25) else None,
        filter=_stored(story, who) if dice.percent(15) else _filter(story) if dice.percent(50) else None,
        timeout="0",
    )
    story.syncs.append((who, story.step))
    return Call("sync", who, "GET", "/v3/sync", query)


@asked(1)
def store_filter(story: Story) -> Call:
    who = story.user()
    story.filters.append((who, story.step))
    owner = f"<{who}>" if story.dice.percent(95) else story.somebody()
    return Call("filter", who, "POST", f"/v3/user/{owner}/filter", body=story.body(**_filter(story)))


@asked(1)
def stored_filter(story: Story) -> Call:
    who = story.user()
    return Call("filter", who, "GET", f"/v3/user/<{who}>/filter/{_stored(story, who) or '999'}")


# Which state sliding syncs want.
_WANTED: tuple[Json, ...] = (
    [],
    [["m.room.name", ""], ["m.room.member", "$ME"]],
    [["m.room.member", "$LAZY"], ["m.room.topic", ""]],
    [["*", "*"]],
    [["m.room.member", "*"], ["m.room.topic", ""]],
)


def _stored(story: Story, who: str) -> str | None:
    own = [step for user, step in story.filters if user == who]
    return f"<filter:{story.dice.one(own)}>" if own else None


def _given(chosen: Json) -> dict[str, Json]:
    return {} if chosen is None else {"filter": chosen}


def _few(story: Story) -> Json:
    """A short timeline, so that gaps come about."""
    return {"room": {"timeline": {"limit": story.dice.one([1, 2, 3])}}}


def _filter(story: Story) -> dict[str, Json]:
    dice = story.dice
    rooms = [each.name for each in story.rooms] or ["<room:999>"]
    parts: dict[str, Json] = {
        "timeline": event_filter(story),
        "state": event_filter(story),
        "ephemeral": {"types": dice.some(["m.typing", "m.receipt"])},
        "account_data": {"not_types": dice.some(["m.tag", "m.fully_read", "org.example.mark"])},
        "rooms": dice.some(rooms),
        "not_rooms": dice.some(rooms),
        "include_leave": True,
    }
    if not story.filters_rooms:
        del parts["rooms"], parts["not_rooms"]
    room = {key: value for key, value in parts.items() if dice.percent(25)}
    whole: dict[str, Json] = {"room": story.body(**room)}
    if dice.percent(15):
        whole["account_data"] = {"types": dice.some(["m.direct", "org.example.mark"])}
    if dice.percent(15):
        whole["event_format"] = dice.one(["client", "federation"])
    if dice.percent(10):
        whole["event_fields"] = ["type", "content", "sender", "event_id", "state_key", "room_id"]
    return whole
