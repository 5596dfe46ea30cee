"""Where do two verdicts differ, and is that intended?"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field

from intended import INTENDED, Intended

# What is compared of an event that both take for one.
EQUAL = ["id", "hash", "altered", "bytes", "redacted"]
CHECKS = ["citations", "cited", "state"]


@dataclass
class Difference:
    """One question that the two answer differently."""

    seed: int
    version: str
    stage: str
    aim: str
    ours: str
    theirs: str
    step: int | None = None
    text: str = ""

    def __str__(self) -> str:
        where = f"seed {self.seed}" + ("" if self.step is None else f", step {self.step}")
        return f"v{self.version} {self.stage} [{self.aim}] ours: {self.ours} | theirs: {self.theirs} ({where})\n    {self.text[:600]}"

    def rule(self) -> tuple[str, str, str]:
        """What all differences by one rule have in common."""
        return self.stage, general(self.ours), general(self.theirs)


@dataclass
class Tally:
    """What came of many cases."""

    events: int = 0
    allowed: int = 0
    resolutions: int = 0
    conflicts: int = 0
    crashes: int = 0
    unexplained: list[Difference] = field(default_factory=list)
    intended: Counter = field(default_factory=Counter)
    reached: Counter = field(default_factory=Counter)

    def add(self, difference: Difference) -> None:
        for each in INTENDED:
            if each.explains(difference):
                self.intended[each] += 1
                return
        self.unexplained.append(difference)

    def compare_story(self, case: dict, theirs: dict) -> None:
        for number, (step, verdict) in enumerate(zip(case["steps"], theirs["steps"], strict=True)):
            self.events += 1
            self.allowed += not step["rejected"]
            self.crashes += any((verdict.get(stage) or "").startswith("crash") for stage in ["format", *CHECKS])
            for stage in ["format", *CHECKS]:
                self.reached[stage, general(step["ours"].get(stage) or "allowed")] += 1
            for stage, ours, other in differences(step["ours"], verdict):
                self.add(Difference(case["seed"], case["version"], stage, step["aim"], ours, other, number, step["text"]))

    def compare_branches(self, case: dict, theirs: dict) -> None:
        self.resolutions += 1
        self.conflicts += len(set(map(tuple, case["sets"]))) > 1
        ours = case["ours"]
        if isinstance(ours, dict) or "fault" in theirs:
            if not (isinstance(ours, dict) and "fault" in theirs):
                self.add(Difference(case["seed"], case["version"], "resolution", "", str(ours)[:300], str(theirs)[:300]))
        elif sorted(ours) != theirs["state"]:
            only_ours, only_theirs = set(ours) - set(theirs["state"]), set(theirs["state"]) - set(ours)
            self.add(Difference(case["seed"], case["version"], "resolution", "", brief(case, only_ours), brief(case, only_theirs)))

    def report(self) -> str:
        """The figures, and the differences by rule."""
        lines = [f"{self.events} verdicts ({self.allowed} allowed, {self.crashes} faults of theirs), {self.resolutions} resolutions"]
        lines += [f"  intended {count} x {each.reason}" for each, count in sorted(self.intended.items(), key=lambda item: -item[1])]
        groups: dict[tuple, list[Difference]] = {}
        for difference in self.unexplained:
            groups.setdefault(difference.rule(), []).append(difference)
        for (stage, ours, theirs), found in sorted(groups.items(), key=lambda item: -len(item[1])):
            versions = ",".join(sorted({each.version for each in found}, key=int))
            lines.append(f"UNEXPLAINED {len(found)} x {stage} (v{versions}) ours: {ours} | theirs: {theirs}")
            shown = min(found, key=lambda each: len(each.text))
            lines.append(f"  e.g. {shown}")
        return "\n".join(lines)


def differences(ours: dict, theirs: dict):
    """Each stage at which two verdicts differ, with both answers."""
    if ours["format"] and theirs["format"]:
        return
    if not ours["format"] and not theirs["format"]:
        for name in EQUAL:
            if ours[name] != theirs[name]:
                yield name, str(ours[name]), str(theirs[name])
        # One of us reads the content before it looks at citations.
        cited = [verdict["citations"] or verdict["cited"] for verdict in (ours, theirs)]
        for stage, [mine, other] in {"cited": cited, "state": [ours["state"], theirs["state"]]}.items():
            if bool(mine) != bool(other):
                yield stage, mine or "allowed", other or "allowed"
        return
    # Whether an event that may not be there is dropped or rejected is not told apart by anyone outside.
    if not any((theirs if ours["format"] else ours)[stage] for stage in CHECKS):
        yield "format", ours["format"] or "allowed", theirs["format"] or "allowed"


def brief(case: dict, ids: set[str]) -> str:
    events = (json.loads(case["events"][id]) for id in ids)
    return "; ".join(sorted(f"{each['type']},{each.get('state_key')} by {each['sender']}: {json.dumps(each['content'])[:200]}" for each in events))


def general(why: str) -> str:
    """A reason without what is particular to one event."""
    why = re.sub(r"[$!][A-Za-z0-9_-]{43}", "ID", why)
    why = re.sub(r"@[^\s'\"`,)]*", "USER", why)
    return re.sub(r"-?\d+", "N", why)[:160]
