"""What differs when the same calls are made on two servers?"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from server import Server

from .call import USERS, Call, Json
from .difference import Difference, differences
from .model import Model
from .normal import normal
from .side import Answer, Side
from .stays import Stays

# How long what one user did may take to reach another (s).
PATIENCE = 3.0
PAUSE = 0.05

Wanted = Callable[[Difference], bool]


@dataclass
class Outcome:
    """What came of a sequence."""

    made: int = 0
    good: int = 0
    differences: list[Difference] = field(default_factory=list)
    transcript: list[tuple[Call, Answer, Answer]] = field(default_factory=list)

    @property
    def faults(self) -> list[Difference]:
        """The differences that are not known."""
        return [each for each in self.differences if not each.known]


class Duel:
    """One sequence, on both servers."""

    def __init__(self, ours: Server, theirs: Server, tag: str, patience: float = PATIENCE, wanted: Wanted = lambda _: False):
        self._patience = patience
        # What ends the sequence as soon as it is met.
        self._wanted = wanted
        self._pool = ThreadPoolExecutor(2)
        self._sides = tuple(self._pool.map(lambda server: Side(server, tag), (ours, theirs)))
        self._models = {f"<{chain}:{user}>": (Model(), Model()) for chain in ("chain", "watch") for user in USERS}
        self._stays = Stays()
        # Facts of models that differ already: each is told once.
        self._spoilt: set[tuple[str, str]] = set()
        self.outcome = Outcome()

    def close(self) -> None:
        """Closes the connections."""
        for side in self._sides:
            side.close()
        self._pool.shutdown()

    def play(self, calls: Sequence[Call]) -> Outcome:
        """Makes the calls, up to one after which the two servers hold different things."""
        for call in calls:
            if not self._make(call) or any(map(self._wanted, self.outcome.differences)):
                return self.outcome
        for user in USERS:
            self._settle(user, len(calls))
        return self.outcome

    def _make(self, call: Call) -> bool:
        nowhere = not all(side.names.know(call.path) for side in self._sides)
        call = self._tokened(replace(call, nowhere=nowhere, past=self._stays.past(call.who)))
        if call.kind in ("sync", "slide"):
            self._settle(call.who, call.step)
        answers, found = self._compared(call)
        if good := [answer.body for answer in answers if answer.good]:
            self._stays.take(call, good[0])
        if not answers[0].good:
            self._stays.refuse(call)
        self.outcome.made += 1
        self.outcome.good += answers[1].good
        self.outcome.transcript.append((call, *answers))
        self.outcome.differences += found
        if call.chain:
            found += self._take(call, answers)
        if call.kind == "profile" and call.changes:
            # A new name goes into each room, one after the other.
            for user in USERS:
                self._settle(user, call.step)
        # Of a room that could not be made, Synapse may hold half.
        half_made = call.kind == "createRoom" and not call.spoilt and not any(answer.good for answer in answers)
        return not half_made and not (any(each.parts for each in found) and any(answer.good for answer in answers))

    def _compared(self, call: Call) -> tuple[tuple[Answer, Answer], list[Difference]]:
        """What both answer, and where they differ; a reading call is repeated for a while, for it may be early."""
        end = time.monotonic() + (self._patience / 3 if not call.changes and call.kind != "sync" else 0)
        while True:
            answers = self._ask(call)
            found = [replace(each, said=_errors(answers)) for each in differences(call, *(normal(call, answer) for answer in answers))]
            if all(each.known for each in found) or time.monotonic() > end:
                return answers, found
            time.sleep(PAUSE)

    def _tokened(self, call: Call) -> Call:
        """The call without the tokens that no answer gave: who has none, sends none."""
        return replace(call, query={key: value for key, value in call.query.items() if all(side.names.has(value) for side in self._sides)})

    def _ask(self, call: Call) -> tuple[Answer, Answer]:
        ours, theirs = self._pool.map(lambda side: side.ask(call), self._sides)
        return ours, theirs

    def _settle(self, user: str, step: int) -> None:
        """Waits until both servers told the user the same: a client without filters, beside the sequence's own."""
        name = f"<watch:{user}>"
        call = Call("watch", user, "GET", "/v3/sync", {"since": name, "timeout": "0"}, chain=name, step=step, past=self._stays.past(user))
        end = time.monotonic() + self._patience
        while True:
            call = self._tokened(replace(call, query={"since": name, "timeout": "0"}))
            answers = self._ask(call)
            for model, answer in zip(self._models[name], answers, strict=True):
                model.take(answer.body)
            found = self._compare_models(call) + self._compare_states(call)
            if all(each.known for each in found) or time.monotonic() > end:
                return self._report(call, found)
            time.sleep(PAUSE)

    def _take(self, call: Call, answers: tuple[Answer, Answer]) -> list[Difference]:
        """Has the client's models on both sides take the answers in."""
        if not all(answer.good for answer in answers):
            return []
        for model, answer in zip(self._models[call.chain], answers, strict=True):
            model.take(answer.body)
        found = self._compare_models(call) + ([] if "filter" in call.query else self._compare_states(call))
        self._report(call, found)
        return found

    def _compare_models(self, call: Call) -> list[Difference]:
        ours, theirs = (model.facts() for model in self._models[call.chain])
        names = [name for name in sorted(ours.keys() | theirs.keys()) if (call.chain, name) not in self._spoilt]
        pairs = {name: [json.dumps(facts.get(name, []), sort_keys=True) for facts in (ours, theirs)] for name in names}
        return [replace(each, path=name) for name, pair in pairs.items() for each in differences(replace(call, kind="model"), *pair)]

    def _compare_states(self, call: Call) -> list[Difference]:
        """Holds what the client knows of its rooms beside what its own server says."""
        ours, theirs = self._models[call.chain]
        found = []
        for name in [name for name, room in ours.rooms.items() if room.section == "join" and name in theirs.rooms]:
            asked = Call("state", call.who, "GET", f"/v3/rooms/{name}/state")
            for whose, model, answer in zip(("ours", "theirs"), (ours, theirs), self._ask(asked), strict=True):
                if not answer.good:
                    continue
                state: dict[str, Json] = {f"{event['type']} {event['state_key']}": event["event_id"] for event in answer.body}
                known: dict[str, Json] = {" ".join(key): event for key, event in model.rooms[name].state.items()}
                some = [replace(each, path=f"{whose} {name} {each.path}") for each in differences(replace(call, kind="ownState"), known, state)]
                found += [each for each in some if (call.chain, each.path) not in self._spoilt]
        return found

    def _report(self, call: Call, found: list[Difference]) -> None:
        self._spoilt.update((call.chain, each.path) for each in found)
        self.outcome.differences += found


def _errors(answers: tuple[Answer, Answer]) -> str:
    """What the servers say of what they refuse."""
    texts = [answer.body.get("error") if isinstance(answer.body, dict) and not answer.good else None for answer in answers]
    return "".join(f"\n      {whose} says: {text}" for whose, text in zip(("ours", "theirs"), texts, strict=True) if text)
