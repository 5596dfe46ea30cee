"""Does a user who has lost every device, or was offline, read on? What he cannot read, his server keeps for him.

https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups
"""

from conftest import played
from e2ee.cast import acquainted, gather


@played({"js": ["ours", "ours-synapse"], "sdk": ["ours", "ours-synapse"], "js-sdk": ["ours"], "sdk-js": ["ours"]})
def test_a_backup_is_restored_on_a_fresh_device(homes, clients, cast):
    home, away = homes
    alice, bob = clients.first(cast.user(home, "alice")), clients.other(cast.user(away, "bob"))
    key = alice.bootstrap(backup=True)
    said = gather(alice, bob)
    for device in (alice, bob):
        for _ in range(2):
            device.rotate(said.room)
            said.say(device)
    said.read_by(alice, bob)
    alice.backs_up(4)
    alice.logout()

    fresh = clients.other(alice.owner)
    for event_id in said.bodies:
        said.unreadable(fresh, event_id)
    fresh.recover(key)
    restored = fresh.restore()
    assert restored == 4, f"{fresh} restored {restored} keys of 4"
    said.read_by(fresh)
    acquainted(fresh, bob)
    bob.sees_signed(fresh)
    said.say(bob)
    said.read_by(fresh, bob)
    fresh.backs_up(5)


@played({"js": ["ours", "ours-synapse", "ours-twin"], "js-sdk": ["ours-twin"]})
def test_a_dehydrated_device_takes_keys_while_its_user_is_offline(homes, clients, cast):
    home, away = homes
    alice, bob = clients.first(cast.user(home, "alice")), clients.other(cast.user(away, "bob"))
    key = alice.bootstrap()
    said = gather(alice, bob)
    said.say(bob)
    said.read_by(alice, bob)
    assert alice.dehydrate() is None, "there was a dehydrated device before one was made"
    bob.sees_dehydrated(alice.owner)
    alice.logout()
    bob.sees_devices(alice.owner)

    missed = said.after()
    for _ in range(3):
        bob.rotate(said.room)
        missed.say(bob)
    fresh = clients.first(alice.owner)
    for event_id in missed.bodies:
        missed.unreadable(fresh, event_id)
    fresh.recover(key)
    taken = fresh.dehydrate()
    assert taken == 3, f"{fresh} took {taken} room keys of 3 from the dehydrated device"
    missed.read_by(fresh)
    acquainted(bob, fresh)
    missed.say(bob)
    missed.read_by(bob, fresh)
