"""What do clients ask? One file per subject; each function makes one call, and `asked` says how often.

A new endpoint gets a function here, in the file of its subject: it takes the story so far and returns a `Call`. What it
makes (a room, an event, a token) it notes in the story, so that later calls can name it.
"""

from collections.abc import Callable, Iterator
from functools import partial

from ..call import USERS
from ..story import Maker
from . import events, keys, membership, personal, reading, rooms, state, syncing

__all__ = ["closing", "events", "keys", "membership", "opening", "personal", "reading", "rooms", "state", "syncing"]


def opening() -> list[Maker]:
    """What each sequence begins with."""
    return [rooms.create, membership.join, rooms.create, membership.join]


def closing() -> Iterator[Callable]:
    """What each sequence ends with: every client catches up, and looks at where it is."""
    for user in USERS:
        yield partial(syncing.catch_up, user=user)
        yield partial(reading.joined_rooms, user=user)
    for user in USERS:
        yield partial(syncing.slide, user=user)
