"""What falls by chance in a sequence? Values that a seed determines."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """The dice of one sequence."""

    def __init__(self, seed: int):
        self._random = random.Random(seed)

    def below(self, end: int) -> int:
        """A number under `end`."""
        return self._random.randrange(end)

    def percent(self, chances: float) -> bool:
        """Whether something with this many chances in a hundred happens."""
        return self._random.random() * 100 < chances

    def one(self, of: Sequence[T]) -> T:
        """One of several."""
        return of[self.below(len(of))]

    def weighted(self, of: Sequence[tuple[int, T]]) -> T:
        """One of several, by weight."""
        return self._random.choices([choice for _, choice in of], [weight for weight, _ in of])[0]

    def some(self, of: Sequence[T], least: int = 0) -> list[T]:
        """Several of several, in their order."""
        chosen = [each for each in of if self.percent(50)]
        return chosen if len(chosen) >= least else [self.one(of) for _ in range(least)]
