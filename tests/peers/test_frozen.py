"""Does the newest build go on where an older one was stopped? Each archive in `frozen` is a data folder that a build wrote."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from nacl.signing import SigningKey

import authority
import poll
from freeze import FROZEN, PORT, Believing, Facts, Keys, rooms, state_of, unpack
from resident import Resident
from user import User


@pytest.fixture(params=sorted(FROZEN.glob("*.tar.xz")), ids=lambda path: path.name)
def life(request, tmp_path: Path) -> Iterator[tuple[Facts, Believing, Resident]]:
    """The server on the data it had, and the other server, which is up and holds nothing back."""
    trusted = authority.make(tmp_path)
    facts = unpack(request.param, tmp_path)
    resident = Resident(trusted, PORT, SigningKey(bytes.fromhex(facts.key)))
    room, _ = rooms(resident)
    room.follow(facts.join, facts.depth)
    room.say(facts.lacked), room.say(facts.parked)
    ours = Believing(tmp_path / "ours", trusted, facts.port)
    (tmp_path / "data").rename(tmp_path / "ours/data")
    ours.start()
    yield facts, ours, resident
    ours.stop()
    resident.stop()


def has_keys(alice: User, facts: Facts, keys: Keys) -> None:
    """Her keys are those of before, and her message still waits."""
    waiting = alice.call("GET", "/v3/sync", params={"since": facts.alice.since})["to_device"]["events"]
    assert waiting == [keys.waiting]
    device = keys.device_keys["device_id"]
    found = alice.call("POST", "/v3/keys/query", json={"device_keys": {alice.id: []}})
    shown = found["device_keys"][alice.id][device]
    assert {name: shown[name] for name in keys.device_keys} == keys.device_keys
    wanted = {"one_time_keys": {alice.id: {device: "signed_curve25519"}}}
    assert alice.call("POST", "/v3/keys/claim", json=wanted)["one_time_keys"][alice.id][device] == keys.one_time_keys
    version = alice.call("GET", "/v3/room_keys/version")
    assert (version["version"], version["count"]) == (keys.backup, 1)
    path = f"/v3/room_keys/keys/{quote(facts.own)}/session"
    assert alice.call("GET", path, params={"version": keys.backup}) == keys.backed_up


def test_the_newest_build_goes_on_with_the_data_of_an_older_one(life):
    facts, ours, resident = life
    # Written down before anything is asked: what is owed and what is parked come by themselves.
    poll.until(lambda: any(pdu["content"].get("body") == "owed" for pdu in resident.received))
    alice = User(ours, "alice", facts.alice)
    if facts.keys:
        has_keys(alice, facts, facts.keys)
    alice.sees_message(facts.room, facts.lacked)
    alice.sees_message(facts.room, facts.parked)
    bodies = alice.joined[facts.room].bodies()
    assert bodies == [facts.lacked, facts.parked], "what a sync token covers is not shown again"
    assert state_of(alice, facts.room) == facts.state
    history = [event["event_id"] for event in alice.history(facts.room, 10)]
    assert {facts.said, facts.owed} <= set(history)

    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": facts.alice.localpart}, "password": facts.alice.password}
    assert alice.call("POST", "/v3/login", json=body)["user_id"] == alice.id
    assert alice.call("GET", f"/v3/directory/room/{quote(facts.alias)}")["room_id"] == facts.own
    assert alice.call("GET", f"/v3/user/{quote(alice.id)}/account_data/m.tea") == {"milk": True}
    assert alice.call("GET", f"/v3/profile/{quote(alice.id)}")["displayname"] == "Alice"
    filtered = alice.call("GET", "/v3/sync", params={"filter": facts.filter_id})["rooms"]
    assert list(filtered["invite"]) == [facts.invited]
    assert len(filtered["join"][facts.own]["timeline"]["events"]) == 2
    events = {event["event_id"]: event["content"] for event in alice.history(facts.own, 10)}
    assert [events[event_id].get("body") for event_id in facts.own_said] == ["tea 0", None, "tea 2"]

    alice.say(facts.own, "tea goes on")
    alice.say(facts.room, "and so do we")
    poll.until(lambda: any(pdu["content"].get("body") == "and so do we" for pdu in resident.received))
