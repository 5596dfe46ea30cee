"""Do our rules and those of Synapse come to the same verdicts and states?

`ORACLE_SCALE=10` makes ten times as many cases. `ORACLE_SEED=n` numbers them from n on.
"""

import os
import re
from functools import cache

import pytest

from compare import Tally
from intended import INTENDED
from run import build, compare

SCALE = int(os.environ.get("ORACLE_SCALE", "1"))
SEED = int(os.environ.get("ORACLE_SEED", "0"))
NEW, OLD = "10,11,12", "6,7,8,9"
COUNTS = {("verdicts", NEW): 10_000, ("verdicts", OLD): 5_000, ("resolutions", NEW): 1_000, ("resolutions", OLD): 400, ("rooms", NEW): 1_000, ("rooms", OLD): 400}

# Each rule by how we refuse, as ruma or we put it. One that no case comes to proves nothing.
RULES = [
    "`m.room.create` event cannot have previous events",
    "`room_id` field in `m.room.create` event: server name does not match",
    "the create event is of another room version",
    "missing `creator` field",
    "invalid `additional_creators` field",
    "not in the same room",
    "duplicate auth event",
    "unexpected auth event",
    "rejected auth event",
    "the auth event ID is unknown",
    "has no `state_key`",
    "no `m.room.create` event in auth events",
    "room is not federated",
    "the room does not federate with the user's server",
    "missing `state_key` field for `m.room.member` event",
    "missing or invalid `membership` field",
    "unknown membership",
    "invalid `state_key` field in `m.room.member` event",
    "sender of join event must match target user",
    "banned user cannot join room",
    "cannot join a room that is not `public`",
    "cannot join restricted room without",
    "`join_authorised_via_users_server` is not joined",
    "`join_authorised_via_users_server` does not have enough power",
    "`join_authorised_via_users_server` is null",
    "invalid `join_authorised_via_users_server` field",
    "`third_party_invite` is null",
    "missing `token` field",
    "missing `mxid` field",
    "cannot invite user that is banned",
    "third-party invite mxid does not match target user",
    "no `m.room.third_party_invite` in room state matches the token",
    "sender of `m.room.third_party_invite` does not match",
    "no signature on third-party invite matches",
    "cannot invite user if sender is not joined",
    "cannot invite user that is joined or banned",
    "sender does not have enough power to invite",
    "cannot leave if not joined, invited or knocked",
    "cannot kick if sender is not joined",
    "sender does not have enough power to unban",
    "sender does not have enough power to kick target user",
    "cannot ban if sender is not joined",
    "sender does not have enough power to ban target user",
    "join rule is not set to knock or knock_restricted",
    "cannot make another user knock",
    "cannot knock if user is banned, invited or joined",
    "sender's membership is not `join`",
    "sender does not have enough power to send invites",
    "sender does not have enough power to send event of type",
    "sender cannot send event with `state_key` matching another user's ID",
    *(f"unexpected format of `{name}` field" for name in ["users", "events", "notifications", "users_default", "ban"]),
    "creator user IDs are not allowed in the `users` field",
    *(f"sender does not have enough power to change `{name}`" for name in ["users_default", "events_default", "state_default"]),
    *(f"sender does not have enough power to change `{name}`" for name in ["ban", "redact", "kick", "invite"]),
    *(f"sender does not have enough power to change `{name}`" for name in ["users", "events", "notifications"]),
]


@cache
def tally(what: str, versions: str) -> Tally:
    return compare(build(), what, versions, COUNTS[what, versions] * SCALE, SEED)


def show(tally: Tally) -> Tally:
    print(tally.report())
    return tally


@pytest.mark.parametrize("versions", [NEW, OLD])
def test_verdicts_are_those_of_synapse(versions):
    found = show(tally("verdicts", versions))
    assert not found.unexplained, found.report()
    assert found.events >= COUNTS["verdicts", versions] * SCALE
    assert 0.3 < found.allowed / found.events < 0.7


@pytest.mark.parametrize("versions", [NEW, OLD])
def test_resolutions_are_those_of_synapse(versions):
    found = show(tally("resolutions", versions))
    assert not found.unexplained, found.report()
    assert found.resolutions == COUNTS["resolutions", versions] * SCALE
    assert found.conflicts > found.resolutions / 2


@pytest.mark.parametrize("versions", [NEW, OLD])
def test_rooms_resolve_as_synapse_does(versions):
    found = show(tally("rooms", versions))
    assert not found.unexplained, found.report()
    assert found.resolutions == COUNTS["rooms", versions] * SCALE
    assert found.conflicts > found.resolutions / 2


def test_every_rule_is_reached():
    reached = {why for versions in (NEW, OLD) for _, why in tally("verdicts", versions).reached}
    assert [rule for rule in RULES if not any(rule in why for why in reached)] == []


def test_only_old_rooms_are_granted_what_concerns_levels():
    concerned = [each for each in INTENDED if "m.room.power_levels" in each.ours]
    assert concerned
    assert [each.reason for each in concerned for version in NEW.split(",") if re.fullmatch(each.versions, version)] == []
