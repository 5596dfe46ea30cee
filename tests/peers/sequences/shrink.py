"""Which calls of a sequence does a difference need?"""

import re
import time
from collections.abc import Callable

from .call import Call

Fails = Callable[[list[Call]], bool]


def shrink(calls: list[Call], about: str, fails: Fails, seconds: float) -> list[Call]:
    """Drops as many calls as the time allows: those that guesses call needless, then many at once, then one by one."""
    end = time.monotonic() + seconds
    for needed in (_changes, _is_about(about)):
        fewer = [call for call in calls[:-1] if needed(call)] + calls[-1:]
        if len(fewer) < len(calls) and fails(fewer):
            calls = fewer
    size = len(calls) // 2
    while size:
        start = 0
        while start < len(calls) and time.monotonic() < end:
            fewer = calls[:start] + calls[start + size :]
            if fails(fewer):
                calls = fewer
            else:
                start += size
        size //= 2
    return calls


def _changes(call: Call) -> bool:
    return call.changes or bool(call.chain)


def _is_about(text: str) -> Callable[[Call], bool]:
    """Whether a call has to do with one of the rooms that a text names."""
    rooms = set(re.findall(r"<room:\d+>", text))
    return lambda call: not rooms or bool(call.chain) or f"<room:{call.step}>" in rooms or any(room in str(call) for room in rooms)
