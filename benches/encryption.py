"""What is timed of end-to-end encryption? Three workloads, with keys that nobody uses: servers do not check them.

https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption
"""

import itertools
import secrets
import time
from collections.abc import Iterator

from connection import Connection, User
from server import Server
from workloads import CLIENTS, at_once, leave

USERS = 100
QUERIES = 50
CLAIMS = 1_000
# Synapse holds 500 one-time keys of a device.
OWNERS = 4
MESSAGES = 1_000
# So many one-time keys are uploaded at once.
UPLOADED = 50

ALGORITHM = "signed_curve25519"


class Owner(User):
    """A new user whose device has keys."""

    def __init__(self, server: Server):
        super().__init__(server, f"bench-{secrets.token_hex(6)}")
        self.device: str = self.call("GET", "/_matrix/client/v3/account/whoami")["device_id"]
        keys = {f"{kind}:{self.device}": secrets.token_urlsafe(32) for kind in ("curve25519", "ed25519")}
        device_keys = {
            "user_id": self.id,
            "device_id": self.device,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": keys,
            "signatures": self._signatures(),
        }
        self.upload({"device_keys": device_keys})

    def _signatures(self) -> dict:
        return {self.id: {f"ed25519:{self.device}": secrets.token_urlsafe(64)}}

    def upload(self, keys: dict) -> None:
        """Uploads keys."""
        self.call("POST", "/_matrix/client/v3/keys/upload", keys)

    def offer(self, count: int) -> None:
        """Uploads so many one-time keys."""
        for first in range(0, count, UPLOADED):
            names = [f"{ALGORITHM}:{number}" for number in range(first, first + UPLOADED)]
            key = {"key": secrets.token_urlsafe(32), "signatures": self._signatures()}
            self.upload({"one_time_keys": dict.fromkeys(names, key)})


# Who is asked for is made once: a query changes nothing.
_asked_for: dict[Server, list[Owner]] = {}


def queries(server: Server) -> float:
    """Milliseconds a `/keys/query` of a hundred users, when one client asks again and again."""
    owners = _asked_for.setdefault(server, [])
    if not owners:
        owners.extend(Owner(server) for _ in range(USERS))
        leave(owners)
    alice = User(server, f"bench-{secrets.token_hex(6)}")
    body = {"device_keys": {owner.id: [] for owner in owners}}
    start = time.perf_counter()
    for _ in range(QUERIES):
        found = alice.call("POST", "/_matrix/client/v3/keys/query", body)["device_keys"]
        assert all(found[owner.id][owner.device] for owner in owners)
    took = time.perf_counter() - start
    leave([alice])
    return took * 1000 / QUERIES


def claims(server: Server) -> float:
    """Claims a second, when eight clients claim the keys of four devices, in turn, until there are none."""
    owners = [Owner(server) for _ in range(OWNERS)]
    for owner in owners:
        owner.offer(CLAIMS // OWNERS)
    clients = [User(server, f"bench-{secrets.token_hex(6)}") for _ in range(CLIENTS)]
    turns = itertools.cycle(owners)

    def claim(client: Connection) -> None:
        owner = next(turns)
        body = {"one_time_keys": {owner.id: {owner.device: ALGORITHM}}}
        client.ask("POST", "/_matrix/client/v3/keys/claim", body)

    took = at_once(clients, CLAIMS // CLIENTS, claim)
    for owner in owners:
        counts = owner.call("POST", "/_matrix/client/v3/keys/upload", {})["one_time_key_counts"]
        assert counts.get(ALGORITHM, 0) == 0
    leave([*owners, *clients])
    return CLAIMS / took


def burst(server: Server) -> float:
    """Messages a second, when eight connections of a user send to a device, until the device has all."""
    alice, bob = Owner(server), Owner(server)
    since = bob.call("GET", "/_matrix/client/v3/sync?timeout=0")["next_batch"]
    content = {"algorithm": "m.olm.v1.curve25519-aes-sha2", "ciphertext": "x" * 500}
    body = {"messages": {bob.id: {bob.device: content}}}
    numbers = itertools.count()

    def send(connection: Connection) -> None:
        path = f"/_matrix/client/v3/sendToDevice/m.room.encrypted/{next(numbers)}"
        connection.ask("PUT", path, body)

    connections, each = [alice.again() for _ in range(CLIENTS)], MESSAGES // CLIENTS
    start = time.perf_counter()
    at_once(connections, each, send)
    got = sum(len(events) for events in _received(bob, since, each * CLIENTS))
    took = time.perf_counter() - start
    assert got == each * CLIENTS
    leave([alice, bob, *connections])
    return got / took


def _received(user: User, since: str, wanted: int) -> Iterator[list[dict]]:
    """The messages to the user's device, sync by sync, until there are so many."""
    while wanted > 0:
        answer = user.call("GET", f"/_matrix/client/v3/sync?timeout=10000&since={since}")
        since, events = answer["next_batch"], answer.get("to_device", {}).get("events", [])
        wanted -= len(events)
        yield events
