"""Is nothing lost of what was said before a server came, or while it was down?

https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
"""

from poll import until
from user import User


def bodies(user: User, room: str, limit: int) -> list[str]:
    """What the user's server shows of the room's history, oldest first."""
    return [event["content"]["body"] for event in reversed(user.history(room, limit))]


def test_a_newcomer_can_read_the_hundred_messages_before_him(people, version):
    alice, bob, _ = people
    room = alice.create_room(room_version=version, preset="public_chat")
    said = [f"message {number}" for number in range(100)]
    for body in said:
        alice.say(room, body)
    bob.join(room, via=alice.server)
    bob.sees_joined(room)
    until(lambda: bodies(bob, room, 100) == said)


def test_a_server_that_was_down_catches_up(scene):
    room, alice, bob = scene.room, scene.alice, scene.bob
    bob.server.stop()
    said = [f"while down {number}" for number in range(50)]
    try:
        for body in said:
            alice.say(room, body)
        alice.set_state(room, "m.room.topic", {"topic": "changed while down"})
    finally:
        bob.server.start()
    # A word from the other side tells that it is back.
    bob.say(room, "back")
    alice.sees_message(room, "back", seconds=60)
    until(lambda: set(bodies(bob, room, 60)) == {*said, "back"}, seconds=60)
    assert [body for body in bodies(bob, room, 60) if body != "back"] == said
    scene.agree()
