"""When has something come true that takes its time? Federation answers before it has done its work."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(fact: Callable[[], T], seconds: float = 20, pause: float = 0.05) -> T:
    """Asks until the answer is truthy, and returns it; an AssertionError of the fact is an answer, too."""
    end = time.monotonic() + seconds
    while True:
        problem = None
        try:
            if answer := fact():
                return answer
        except AssertionError as error:
            problem = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {problem or fact}") from problem
        time.sleep(pause)
