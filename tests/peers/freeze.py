"""What does a data folder hold that a build wrote, and that every later build must be able to go on with?

`make freeze` writes one, with the build that stands here; `test_frozen.py` starts the newest build on each.
"""

import json
import shutil
import tarfile
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from urllib.parse import quote

from nacl.signing import SigningKey

import authority
import poll
from resident import Resident, Room
from server import REPOSITORY
from tombolo import Tombolo
from user import Session, User

FROZEN = Path(__file__).parent / "frozen"
# Where the other server of each folder is; no test takes a port here.
PORT = 19750
MEMBERS = 3
# What the launcher makes anew, or keeps only while it runs.
NOT_DATA = {"serve.pid", "tmp", "tls.crt", "tls.key"}


@dataclass(frozen=True)
class Keys:
    """What alice published for end-to-end encryption, and what waits for her device."""

    device_keys: dict
    one_time_keys: dict
    backup: str
    backed_up: dict
    waiting: dict


@dataclass(frozen=True)
class Facts:
    """What was true when the folder was written."""

    # The server's name names its port.
    port: int
    # The key of the other server (hex).
    key: str
    alice: Session
    # A room of the other server, which alice joined by this event, and its state: type, state key, event ID.
    room: str
    join: str
    depth: int
    state: list[list[str]]
    # What alice said there when all was well, and what the other server is still owed.
    said: str
    owed: str
    # An event that is parked, and the one that it lacks, each by its text.
    parked: str
    lacked: str
    # The room to which alice is invited.
    invited: str
    # A room of alice's own, with its alias and what was said in it.
    own: str
    alias: str
    own_said: list[str]
    filter_id: str
    # The first folder has none.
    keys: Keys | None


class Believing(Tombolo):
    """Our server, which asks the other one for keys."""

    def command(self) -> list[str]:
        return [*super().command(), "--set", f"TRUSTED_KEY_SERVERS=localhost:{PORT}"]


def rooms(resident: Resident) -> tuple[Room, Room]:
    """The room that alice joins, and the one that she is invited to: the same at every call."""
    return resident.room(MEMBERS), resident.room(MEMBERS + 1)


def state_of(user: User, room: str) -> list[list[str]]:
    """The state of a room as a user sees it."""
    return sorted([kind, key, event["event_id"]] for (kind, key), event in user.state(room).items())


def write(folder: Path) -> Facts:
    """Has a server live through some things, and stops it; its data is in `folder / "ours/data"`."""
    trusted = authority.make(folder)
    key = SigningKey.generate()
    resident = Resident(trusted, PORT, key)
    ours = Believing(folder / "ours", trusted)
    ours.start()
    try:
        return lived(ours, resident, key)
    finally:
        ours.stop()
        resident.stop()


def lived(ours: Tombolo, resident: Resident, key: SigningKey) -> Facts:
    """Its life."""
    room, other = rooms(resident)
    alice = User(ours, "alice")
    own = alice.create_room(preset="public_chat", name="tea", room_alias_name="tea", room_version="12")
    own_said = [alice.say(own, f"tea {number}") for number in range(3)]
    alice.redact(own, own_said[1])
    filter_id = alice.call("POST", f"/v3/user/{quote(alice.id)}/filter", json={"room": {"timeline": {"limit": 2}}})["filter_id"]
    alice.call("PUT", f"/v3/user/{quote(alice.id)}/account_data/m.tea", json={"milk": True})
    alice.call("PUT", f"/v3/profile/{quote(alice.id)}/displayname", json={"displayname": "Alice"})
    resident.invite(ours, other, alice.id)
    alice.call("POST", f"/v3/join/{quote(room.id)}", params={"server_name": resident.home.name}, json={})
    join = alice.state(room.id)["m.room.member", alice.id]["event_id"]
    said = alice.say(room.id, "all is well")
    poll.until(lambda: any(pdu["content"].get("body") == "all is well" for pdu in resident.received))
    alice.read(room.id, said)
    depth = room.depth
    alice.sees(lambda: other.id in alice.invited and room.id in alice.joined and own in alice.joined)
    # From here on the other server takes nothing, and holds something back.
    resident.takes = False
    owed = alice.say(room.id, "owed")
    poll.until(lambda: any(pdu["content"].get("body") == "owed" for pdu in resident.received))
    lacked, parked = room.say("lacked"), room.say("parked")
    resident.withheld.add(lacked)
    resident.send(ours, [room.events[parked]])
    poll.until(lambda: parked in resident.asked)
    alice.sync()
    state = state_of(alice, room.id)
    keys = published(alice, own)
    return Facts(ours.public_port, bytes(key).hex(), alice.session(), room.id, join, depth, state, said, owed, "parked", "lacked", other.id, own, f"#tea:{ours.name}", own_said, filter_id, keys)


def published(alice: User, room: str) -> Keys:
    """Has her publish keys, back one up, and be sent a message."""
    device = alice.call("GET", "/v3/account/whoami")["device_id"]
    device_keys = {"user_id": alice.id, "device_id": device, "algorithms": ["m.test"], "keys": {f"curve25519:{device}": "a"}, "signatures": {}}
    one_time_keys = {"signed_curve25519:a": {"key": "a", "signatures": {}}}
    alice.call("POST", "/v3/keys/upload", json={"device_keys": device_keys, "one_time_keys": one_time_keys})
    backup = alice.call("POST", "/v3/room_keys/version", json={"algorithm": "m.test", "auth_data": {}})["version"]
    backed_up = {"first_message_index": 0, "forwarded_count": 0, "is_verified": True, "session_data": {"a": 1}}
    alice.call("PUT", f"/v3/room_keys/keys/{quote(room)}/session", params={"version": backup}, json=backed_up)
    waiting = {"content": {"n": 1}, "sender": alice.id, "type": "m.test"}
    alice.call("PUT", "/v3/sendToDevice/m.test/1", json={"messages": {alice.id: {"*": waiting["content"]}}})
    return Keys(device_keys, one_time_keys, backup, backed_up, waiting)


def pack(folder: Path, facts: Facts, archive: Path) -> None:
    """Makes an archive of the data and the facts."""
    (folder / "facts.json").write_text(json.dumps(asdict(facts), indent=2))
    with tarfile.open(archive, "w:xz") as packed:
        packed.add(folder / "facts.json", "facts.json")
        packed.add(folder / "ours/data", "data", filter=_if_data)


def _if_data(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    name = Path(entry.name).name
    # SQLite makes the index of a log anew.
    return None if name in NOT_DATA or name.endswith("-shm") else entry


def unpack(archive: Path, folder: Path) -> Facts:
    """Lays the data at `folder / "data"`, and tells the facts."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    facts = json.loads((folder / "facts.json").read_text())
    facts["alice"] = Session(**facts["alice"])
    facts["keys"] = Keys(**facts["keys"]) if facts.get("keys") else None
    return Facts(**{field.name: facts[field.name] for field in fields(Facts)})


if __name__ == "__main__":
    number = len(list(FROZEN.glob("*.tar.xz"))) + 1
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary)
        pack(made, write(made), FROZEN / f"{number}.tar.xz")
    print(f"{(FROZEN / f'{number}.tar.xz').relative_to(REPOSITORY)} is written")
