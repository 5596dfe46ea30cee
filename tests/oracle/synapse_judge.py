"""What does Synapse say? Reads cases, one line of JSON each, and writes its verdicts in the same order.

A process of its own, since it imports Synapse and nothing of ours. It is asked only through its library: no reactor, no
database. How the library is called follows what Synapse does with a PDU of another server.
"""

import base64
import hashlib
import json
import logging
import sys
from collections.abc import Callable, Iterable

from synapse.api.errors import AuthError, SynapseError
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.crypto.event_signing import check_event_content_hash, compute_content_hash
from synapse.event_auth import (
    auth_types_for_event,
    check_state_dependent_auth_rules,
    check_state_independent_auth_rules,
    validate_event_for_room_version,
)
from synapse.events import make_event_from_dict
from synapse.events.utils import prune_event
from synapse.federation.federation_base import event_from_pdu_json
from synapse.state.v2 import resolve_events_with_store
from synapse.storage.databases.main.event_federation import StateDifference
from synapse.util.json import json_decoder

from canonicaljson import encode_canonical_json
from twisted.internet import defer


def at_once(coroutine):
    """The result of what never waits."""
    results = []
    defer.ensureDeferred(coroutine).addBoth(results.append)
    [result] = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


def refusal(check: Callable[[], object]) -> str | None:
    """Why a check fails. What is no refusal but a fault of the code keeps an event out as well."""
    try:
        check()
    except (AuthError, SynapseError) as why:
        return str(why)
    except Exception as why:
        return f"crash: {type(why).__name__}: {why}"
    return None


def text_of(event) -> bytes:
    pdu = event.get_pdu_json()
    pdu.pop("unsigned", None)
    return encode_canonical_json(pdu)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).rstrip(b"=").decode()


def digest(data: bytes) -> str:
    return encoded(hashlib.sha256(data).digest())


class Store:
    """The events of a case, as both the rules and the resolution ask for them."""

    def __init__(self):
        self.events = {}

    async def get_events(self, ids, redact_behaviour=None, allow_rejected=True, **_):
        found = {id: self.events[id] for id in ids if id in self.events}
        return {id: event for id, event in found.items() if allow_rejected or event.rejected_reason is None}

    async def get_auth_chain_difference(self, room_id, state_sets, conflicted, additional):
        chains = [self.chain(ids) for ids in state_sets]
        difference = set.union(*chains) - set.intersection(*chains)
        return StateDifference(difference, None if conflicted is None else self.between(conflicted))

    def chain(self, ids: Iterable[str]) -> set[str]:
        """The events and all that they cite, directly or not."""
        seen, open_ids = set(), list(ids)
        while open_ids:
            id = open_ids.pop()
            if id not in seen:
                seen.add(id)
                open_ids.extend(self.events[id].auth_event_ids())
        return seen

    def between(self, conflicted: set[str]) -> set[str]:
        """The events with a conflicted one before and one behind them, conflicted ones included."""
        cited_by = {}
        for id in self.chain(conflicted):
            for cited_id in self.events[id].auth_event_ids():
                cited_by.setdefault(cited_id, []).append(id)
        between, open_ids = set(), list(conflicted)
        while open_ids:
            id = open_ids.pop()
            if id not in between:
                between.add(id)
                open_ids.extend(cited_by.get(id, []))
        return between


class Clock:
    async def sleep(self, _):
        return None


def judge_step(step: dict, version, store: Store) -> dict:
    events = []

    def admit():
        event = event_from_pdu_json(json_decoder.decode(step["text"]), version)
        validate_event_for_room_version(event)
        redacted = prune_event(event)
        events.append((event, event if check_event_content_hash(event) else redacted, redacted))

    why = refusal(admit)
    if why is not None:
        return {"format": why}
    [(whole, event, redacted)] = events
    verdict = {
        "format": None,
        "id": event.event_id,
        "hash": encoded(compute_content_hash(whole.get_pdu_json(), hashlib.sha256)[1]),
        "altered": whole is not event,
        "bytes": digest(text_of(event)),
        "redacted": digest(text_of(redacted)),
        "citations": refusal(lambda: at_once(check_state_independent_auth_rules(store, event))),
        "cited": refusal(lambda: check_state_dependent_auth_rules(event, cited(event, store))),
        "state": refusal(lambda: check_state_dependent_auth_rules(event, selected(event, step["state"], version, store))),
    }
    if step["keep"]:
        refused = "refused" if step["rejected"] else None
        store.events[event.event_id] = make_event_from_dict(event.get_pdu_json(), version, rejected_reason=refused)
    return verdict


def cited(event, store: Store) -> list:
    return [store.events[id] for id in event.auth_event_ids() if id in store.events]


def selected(event, state: list[str], version, store: Store) -> list:
    wanted = auth_types_for_event(version, event)
    events = (store.events[id] for id in state)
    return [each for each in events if (each.type, each.state_key) in wanted]


def judge_story(case: dict) -> dict:
    version, store = KNOWN_ROOM_VERSIONS[case["version"]], Store()
    return {"steps": [judge_step(step, version, store) for step in case["steps"]]}


def judge_branches(case: dict) -> dict:
    version, store = KNOWN_ROOM_VERSIONS[case["version"]], Store()
    for id, text in case["events"].items():
        refused = "refused" if id in case["rejected"] else None
        store.events[id] = make_event_from_dict(json_decoder.decode(text), version, rejected_reason=refused)
    sets = [{(store.events[id].type, store.events[id].state_key): id for id in ids} for ids in case["sets"]]
    results = []

    def resolve():
        results.append(at_once(resolve_events_with_store(Clock(), case["room_id"], version, sets, None, store)))

    why = refusal(resolve)
    return {"fault": why} if why is not None else {"state": sorted(results[0].values())}


def main() -> None:
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        case = json.loads(line)
        verdict = judge_story(case) if "steps" in case else judge_branches(case)
        print(json.dumps(verdict), flush=True)


if __name__ == "__main__":
    main()
