"""What is a device to a test? A client that encrypts, of one kind or the other; what it read; and what it lacks.

https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption
"""

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from poll import until
from server import Server
from user import User

VERSION = "11"
# How long a device goes on with sending while its server is away.
PATIENCE = 60
MEMBERSHIPS = {"joined": "join", "left": "leave"}


@dataclass(frozen=True)
class Message:
    """A message as one device has it: its text, or why there is none."""

    id: str
    sender: str
    body: str | None
    problem: str | None = None


class Device(ABC):
    """A client that is logged in as `owner`."""

    owner: User
    name: str
    id: str

    def __repr__(self) -> str:
        return self.name

    @property
    def server(self) -> Server:
        return self.owner.server

    @abstractmethod
    def create_room(self, *invited: User, preset: str = "private_chat") -> str:
        """Creates an encrypted room."""

    @abstractmethod
    def invited(self) -> set[str]:
        """The rooms to which it has seen an invitation."""

    @abstractmethod
    def join(self, room: str, via: Server) -> None:
        """Joins."""

    @abstractmethod
    def say(self, room: str, body: str) -> str:
        """Sends a text, encrypted; returns the event's ID."""

    @abstractmethod
    def messages(self, room: str) -> list[Message]:
        """What it has of a room, read or not."""

    @abstractmethod
    def members(self, room: str) -> dict[str, str]:
        """Everybody's membership in an encrypted room; nobody's when it does not know it as encrypted."""

    @abstractmethod
    def known(self, user: User) -> set[str]:
        """The devices that it would encrypt to."""

    @abstractmethod
    def logout(self) -> None:
        """Ends its session, by which its keys are gone from the server."""

    @abstractmethod
    def close(self) -> None:
        """Ends the client; the server is not told."""

    def sees_invite(self, room: str) -> None:
        """Waits for an invitation."""

        def seen() -> bool:
            assert room in self.invited(), f"{self} has not seen an invitation to {room}"
            return True

        until(seen)

    def sees_members(self, room: str, **memberships: list[User]) -> None:
        """Waits until it knows the members and that the room is encrypted: joined=[...], left=[...]."""
        expected = {user.id: MEMBERSHIPS[word] for word, users in memberships.items() for user in users}

        def seen() -> bool:
            members = self.members(room)
            lacking = {user: (membership, members.get(user)) for user, membership in expected.items() if members.get(user) != membership}
            assert not lacking, f"{self} has not seen these memberships (expected, seen): {lacking}"
            return True

        until(seen)

    def sees_devices(self, user: User, *devices: "Device") -> None:
        """Waits until these devices of a user, and no others, are what it would encrypt to."""
        expected = {device.id for device in devices}

        def seen() -> bool:
            known = self.known(user)
            assert known == expected, f"{self} knows the devices {known} of {user.id}, which are {expected}"
            return True

        until(seen)


_numbers = itertools.count(1)


@dataclass
class Said:
    """What was said in an encrypted room: each event's text and sender."""

    room: str
    bodies: dict[str, tuple[str, str]] = field(default_factory=dict)

    def say(self, device: Device) -> str:
        """Says something new, and notes it once it is acknowledged."""
        body = f"{device} says {next(_numbers)}"
        event_id = device.say(self.room, body)
        self.bodies[event_id] = (body, device.owner.id)
        return event_id

    def after(self) -> "Said":
        """What is said from now on."""
        return Said(self.room)

    def lacks(self, device: Device) -> list[str]:
        """What of it a device has not read, and why; and what it has read and nobody said."""
        messages = device.messages(self.room)
        found = {message.id: message for message in messages}
        lacking = []
        for event_id, (body, sender) in self.bodies.items():
            message = found.get(event_id)
            if message is None:
                lacking.append(f"{body!r} never came")
            elif message.body is None:
                lacking.append(f"{body!r} is not decrypted: {message.problem}")
            elif (message.body, message.sender) != (body, sender):
                lacking.append(f"{body!r} of {sender} was read as {message.body!r} of {message.sender}")
        known = {body for body, _ in self.bodies.values()}
        lacking += [f"{message.body!r} came as {message.id}, too" for message in messages if message.body in known and message.id not in self.bodies]
        return lacking

    def read_by(self, *devices: Device, seconds: float = 30) -> None:
        """Waits until all of these devices have read all of it, each message once."""

        def read() -> bool:
            lacking = {str(device): lacks for device in devices if (lacks := self.lacks(device))}
            assert not lacking, f"not read: {lacking}"
            return True

        until(read, seconds)

    def unreadable(self, device: Device, event_id: str) -> None:
        """Waits until a device has this message, which it must not be able to read."""

        def came() -> Message:
            message = self._found(device, event_id)
            assert message, f"{event_id} never came to {device}"
            return message

        message = until(came)
        assert message.body is None, f"{device} can read {message.body!r}, though it was never given the key"

    def has_read(self, device: Device, event_id: str) -> bool:
        """Whether a device has this message and can read it."""
        message = self._found(device, event_id)
        return message is not None and message.body is not None

    def _found(self, device: Device, event_id: str) -> Message | None:
        return next((message for message in device.messages(self.room) if message.id == event_id), None)
