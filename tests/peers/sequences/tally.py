"""What came of many sequences?"""

import json
import secrets
import time
from collections import Counter
from typing import Any

from server import Server

from .call import Call
from .difference import Difference
from .duel import Duel, Outcome
from .known import Known
from .shrink import shrink
from .story import plan

LENGTH = 45
# How many faults are shrunk, and how long each may take (s).
SHRUNK = 5
SHRINKING = 20.0


class Tally:
    """What came of the sequences of some seeds."""

    def __init__(self, ours: Server, theirs: Server):
        self._servers = ours, theirs
        self._known: Counter[Known] = Counter()
        # By rule: the seeds, and the first difference.
        self.faults: dict[tuple, tuple[list[int], Difference]] = {}
        self._sequences = self._made = self._good = self._parted = 0
        self._began = time.monotonic()

    def play(self, seed: int) -> None:
        """Plays the sequence of a seed."""
        calls = plan(seed, LENGTH)
        outcome = _play(calls, self._servers)
        self._sequences += 1
        self._made += outcome.made
        self._good += outcome.good
        self._parted += outcome.made < len(calls)
        for difference in outcome.differences:
            if known := difference.known:
                self._known[known] += 1
            else:
                seeds, _ = self.faults.setdefault(difference.rule, ([], difference))
                seeds.append(seed)

    def figures(self) -> str:
        """How much was played, and how often what is known was met."""
        seconds = time.monotonic() - self._began
        lines = [f"{self._sequences} sequences, {self._made} calls ({self._good} succeed), {self._parted} cut short, {seconds:.0f} s"]
        lines += [f"  known {count} x {known.reason}" for known, count in self._known.most_common()]
        return "\n".join(lines)

    def report(self) -> str:
        """The faults by rule, the first ones with the fewest calls that show them."""
        lines = [self.figures()]
        for number, (seeds, difference) in enumerate(sorted(self.faults.values(), key=lambda fault: -len(fault[0]))):
            lines.append(f"\n{len(seeds)} x {difference} (TOMBOLO_SEED={seeds[0]}, step {difference.call.step})")
            if number < SHRUNK:
                lines += [f"      | {call}" for call in self._fewest(seeds[0], difference)]
        return "\n".join(lines)

    def _fewest(self, seed: int, difference: Difference) -> list[Call]:
        calls = plan(seed, LENGTH)
        if difference.call.step >= 0:
            calls = calls[: difference.call.step + 1]

        def is_same(other: Difference) -> bool:
            return other.rule == difference.rule and not other.known

        def fails(fewer: list[Call]) -> bool:
            return any(map(is_same, _play(fewer, self._servers, 0.5, is_same).differences))

        return shrink(calls, f"{difference.path} {difference.call.path}", fails, SHRINKING)


def replay(seed: int, ours: Server, theirs: Server) -> str:
    """Every call of a sequence with both answers."""
    lines = []
    for call, *answers in _play(plan(seed, LENGTH), (ours, theirs)).transcript:
        texts = [f"{answer.verdict} {json.dumps(answer.body)}" for answer in answers]
        lines += [str(call), f"      ours:   {texts[0]}", f"      theirs: {texts[1]}"]
    return "\n".join(lines)


def _play(calls: list[Call], servers: tuple[Server, Server], *options: Any) -> Outcome:
    duel = Duel(*servers, secrets.token_hex(3), *options)
    try:
        return duel.play(calls)
    finally:
        duel.close()
