"""Which differences from Synapse are meant to be, and why? This is the whole list; whatever else differs is a fault."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Intended:
    """A difference that is meant: its name and reason, and how it shows at a stage of judgement."""

    name: str
    stage: str
    ours: str
    theirs: str

    def explains(self, difference) -> bool:
        return (
            re.fullmatch(self.stage, difference.stage) is not None
            and re.search(self.ours, difference.ours) is not None
            and re.search(self.theirs, difference.theirs) is not None
        )


INTENDED: list[Intended] = []
