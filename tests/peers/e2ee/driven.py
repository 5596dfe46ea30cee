"""What does a device do, and what does it know, whose library is driven from a process of its own?"""

import time
from typing import Any

from e2ee.device import PATIENCE, VERSION, Device, Message
from e2ee.process import Driver
from poll import until
from server import Server
from user import User


class Driven(Device):
    """A device in a driver's process."""

    # What else its driver has to know of how it syncs.
    manner: dict[str, Any] = {}

    def __init__(self, driver: Driver, owner: User, name: str):
        self.owner = owner
        self.name = name
        self._driver = driver
        login = {"url": owner.server.url, "localpart": owner.localpart, "password": owner.password}
        self.id = self.ask("login", **login, **self.manner)

    def ask(self, command: str, **arguments: Any) -> Any:
        """Does what the driver lists."""
        return self._driver.ask(self.name, command, **arguments)

    def create_room(self, *invited: User, preset: str = "private_chat") -> str:
        return self.ask("createRoom", invite=[user.id for user in invited], version=VERSION, preset=preset)

    def invited(self) -> set[str]:
        return set(self.ask("invited"))

    def invite(self, room: str, user: User) -> None:
        """Invites."""
        self.ask("invite", room=room, user=user.id)

    def join(self, room: str, via: Server) -> None:
        self.ask("join", room=room, via=via.name)

    def leave(self, room: str) -> None:
        """Leaves."""
        self.ask("leave", room=room)

    def say(self, room: str, body: str) -> str:
        return self.ask("say", room=room, body=body, seconds=PATIENCE)

    def messages(self, room: str) -> list[Message]:
        return [Message(**message) for message in self.ask("messages", room=room)]

    def members(self, room: str) -> dict[str, str]:
        answer = self.ask("members", room=room)
        return answer["members"] if answer["encrypted"] else {}

    def known(self, user: User) -> set[str]:
        return {id for id, device in self.trust(user)["devices"].items() if not device["dehydrated"]}

    def trust(self, user: User) -> dict:
        """Whether the user has keys to sign with, is verified, and which devices he has."""
        return self.ask("trust", user=user.id)

    def rotate(self, room: str) -> None:
        """Makes a new room key for the next message, which every device must be sent."""
        self.ask("rotate", room=room)

    def bootstrap(self, backup: bool = False) -> str:
        """Creates the user's cross-signing keys and secret storage; returns the recovery key."""
        key = self.ask("bootstrap", backup=backup)

        def ready() -> bool:
            status = self.ask("crossSigning")
            assert all(status.values()), f"{self} is not ready for cross-signing: {status}"
            own = self.trust(self.owner)["devices"].get(self.id)
            assert own and own["signed"] and own["verified"], f"{self} has not signed itself: {own}"
            return True

        until(ready)
        return key

    def recover(self, key: str) -> None:
        """Signs itself with keys from secret storage, which the recovery key opens."""
        self.ask("recover", key=key)

    def restore(self) -> int:
        """Takes all keys from the backup, and returns how many there are."""
        return self.ask("restore")

    def trusts(self, user: User, *devices: Device) -> None:
        """Waits until it holds the user, and these devices of his, for verified."""

        def trusted() -> bool:
            trust = self.trust(user)
            assert trust["verified"], f"{self} does not hold {user.id} for verified: {trust}"
            for device in devices:
                assert trust["devices"].get(device.id, {}).get("verified"), f"{self} does not hold {device} for verified: {trust}"
            return True

        until(trusted)

    def sees_signed(self, device: Device) -> None:
        """Waits until it sees a device signed by the keys of the device's user."""

        def seen() -> bool:
            trust = self.trust(device.owner)
            assert trust["signs"], f"{self} does not see cross-signing keys of {device.owner.id}"
            assert trust["devices"].get(device.id, {}).get("signed"), f"{self} does not see {device} signed: {trust}"
            return True

        until(seen)

    def sees_dehydrated(self, user: User) -> None:
        """Waits until it sees a dehydrated device of a user, which the user has signed."""

        def seen() -> bool:
            found = [device for device in self.trust(user)["devices"].values() if device["dehydrated"]]
            assert len(found) == 1, f"{self} sees so many dehydrated devices of {user.id}: {len(found)}"
            assert found[0]["signed"], f"{self} sees an unsigned dehydrated device of {user.id}"
            return True

        until(seen)

    def sees_secrets(self) -> None:
        """Waits until it was given the private keys of its user, and the key of the backup."""

        def seen() -> bool:
            status = self.ask("crossSigning")
            assert status["held"], f"{self} was not given the cross-signing keys: {status}"
            assert self.ask("backup")["version"], f"{self} was not given the key of the backup"
            return True

        until(seen)

    def backs_up(self, count: int) -> None:
        """Waits until the backup has so many keys."""

        def written() -> bool:
            backup = self.ask("backup")
            assert backup["version"], f"{self} writes to no backup"
            assert backup["count"] == count, f"the backup has {backup['count']} keys of {count}"
            return True

        until(written)

    def hurry(self) -> None:
        """Goes on at once, if it has been waiting because its server did not answer."""

    def logout(self) -> None:
        self.ask("logout")

    def close(self) -> None:
        self.ask("close")


def verify(one: Driven, other: Driven, room: str | None = None) -> None:
    """Both owners compare emoji, and find them equal: in a room, or between two devices of one user."""
    arguments = {"user": other.owner.id, "room": room} if room else {}
    one.ask("requestVerification", **arguments)
    _reach(other, "phase", "requested")
    other.ask("acceptVerification")
    _reach(one, "phase", "ready")
    one.ask("startVerification")
    emoji = [_reach(device, "emoji") for device in (one, other)]
    assert emoji[0] == emoji[1], f"the emoji differ: {emoji}"
    assert len(emoji[0]) == 7
    one.ask("confirmVerification")
    # If both confirm at one moment, matrix-sdk may send its `done` before its `mac`, and the other is never done.
    time.sleep(0.5)
    other.ask("confirmVerification")
    for device in (one, other):
        _reach(device, "phase", "done")


def _reach(device: Driven, what: str, expected: str | None = None) -> Any:
    """Waits until a verification has come this far."""

    def reached() -> Any:
        now = device.ask("verification")
        assert now, f"no request for verification came to {device}"
        assert not now["failure"], f"the verification failed on {device}: {now}"
        assert now[what] and expected in (None, now[what]), f"the verification on {device} has not come to {expected or what}: {now}"
        return now[what]

    return until(reached)
