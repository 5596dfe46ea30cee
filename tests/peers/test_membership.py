"""Do both servers agree on who is in a room, however he came and went?

https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
"""

import pytest

from poll import until
from user import Refused, User


def is_now(witness: User, room: str, user: User, membership: str) -> None:
    """Waits until the witness's server says so."""
    until(lambda: witness.membership(room, user.id) == membership)


def test_a_room_is_joined_by_alias(people, version):
    alice, bob, carol = people
    room = alice.create_room(room_version=version, preset="public_chat", room_alias_name=f"port-{alice.localpart}")
    alias = f"#port-{alice.localpart}:{alice.server.name}"
    assert bob.join(alias) == room
    bob.sees_joined(room)
    is_now(alice, room, bob, "join")
    state = bob.state(room)
    assert state["m.room.create", ""]["content"].get("room_version") == version
    assert state["m.room.canonical_alias", ""]["content"]["alias"] == alias


def test_a_private_room_is_entered_by_invitation_only(people, version):
    alice, bob, carol = people
    room = alice.create_room(room_version=version, preset="private_chat")
    alice.act(room, "invite", bob.id)
    bob.sees(lambda: room in bob.invited)
    bob.join(room, via=alice.server)
    bob.sees_joined(room)
    is_now(alice, room, bob, "join")
    with pytest.raises(Refused) as refusal:
        carol.join(room, via=alice.server)
    assert refusal.value.status == 403
    alice.say(room, "welcome")
    bob.sees_message(room, "welcome")


def test_an_invitation_can_be_declined(people, version):
    alice, bob, _ = people
    room = alice.create_room(room_version=version, preset="private_chat")
    alice.act(room, "invite", bob.id)
    bob.sees(lambda: room in bob.invited)
    bob.act(room, "leave")
    is_now(alice, room, bob, "leave")


def test_a_kicked_member_is_out_and_may_come_back(scene):
    room, alice, bob, carol = scene.room, scene.alice, scene.bob, scene.carol
    alice.act(room, "kick", bob.id)
    bob.sees(lambda: room in bob.left)
    is_now(carol, room, bob, "leave")
    with pytest.raises(Refused) as refusal:
        bob.say(room, "still here")
    assert refusal.value.status == 403
    bob.join(room, via=alice.server)
    bob.sees_joined(room)
    scene.agree()


def test_a_banned_member_stays_out_until_the_ban_is_lifted(scene):
    room, alice, bob, carol = scene.room, scene.alice, scene.bob, scene.carol
    alice.act(room, "ban", bob.id)
    bob.sees(lambda: room in bob.left)
    is_now(carol, room, bob, "ban")
    with pytest.raises(Refused) as refusal:
        bob.join(room, via=alice.server)
    assert refusal.value.status == 403
    alice.act(room, "unban", bob.id)
    is_now(carol, room, bob, "leave")
    bob.join(room, via=alice.server)
    bob.sees_joined(room)
    scene.agree()


def test_who_leaves_misses_what_is_said_and_who_rejoins_hears_again(scene):
    room, alice, bob, carol = scene.room, scene.alice, scene.bob, scene.carol
    bob.act(room, "leave")
    bob.sees(lambda: room in bob.left)
    is_now(alice, room, bob, "leave")
    alice.say(room, "while away")
    carol.sees_message(room, "while away")
    bob.join(room, via=alice.server)
    bob.sees_joined(room)
    is_now(alice, room, bob, "join")
    alice.say(room, "back again")
    bob.sees_message(room, "back again")
    scene.agree()


def test_the_last_member_of_a_server_can_leave_and_return(people, version):
    alice, bob, _ = people
    room = alice.create_room(room_version=version, preset="public_chat")
    bob.join(room, via=alice.server)
    bob.sees_joined(room)
    bob.act(room, "leave")
    is_now(alice, room, bob, "leave")
    alice.set_state(room, "m.room.topic", {"topic": "changed while nobody was there"})
    bob.join(room, via=alice.server)
    bob.sees_joined(room)
    topic = until(lambda: bob.state(room).get(("m.room.topic", "")))
    assert topic["content"]["topic"] == "changed while nobody was there"
