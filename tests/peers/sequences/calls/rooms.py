"""How are rooms made, and found by their aliases?

https://spec.matrix.org/v1.19/client-server-api/#creation
"""

from ..call import USERS, Call, Json
from ..story import Room, Story, asked
from .state import CANONICAL, initial

ALIASES = ("quay", "pier", "mole")
PRESETS = ("private_chat", "public_chat", "trusted_private_chat")
MADE = ("m.room.create", "m.room.power_levels", "m.room.join_rules", "m.room.history_visibility", "m.room.guest_access")
# What a new room has besides is each server's own choice: every room says it.
LEVELS: dict[str, Json] = {"historical": 100, "invite": 50, "notifications": {"room": 50}, "events": {"m.room.name": 50, "m.room.power_levels": 100}}
GUESTS: Json = {"type": "m.room.guest_access", "state_key": "", "content": {"guest_access": "can_join"}}


@asked(2)
def create(story: Story) -> Call:
    dice, who = story.dice, story.user()
    version = dice.one(story.versions)
    invited = [user for user in USERS if user != who and dice.percent(25)]
    right: dict[str, Json] = {"room_version": version, "preset": dice.one([*PRESETS, "public_chat"])}
    right |= {"power_level_content_override": LEVELS, "initial_state": [GUESTS]}
    extra: dict[str, Json] = {
        "name": story.text(),
        "topic": story.text(),
        "visibility": dice.one(["public", "private"]),
        "initial_state": [GUESTS, *(initial(story) for _ in range(dice.below(3)))],
        "power_level_content_override": LEVELS | dice.one([{"events_default": 10}, _users(who, version), {"invite": 0, "kick": 0}]),
        "creation_content": dice.one([{"m.federate": False}, {"type": "m.space"}, {"org.example.purpose": "x"}]),
        "room_alias_name": f"{dice.one(CANONICAL)}-<tag>",
        "is_direct": True,
    }
    right.update({key: value for key, value in extra.items() if dice.percent(20)})
    if invited:
        right["invite"] = [f"<{user}>" for user in invited]
    name = f"<room:{story.step}>"
    room = Room(name, version, {who: "join"} | dict.fromkeys(invited, "invite"))
    room.events = [f"<event:{story.step}|{kind}|>" for kind in MADE] + [f"<event:{story.step}|m.room.member|{who}>"]
    story.rooms.append(room)
    return Call("createRoom", who, "POST", "/v3/createRoom", body=right)


@asked(1)
def create_wrongly(story: Story) -> Call:
    """A room that cannot be made. Each of these is refused before anything of a room is there."""
    wrong: dict[str, Json] = story.dice.one(
        [
            {"room_version": "nonsense"},
            {"room_version": 11},
            {"preset": "nonsense"},
            {"invite": ["nonsense"]},
            {"room_alias_name": "non:sense"},
            {"creation_content": []},
        ]
    )
    story.spoilt = True
    return Call("createRoom", story.user(), "POST", "/v3/createRoom", body={"room_version": "11"} | wrong)


@asked(2)
def set_alias(story: Story) -> Call:
    room = story.room()
    body = story.body(room_id=room.name)
    return Call("alias", story.member(room), "PUT", f"/v3/directory/room/{_alias(story)}", body=body)


@asked(1)
def delete_alias(story: Story) -> Call:
    """One that no room calls its own: Synapse changes the room's state with it (the specification: MAY)."""
    return Call("alias", story.user(), "DELETE", "/v3/directory/room/<alias:mole>")


@asked(2)
def find_alias(story: Story) -> Call:
    return Call("alias", story.user(), "GET", f"/v3/directory/room/{_alias(story)}")


@asked(1)
def aliases(story: Story) -> Call:
    room = story.room()
    return Call("aliases", story.member(room), "GET", f"/v3/rooms/{room.name}/aliases")


def _users(who: str, version: str) -> dict[str, Json]:
    """Levels of users with the creator's own. Creators, who may be several, have no place there in room version 12."""
    return {} if version == "12" else {"users": {f"<{user}>": 100 if user == who else 50 for user in USERS}}


def _alias(story: Story) -> str:
    if story.dice.percent(4):
        return story.dice.one(["nonsense", "#nonsense", "#:<server>"])
    return f"<alias:{story.dice.one(ALIASES)}>"
