"""Is what is said in an encrypted room read by every device that it is meant for, and by no other?

https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption
"""

from conftest import EVERYWHERE, played
from e2ee.cast import acquainted, gather


def test_three_users_of_three_clients_read_each_other(homes, cast):
    home, away = homes
    alice, bob, carol = cast.user(home, "alice"), cast.user(home, "bob"), cast.user(away, "carol")
    devices = [cast.js(alice), cast.nio(bob), cast.sdk(bob), cast.js(carol), cast.nio(carol), cast.sdk(carol)]
    said = gather(*devices)
    for _ in range(2):
        for device in devices:
            said.say(device)
    said.read_by(*devices)


def test_nio_creates_a_room_that_js_and_sdk_join(homes, cast):
    home, away = homes
    one, *others = cast.nio(cast.user(home, "alice")), cast.js(cast.user(away, "bob")), cast.sdk(cast.user(away, "carol"))
    said = gather(one, *others)
    for device in (*others, one):
        said.say(device)
    said.read_by(one, *others)


@played({"js": EVERYWHERE, "sdk": ["ours", "synapse-ours"], "sliding": ["ours", "ours-twin"], "sliding-js": ["ours-synapse"], "js-sliding": ["synapse-ours"]})
def test_a_new_device_reads_what_is_said_after_it_came(homes, clients, cast):
    home, away = homes
    alice, bob = clients.first(cast.user(home, "alice")), clients.other(cast.user(away, "bob"))
    said = gather(alice, bob)
    before = said.say(alice)
    said.read_by(alice, bob)
    new = [clients.other(bob.owner), cast.nio(bob.owner)]
    acquainted(alice, bob, *new)
    for device in new:
        device.sees_members(said.room, joined=[alice.owner, bob.owner])
        said.unreadable(device, before)
    later = said.after()
    later.say(alice)
    later.say(bob)
    later.say(new[0])
    later.read_by(alice, bob, *new)


@played({"js": EVERYWHERE, "js-sdk": ["ours", "synapse-ours"]})
def test_nothing_more_is_encrypted_to_a_device_that_is_gone(homes, clients, cast):
    home, away = homes
    alice, bob = clients.first(cast.user(home, "alice")), clients.other(cast.user(away, "bob"))
    gone, stays = clients.other(bob.owner), cast.nio(bob.owner)
    said = gather(alice, bob, gone, stays)
    said.say(alice)
    said.read_by(alice, bob, gone, stays)
    assert gone.id in alice.addressed()[bob.owner.id], "the key was not sent to the device while it was there"
    gone.logout()
    acquainted(alice, bob, stays)
    said.say(alice)
    said.read_by(alice, bob, stays)
    assert set(alice.addressed()[bob.owner.id]) == {bob.id, stays.id}


@played({"js": EVERYWHERE, "js-sdk": ["synapse-ours", "ours-twin"]})
def test_who_leaves_and_comes_back_is_known_by_the_devices_of_now(homes, clients, cast):
    home, away = homes
    alice, bob = clients.first(cast.user(home, "alice")), clients.other(cast.user(away, "bob"))
    old = clients.other(bob.owner)
    said = gather(alice, bob, old)
    said.say(alice)
    said.read_by(alice, bob, old)

    bob.leave(said.room)
    alice.sees_members(said.room, joined=[alice.owner], left=[bob.owner])
    old.logout()
    new = clients.other(bob.owner)
    alice.addressed()
    missed = said.after()
    unread = missed.say(alice)
    assert bob.owner.id not in alice.addressed(), "a key was sent to a user who had left"
    alice.invite(said.room, bob.owner)
    bob.sees_invite(said.room)
    bob.join(said.room, alice.server)
    for device in (alice, bob, new):
        device.sees_members(said.room, joined=[alice.owner, bob.owner])
    acquainted(alice, bob, new)
    again = said.after()
    again.say(alice)
    again.say(bob)
    again.say(new)
    again.read_by(alice, bob, new)
    assert set(alice.addressed()[bob.owner.id]) == {bob.id, new.id}
    for device in (bob, new):
        assert not missed.has_read(device, unread), f"{device} reads what was said while its user was out"
