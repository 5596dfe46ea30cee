"""Do both servers agree on what was said, and on who may say what?

https://spec.matrix.org/v1.19/server-server-api/#pdus
"""

import pytest

from poll import until
from user import Refused, Room, User


def redacted(witness: User, room: str, event_id: str) -> bool:
    """Whether the witness's server shows the event without its content."""
    events = witness.history(room, 20)
    event = next(event for event in events if event["event_id"] == event_id)
    return event["content"] == {} and "redacted_because" in event.get("unsigned", {})


def test_messages_pass_both_ways_in_order(scene):
    room, alice, bob = scene.room, scene.alice, scene.bob
    for number in range(5):
        alice.say(room, f"alice {number}")
        bob.sees_message(room, f"alice {number}")
        bob.say(room, f"bob {number}")
        alice.sees_message(room, f"bob {number}")
    expected = [f"{who} {number}" for number in range(5) for who in ("alice", "bob")]
    for user in (alice, bob, scene.carol):
        user.sees_message(room, "bob 4")
        assert user.joined[room].bodies() == expected
    scene.agree()


def test_an_event_is_the_same_on_both_sides(scene):
    event_id = scene.alice.send(scene.room, "org.example.cargo", {"list": [1, {"deep": "å∂"}], "zero": 0, "no": None})

    def arrived() -> dict | None:
        timeline = scene.bob.joined.get(scene.room, Room()).timeline
        return next((event for event in timeline if event["event_id"] == event_id), None)

    theirs = scene.bob.sees(arrived)
    assert theirs["content"] == {"list": [1, {"deep": "å∂"}], "zero": 0, "no": None}
    assert theirs["sender"] == scene.alice.id


def test_both_may_speak_at_once(scene):
    room, alice, bob = scene.room, scene.alice, scene.bob
    for number in range(10):
        alice.say(room, f"alice {number}")
        bob.say(room, f"bob {number}")
    everything = {f"{who} {number}" for number in range(10) for who in ("alice", "bob")}
    for user in (alice, bob):
        until(lambda: {event["content"]["body"] for event in user.history(room, 50)} == everything)
    scene.agree()


def test_a_redaction_empties_the_event_everywhere(scene):
    room, alice, bob, carol = scene.room, scene.alice, scene.bob, scene.carol
    own = bob.say(room, "mine to take back")
    alice.sees_message(room, "mine to take back")
    bob.redact(room, own)
    until(lambda: redacted(alice, room, own))
    moderated = bob.say(room, "not to be seen")
    alice.sees_message(room, "not to be seen")
    alice.redact(room, moderated)
    until(lambda: redacted(bob, room, moderated))
    until(lambda: redacted(carol, room, moderated))
    scene.agree()


def test_power_decides_who_may_set_state(scene):
    room, alice, bob, carol = scene.room, scene.alice, scene.bob, scene.carol
    with pytest.raises(Refused) as refusal:
        bob.set_state(room, "m.room.name", {"name": "mutiny"})
    assert refusal.value.status == 403
    levels = alice.state(room)["m.room.power_levels", ""]["content"]
    levels["users"] = {**levels.get("users", {}), bob.id: 50}
    alice.set_state(room, "m.room.power_levels", levels)
    until(lambda: bob.state(room)["m.room.power_levels", ""]["content"]["users"].get(bob.id) == 50)
    bob.set_state(room, "m.room.name", {"name": "appointed"})
    until(lambda: alice.state(room).get(("m.room.name", ""), {}).get("content") == {"name": "appointed"})
    bob.act(room, "kick", carol.id)
    until(lambda: alice.membership(room, carol.id) == "leave")
    with pytest.raises(Refused) as refusal:
        bob.act(room, "kick", alice.id)
    assert refusal.value.status == 403
    scene.agree(alice, bob)


def test_conflicting_settings_end_in_one_state(scene):
    room, alice, bob = scene.room, scene.alice, scene.bob
    levels = alice.state(room)["m.room.power_levels", ""]["content"]
    levels["users"] = {**levels.get("users", {}), bob.id: 50}
    alice.set_state(room, "m.room.power_levels", levels)
    until(lambda: bob.state(room)["m.room.power_levels", ""]["content"]["users"].get(bob.id) == 50)
    for number in range(5):
        alice.set_state(room, "m.room.topic", {"topic": f"alice {number}"})
        bob.set_state(room, "m.room.topic", {"topic": f"bob {number}"})
    # Both have to hear of the last of it before they can agree.
    for user in (alice, bob):
        user.say(room, f"that was {user.id}")
    alice.sees_message(room, f"that was {bob.id}")
    bob.sees_message(room, f"that was {alice.id}")
    scene.agree()
