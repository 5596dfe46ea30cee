"""Who takes part in a scenario of encryption? Users of some servers, and their devices, all of which end with it."""

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from e2ee.by_js import JsDevice
from e2ee.by_nio import Loop, NioDevice
from e2ee.by_sdk import SdkDevice, SlidingDevice
from e2ee.device import Device, Said
from e2ee.driven import Driven
from e2ee.process import Driver
from server import Server
from user import User

T = TypeVar("T", User, JsDevice, NioDevice, SdkDevice, SlidingDevice)


@dataclass(frozen=True)
class Clients:
    """What makes a device of a scenario's first user, and of any other."""

    first: Callable[[User], Driven]
    other: Callable[[User], Driven]


class Cast:
    """The users and devices of one scenario."""

    def __init__(self, drivers: dict[str, Driver], loop: Loop, folder: Path):
        self._drivers = drivers
        self._loop = loop
        self._folder = folder
        self._numbers = itertools.count(1)
        self._ends = contextlib.ExitStack()

    def user(self, server: Server, name: str) -> User:
        """A new user."""
        return self._take(User(server, name))

    def js(self, owner: User) -> JsDevice:
        """A new device with matrix-js-sdk."""
        return self._take(JsDevice(self._drivers["matrix-js-sdk"], owner, self._name(owner)))

    def sdk(self, owner: User) -> SdkDevice:
        """A new device with matrix-sdk."""
        return self._take(SdkDevice(self._drivers["matrix-sdk"], owner, self._name(owner)))

    def sliding(self, owner: User) -> SlidingDevice:
        """A new device with matrix-sdk that slides over its rooms."""
        return self._take(SlidingDevice(self._drivers["matrix-sdk"], owner, self._name(owner)))

    def nio(self, owner: User) -> NioDevice:
        """A new device with matrix-nio."""
        name = self._name(owner)
        return self._take(NioDevice(self._loop, owner, name, self._folder / name))

    def close(self) -> None:
        """Ends all."""
        self._ends.close()

    def _name(self, owner: User) -> str:
        return f"{owner.localpart}.{next(self._numbers)}"

    def _take(self, member: T) -> T:
        self._ends.callback(member.close)
        return member


def acquainted(*devices: Device) -> None:
    """Waits until each of these devices knows all of them, and no other devices of their users."""
    owners = {device.owner.id: device.owner for device in devices}
    for witness in devices:
        for owner in owners.values():
            witness.sees_devices(owner, *(device for device in devices if device.owner is owner))


def gather(creator: Device, *guests: Device) -> Said:
    """An encrypted room that these devices' users have joined, and that all of these devices have seen to be so."""
    everyone = (creator, *guests)
    users = list({device.owner.id: device.owner for device in everyone}.values())
    room = creator.create_room(*(user for user in users if user is not creator.owner))
    joined = {creator.owner.id}
    for guest in guests:
        if guest.owner.id not in joined:
            guest.sees_invite(room)
            guest.join(room, creator.server)
            joined.add(guest.owner.id)
    for device in everyone:
        device.sees_members(room, joined=users)
    acquainted(*everyone)
    return Said(room)
