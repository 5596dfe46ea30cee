"""Does what is no event reach the other server: typing, receipts, profiles?

https://spec.matrix.org/v1.19/server-server-api/#edus
"""

from urllib.parse import quote

from poll import until


def test_typing_is_seen_and_its_end_too(scene):
    room, alice, bob = scene.room, scene.alice, scene.bob
    for writer, reader in ((alice, bob), (bob, alice)):
        reader.sees_joined(room)
        writer.type(room, True)
        reader.sees(lambda: writer.id in reader.joined[room].typing)
        writer.type(room, False)
        reader.sees(lambda: writer.id not in reader.joined[room].typing)


def test_a_receipt_reaches_who_spoke(scene):
    room, alice, bob = scene.room, scene.alice, scene.bob
    for speaker, reader in ((alice, bob), (bob, alice)):
        event_id = speaker.say(room, f"from {speaker.id}")
        reader.sees_message(room, f"from {speaker.id}")
        reader.read(room, event_id)
        speaker.sees(lambda: room in speaker.joined and speaker.joined[room].read.get(reader.id) == event_id)


def test_a_profile_is_read_by_the_other_server_and_follows_into_rooms(scene):
    room, alice, bob = scene.room, scene.alice, scene.bob
    for owner, other in ((alice, bob), (bob, alice)):
        name = f"Captain {owner.localpart}"
        owner.call("PUT", f"/v3/profile/{quote(owner.id)}/displayname", json={"displayname": name})
        profile = other.call("GET", f"/v3/profile/{quote(owner.id)}")
        assert profile["displayname"] == name
        until(lambda: other.state(room)["m.room.member", owner.id]["content"].get("displayname") == name)
    scene.agree()
