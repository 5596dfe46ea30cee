"""How does a client back its room keys up?

https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups
"""

from ..call import Call, Json
from ..story import Story, asked

ALGORITHMS = ("m.megolm_backup.v1.curve25519-aes-sha2", "org.example.backup")


@asked(2)
def create_backup(story: Story) -> Call:
    who = story.user()
    story.backups[who] = story.backups.get(who, 0) + 1
    return Call("backup", who, "POST", "/v3/room_keys/version", body=_described(story))


@asked(2)
def backup(story: Story) -> Call:
    who = story.user()
    return Call("backup", who, "GET", story.dice.one(["/v3/room_keys/version", f"/v3/room_keys/version/{_version(story, who)}"]))


@asked(1)
def update_backup(story: Story) -> Call:
    who = story.user()
    version = _version(story, who)
    body = _described(story) | ({"version": _version(story, who)} if story.dice.percent(30) else {})
    return Call("backup", who, "PUT", f"/v3/room_keys/version/{version}", body=body)


@asked(1)
def delete_backup(story: Story) -> Call:
    who = story.user()
    return Call("backup", who, "DELETE", f"/v3/room_keys/version/{_version(story, who)}")


@asked(5)
def store_keys(story: Story) -> Call:
    who, dice = story.user(), story.dice
    room, other, session = story.room().name, story.room().name, _session(story)
    path, body = dice.one(
        [
            (f"/{room}/{session}", _key(story)),
            (f"/{room}", _sessions(story)),
            ("", {"rooms": {room: _sessions(story), other: _sessions(story)}}),
        ]
    )
    return Call("backup", who, "PUT", f"/v3/room_keys/keys{path}", story.query(version=_version(story, who)), body)


@asked(3)
def keys(story: Story) -> Call:
    who = story.user()
    return Call("backup", who, "GET", f"/v3/room_keys/keys{_place(story)}", story.query(version=_version(story, who)))


@asked(1)
def delete_keys(story: Story) -> Call:
    who = story.user()
    return Call("backup", who, "DELETE", f"/v3/room_keys/keys{_place(story)}", story.query(version=_version(story, who)))


def _version(story: Story, who: str) -> str:
    """Mostly the newest. Both servers number the backups of a user."""
    newest = story.backups.get(who, 1)
    return str(newest if story.dice.percent(75) else story.dice.one(range(newest + 2)))


def _place(story: Story) -> str:
    room = story.room().name
    return story.dice.one(["", f"/{room}", f"/{room}/{_session(story)}"])


def _session(story: Story) -> str:
    return story.dice.one(["a", "b", "c/+"])


def _described(story: Story) -> dict[str, Json]:
    return {"algorithm": story.dice.one(ALGORITHMS), "auth_data": {"public_key": story.text()}}


def _sessions(story: Story) -> dict[str, Json]:
    return {"sessions": {_session(story): _key(story) for _ in range(story.dice.below(3))}}


def _key(story: Story) -> dict[str, Json]:
    """A key that is better than another in all, or in nothing: of others, Synapse may keep the worse."""
    worth = story.dice.below(5)
    return {"first_message_index": 9 - worth, "forwarded_count": 9 - worth, "is_verified": worth > 2, "session_data": {"ciphertext": story.text()}}
