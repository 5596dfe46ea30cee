"""What is set in a room's state, rightly and nearly so?

https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey
"""

from ..call import USERS, Call, Json
from ..story import Room, Story, asked

CANONICAL = ("quay", "pier")
VISIBILITIES = ("shared", "joined", "invited", "world_readable")
JOIN_RULES = ("public", "invite", "knock", "private")


@asked(3)
def name(story: Story) -> Call:
    return _set(story, "m.room.name", {"name": story.dice.one(["", story.text(), "same", "same"])})


@asked(3)
def topic(story: Story) -> Call:
    return _set(story, "m.room.topic", {"topic": story.dice.one([story.text(), "same", "same"])})


@asked(4)
def power_levels(story: Story) -> Call:
    """Levels as a client would write them: with the creator, but in room version 12, which forbids it."""
    dice = story.dice
    room = story.room()
    founder = next(iter(room.members), "alice")
    users = {f"<{user}>": dice.one([0, 50, 100]) for user in USERS if dice.percent(40) and user != founder}
    if room.version != "12" or dice.percent(5):
        users[f"<{founder}>"] = dice.one([100, 100, 100, 50])
    content: dict[str, Json] = {"users": users}
    for key in ("events_default", "state_default", "users_default", "ban", "kick", "redact", "invite"):
        if dice.percent(20):
            content[key] = dice.one([0, 0, 10, 50, 100])
    if dice.percent(20):
        content["events"] = {dice.one(["m.room.name", "m.room.message", "m.room.redaction"]): dice.one([0, 50, 100])}
    return _set(story, "m.room.power_levels", content, room)


@asked(2)
def wrong_power_levels(story: Story) -> Call:
    key, value = story.dice.one(
        [
            ("users", {"nonsense": 50}),
            ("users", {"<bob>": "50"}),
            ("users", {"<bob>": 1.5}),
            ("users", []),
            ("events", {"m.room.name": None}),
            ("ban", "50"),
            ("kick", 9007199254740992),
            ("notifications", {"room": "20"}),
            ("users_default", None),
        ]
    )
    story.spoilt = True
    return _set(story, "m.room.power_levels", {"users": {}, key: value})


@asked(3)
def history_visibility(story: Story) -> Call:
    return _set(story, "m.room.history_visibility", {"history_visibility": story.dice.one(VISIBILITIES)})


@asked(3)
def join_rules(story: Story) -> Call:
    content: dict[str, Json] = {"join_rule": story.dice.one([*JOIN_RULES, "public", "public"])}
    if story.rooms and story.dice.percent(15):
        allow: Json = [{"type": "m.room_membership", "room_id": story.dice.one(story.rooms).name}]
        content = {"join_rule": story.dice.one(["restricted", "knock_restricted"]), "allow": allow}
    return _set(story, "m.room.join_rules", content)


@asked(1)
def encryption(story: Story) -> Call:
    return _set(story, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})


@asked(2)
def canonical_alias(story: Story) -> Call:
    alias = f"<alias:{story.dice.one(CANONICAL)}>"
    content: dict[str, Json] = story.dice.one([{"alias": alias}, {"alt_aliases": [alias]}, {"alias": "nonsense"}, {}])
    story.spoilt = content.get("alias") == "nonsense"
    return _set(story, "m.room.canonical_alias", content)


@asked(2)
def own_state(story: Story) -> Call:
    """State with a key, mostly the setter's own."""
    dice, room = story.dice, story.room()
    who = story.member(room)
    key = dice.one([f"<{who}>", f"<{who}>", story.somebody(), "key"])
    story.makes(room)
    body = story.body(cargo=dice.one(["same", story.text()]))
    return Call("setState", who, "PUT", f"/v3/rooms/{room.name}/state/org.example.cargo/{key}", body=body)


@asked(1)
def create_again(story: Story) -> Call:
    return _set(story, "m.room.create", {"room_version": "11"})


def initial(story: Story) -> Json:
    """One entry of `initial_state`."""
    kind, content = story.dice.one(
        [
            ("m.room.history_visibility", {"history_visibility": story.dice.one(VISIBILITIES)}),
            ("m.room.history_visibility", {"history_visibility": story.dice.one(VISIBILITIES)}),
            ("m.room.join_rules", {"join_rule": story.dice.one(JOIN_RULES)}),
            ("m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"}),
            ("org.example.cargo", {"cargo": "initial"}),
        ]
    )
    keyed: dict[str, Json] = {"state_key": ""} if story.dice.percent(70) else {}
    return {"type": kind, "content": content} | keyed


def _set(story: Story, kind: str, content: dict[str, Json], room: Room | None = None) -> Call:
    room = room or story.room()
    who = story.founder(room)
    story.makes(room)
    slash = "/" if story.dice.percent(50) else ""
    return Call("setState", who, "PUT", f"/v3/rooms/{room.name}/state/{kind}{slash}", body=story.body(**content))
