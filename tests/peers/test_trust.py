"""Do users and devices come to trust each other by keys that their servers only carry?

https://spec.matrix.org/v1.19/client-server-api/#cross-signing
"""

from conftest import EVERYWHERE, played
from e2ee.cast import acquainted, gather
from e2ee.driven import verify
from poll import until


@played({"js": EVERYWHERE, "sdk": ["ours-synapse", "synapse-ours"]})
def test_cross_signing_is_set_up_and_seen_by_others(homes, clients, cast):
    home, away = homes
    alice, bob = clients.first(cast.user(home, "alice")), clients.other(cast.user(away, "bob"))
    gather(alice, bob)
    assert not bob.trust(alice.owner)["signs"]
    alice.bootstrap()

    def seen() -> bool:
        trust = bob.trust(alice.owner)
        assert trust["signs"], f"{bob} does not see cross-signing keys of {alice.owner.id}"
        assert trust["devices"][alice.id] == {"signed": True, "verified": False, "dehydrated": False}, trust
        assert not trust["verified"]
        return True

    until(seen)


@played({"js": EVERYWHERE, "sdk": ["ours", "ours-synapse"], "js-sdk": ["synapse-ours"], "sdk-js": ["ours-twin"]})
def test_two_users_verify_each_other_by_emoji(homes, clients, cast):
    home, away = homes
    alice, bob = clients.first(cast.user(home, "alice")), clients.other(cast.user(away, "bob"))
    for device in (alice, bob):
        device.bootstrap()
    said = gather(alice, bob)
    for one, other in ((alice, bob), (bob, alice)):
        one.sees_signed(other)
        assert not one.trust(other.owner)["verified"]
    verify(alice, bob, said.room)
    alice.trusts(bob.owner, bob)
    bob.trusts(alice.owner, alice)
    said.say(alice)
    said.say(bob)
    said.read_by(alice, bob)


@played({"js": ["ours", "ours-synapse"], "sdk": ["ours", "ours-synapse"], "js-sdk": ["ours"], "sdk-js": ["ours"]})
def test_a_new_device_is_verified_by_an_old_one_and_given_its_secrets(homes, clients, cast):
    home, away = homes
    alice, bob = clients.first(cast.user(home, "alice")), clients.other(cast.user(away, "bob"))
    alice.bootstrap(backup=True)
    said = gather(alice, bob)
    before = said.say(bob)
    said.read_by(alice, bob)
    alice.backs_up(1)

    new = clients.other(alice.owner)
    acquainted(alice, bob, new)
    said.unreadable(new, before)
    verify(new, alice)
    alice.trusts(alice.owner, new)
    new.trusts(alice.owner, alice)
    new.sees_secrets()
    bob.sees_signed(new)
    said.say(bob)
    said.say(new)
    said.read_by(alice, bob, new)
