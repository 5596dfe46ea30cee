"""What has a sequence asked so far, and so: what can it ask next that makes sense?

A sketch, not a model: it believes that each call succeeds, so that most calls find what they name. Where it is wrong, a
call is a wrong one, as some are meant to be.
"""

import string
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from .call import USERS, Call, Json
from .dice import Dice

# What stands in the place of something that it is not.
NONSENSE: tuple[Json, ...] = (None, -1, 7, "", "nonsense", [], {}, ["x"], {"x": "y"}, True)


@dataclass
class Room:
    """What the sketch believes of a room."""

    name: str
    version: str
    members: dict[str, str]
    # The names of its events, oldest first, and which of them are messages of whom.
    events: list[str] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)


class Story:
    """A sequence while it is made."""

    def __init__(self, dice: Dice):
        self.dice = dice
        self.rooms: list[Room] = []
        # Synapse's filters by room let create events of version 12 pass, which do not name their room: either, or.
        self.filters_rooms = dice.percent(50)
        self.versions = ("10", "11") if self.filters_rooms else ("10", "11", "12", "12")
        self.syncs: list[tuple[str, int]] = []
        self.pages: list[tuple[str, str]] = []
        self.filters: list[tuple[str, int]] = []
        # How many backups of room keys each user has made.
        self.backups: dict[str, int] = {}
        self.step = 0
        # Whether the call that is being made has something wrong in it.
        self.spoilt = False
        # Each client keeps one filter for its chain of syncs.
        self.chain_filters: dict[str, Json] = {}

    # Who and where.

    def user(self) -> str:
        """Any user."""
        return self.dice.one(USERS)

    def somebody(self) -> str:
        """The name of any user, rarely of one that nobody registered."""
        return "<nobody>" if self.dice.percent(3) else f"<{self.user()}>"

    def room(self) -> Room:
        """Any room, rarely one that does not exist."""
        if not self.rooms or self.dice.percent(2):
            return Room("<room:999>", "11", {})
        return self.dice.one(self.rooms)

    def member(self, room: Room, *memberships: str, sure: int = 85) -> str:
        """A user, mostly one of these memberships (`join` if none is named)."""
        fitting = [user for user, held in room.members.items() if held in (memberships or ("join",))]
        return self.dice.one(fitting) if fitting and self.dice.percent(sure) else self.user()

    def other(self, room: Room, *memberships: str) -> str:
        """The name of a user, mostly one of these memberships."""
        return "<nobody>" if self.dice.percent(2) else f"<{self.member(room, *memberships, sure=75)}>"

    def event(self, room: Room) -> str:
        """An event, mostly of the room."""
        if self.dice.percent(4):
            return self.dice.one(["$nonsense", "<event:999>", "nonsense", *(event for each in self.rooms for event in each.events[-1:])])
        recent = room.events[-8:] if self.dice.percent(70) else room.events
        return self.dice.one(recent) if recent else "<event:999>"

    def text(self) -> str:
        """Something to say."""
        return "".join(self.dice.one(string.ascii_lowercase) for _ in range(4))

    def founder(self, room: Room) -> str:
        """Mostly who made the room, and may do everything."""
        return next(iter(room.members)) if room.members and self.dice.percent(70) else self.member(room)

    # What is nearly right.

    def body(self, **right: Json) -> dict[str, Json] | Json:
        """A body, seldom a wrong one: without a key, or with nonsense in its place, or none at all."""
        if not self.dice.percent(5):
            return right
        self.spoilt = True
        wrong = self.dice.below(4)
        if not right or wrong == 0:
            return self.dice.one([[], "nonsense", None, {}])
        key = self.dice.one(list(right))
        return {**right, key: self.dice.one(NONSENSE)} if wrong > 1 else {each: right[each] for each in right if each != key}

    def query(self, **right: Json) -> dict[str, Json]:
        """A query without what is None, seldom with nonsense in it."""
        query = {key: value for key, value in right.items() if value is not None}
        if query and self.dice.percent(4):
            self.spoilt = True
            query[self.dice.one(list(query))] = self.dice.one(["", "nonsense", "-1"])
        return query

    # What becomes of it.

    def moves(self, room: Room, user: str, membership: str) -> None:
        """Believes that a user's membership has changed."""
        if user.strip("<>") in USERS:
            room.members[user.strip("<>")] = membership
        self.makes(room)

    def makes(self, room: Room) -> str:
        """Believes that the call makes an event in the room, and returns the event's name."""
        name = f"<event:{self.step}>"
        room.events.append(name)
        return name


Maker = Callable[[Story], Call]
_MAKERS: list[tuple[int, Maker]] = []


def asked(weight: int) -> Callable[[Maker], Maker]:
    """Has sequences ask what the function makes, as often as its weight says."""

    def add(maker: Maker) -> Maker:
        _MAKERS.append((weight, maker))
        return maker

    return add


def plan(seed: int, length: int) -> list[Call]:
    """The sequence of a seed: two rooms, then whatever falls, then what every client sees in the end."""
    from .calls import closing, opening

    story = Story(Dice(seed))
    makers = [*opening(), *(story.dice.weighted(_MAKERS) for _ in range(length)), *closing()]
    calls = []
    for step, maker in enumerate(makers):
        story.step = step
        story.spoilt = False
        calls.append(replace(maker(story), step=step, spoilt=story.spoilt))
    return calls
