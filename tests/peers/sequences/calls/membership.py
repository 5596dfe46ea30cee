"""How do users get into rooms, and out of them?

https://spec.matrix.org/v1.19/client-server-api/#room-membership
"""

from ..call import Call, Json
from ..story import Room, Story, asked


@asked(8)
def join(story: Story) -> Call:
    room = story.room()
    who = story.member(room, "invite", "leave", sure=60)
    body = {} if room.members.get(who) == "join" else _reason(story)
    story.moves(room, who, "join")
    path = story.dice.one([f"/v3/rooms/{room.name}/join", f"/v3/join/{room.name}"])
    return Call("join", who, "POST", path, body=body, member=(room.name, f"<{who}>"))


@asked(1)
def join_by_alias(story: Story) -> Call:
    return Call("join", story.user(), "POST", f"/v3/join/<alias:{story.dice.one(['quay', 'pier', 'mole'])}>", body={})


@asked(4)
def leave(story: Story) -> Call:
    room = story.room()
    who = story.member(room, "join", "invite", "knock", sure=90)
    story.moves(room, who, "leave")
    return Call("leave", who, "POST", f"/v3/rooms/{room.name}/leave", body=_reason(story), member=(room.name, f"<{who}>"))


@asked(2)
def forget(story: Story) -> Call:
    room = story.room()
    return Call("forget", story.member(room, "leave", "ban"), "POST", f"/v3/rooms/{room.name}/forget", body={})


@asked(2)
def knock(story: Story) -> Call:
    room = story.room()
    who = story.member(room, "leave", sure=60)
    story.makes(room)
    return Call("knock", who, "POST", f"/v3/knock/{room.name}", body=_reason(story), member=(room.name, f"<{who}>"))


@asked(4)
def invite(story: Story) -> Call:
    return _act(story, "invite", "invite", ("leave", "knock"))


@asked(2)
def kick(story: Story) -> Call:
    return _act(story, "kick", "leave", ("join", "invite"))


@asked(2)
def ban(story: Story) -> Call:
    return _act(story, "ban", "ban", ("join", "leave"))


@asked(3)
def unban(story: Story) -> Call:
    return _act(story, "unban", "leave", ("ban",))


@asked(1)
def member_by_state(story: Story) -> Call:
    room = story.room()
    target = story.other(room)
    membership = story.dice.one(["join", "leave", "invite", "ban", "knock", "nonsense"])
    content = story.body(membership=membership, displayname=story.text())
    story.spoilt |= membership == "nonsense"
    story.makes(room)
    return Call("memberState", story.member(room), "PUT", f"/v3/rooms/{room.name}/state/m.room.member/{target}", body=content)


def _act(story: Story, action: str, membership: str, targets: tuple[str, ...]) -> Call:
    room = story.room()
    target = story.other(room, *targets)
    who = story.member(room)
    if _acts(room, who):
        story.moves(room, target, membership)
    body: dict[str, Json] = {"user_id": target} | _reason(story)
    return Call(action, who, "POST", f"/v3/rooms/{room.name}/{action}", body=story.body(**body), member=(room.name, target))


def _acts(room: Room, who: str) -> bool:
    return room.members.get(who) == "join"


def _reason(story: Story) -> dict[str, Json]:
    return {"reason": story.text()} if story.dice.percent(20) else {}
