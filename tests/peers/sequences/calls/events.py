"""What is said in rooms, and taken back?

https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room
"""

from dataclasses import replace

from ..call import Call, Json
from ..story import Room, Story, asked


@asked(12)
def send(story: Story) -> Call:
    room = story.room()
    who = story.member(room, sure=93)
    event = story.makes(room)
    content = story.body(msgtype="m.text", body=story.text())
    kind = story.dice.weighted([(9, "m.room.message"), (2, "org.example.cargo"), (1, "m.sticker")])
    if kind == "m.room.message":
        room.said.append((event, who))
    return _send(story, room, who, kind, content)


@asked(1)
def send_with_url(story: Story) -> Call:
    room = story.room()
    content = story.body(msgtype="m.image", body=story.text(), url="mxc://example.org/x")
    story.makes(room)
    return _send(story, room, story.member(room), "m.room.message", content)


@asked(2)
def send_again(story: Story) -> Call:
    """The transaction ID of one of the last messages, for the same content or another, in the same room or another."""
    room = story.room()
    event, who = story.dice.one(room.said[-3:]) if room.said else ("<event:999>", story.user())
    number = event.strip("<>").removeprefix("event:")
    content = {"msgtype": "m.text", "body": story.text()}
    where = room if story.dice.percent(70) else story.room()
    return replace(_send(story, where, who, "m.room.message", content), path=f"/v3/rooms/{where.name}/send/m.room.message/t{number}")


@asked(3)
def react(story: Story) -> Call:
    room = story.room()
    relates = {"rel_type": "m.annotation", "event_id": _said(story, room), "key": story.dice.one(["a", "b"])}
    story.makes(room)
    return _send(story, room, story.member(room), "m.reaction", {"m.relates_to": story.body(**relates)})


@asked(2)
def edit(story: Story) -> Call:
    room = story.room()
    event, who = story.dice.one(room.said) if room.said else ("<event:999>", story.user())
    text = story.text()
    relates: dict[str, Json] = {"rel_type": "m.replace", "event_id": event}
    content: Json = {"msgtype": "m.text", "body": f"* {text}", "m.new_content": {"msgtype": "m.text", "body": text}, "m.relates_to": relates}
    story.makes(room)
    return _send(story, room, who if story.dice.percent(80) else story.user(), "m.room.message", content)


@asked(2)
def reply_in_thread(story: Story) -> Call:
    room = story.room()
    relates = {"rel_type": "m.thread", "event_id": _said(story, room)}
    story.makes(room)
    return _send(story, room, story.member(room), "m.room.message", {"msgtype": "m.text", "body": story.text(), "m.relates_to": relates})


@asked(6)
def redact(story: Story) -> Call:
    room = story.room()
    event, who = story.dice.one(room.said) if room.said and story.dice.percent(50) else (story.event(room), story.member(room))
    if story.dice.percent(30):
        who = story.member(room)
    body: dict[str, Json] = {"reason": story.text()} if story.dice.percent(50) else {}
    story.makes(room)
    return Call("redact", who, "PUT", f"/v3/rooms/{room.name}/redact/{event}/t{story.step}", body=story.body(**body))


@asked(1)
def redact_by_send(story: Story) -> Call:
    room = story.room()
    story.makes(room)
    return _send(story, room, story.member(room), "m.room.redaction", story.body(redacts=story.event(room)))


def _said(story: Story, room: Room) -> str:
    return story.dice.one(room.said)[0] if room.said and story.dice.percent(95) else story.event(room)


def _send(story: Story, room: Room, who: str, kind: str, content: Json) -> Call:
    return Call("send", who, "PUT", f"/v3/rooms/{room.name}/send/{kind}/t{story.step}", body=content)
