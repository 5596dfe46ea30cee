"""What is a call, before it is known which server answers it?

IDs that a server makes are names in angle brackets: `<room:3>` is the room that call 3 made, `<event:7>` the event of
call 7, `<alice>` a user. `names` says what each stands for on a server.
"""

import json
from dataclasses import dataclass, field

USERS = ("alice", "bob", "carol")

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class Past:
    """What was before a call, of the rooms and its user."""

    # The rooms that the user was never in.
    never: frozenset[str] = frozenset()
    # The rooms that nobody is in any more.
    deserted: frozenset[str] = frozenset()
    # The rooms where the visibility of history ever kept something from who came later.
    veiled: frozenset[str] = frozenset()
    # The rooms that the user joined by a call.
    came: frozenset[str] = frozenset()
    # The rooms that the user ever left or was put out of.
    left: frozenset[str] = frozenset()
    # The rooms that the user is out of by a leave: whether they were in before, or invited or banned only.
    out: frozenset[str] = frozenset()
    # The rooms that the user came back to after that.
    back: frozenset[str] = frozenset()
    # The rooms that the user forgot, and did not come back to.
    forgotten: frozenset[str] = frozenset()
    # The rooms that the user was ever banned from.
    banned: frozenset[str] = frozenset()
    # The rooms where ours refused a read marker of the user.
    unmarked: frozenset[str] = frozenset()
    # The rooms in which the user said something.
    spoke: frozenset[str] = frozenset()
    # The rooms whose initial state says something twice, or what the preset says, too.
    doubled: frozenset[str] = frozenset()
    # The rooms that somebody left or was put out of.
    purged: frozenset[str] = frozenset()
    # The rooms where ours refused a receipt of somebody.
    unread: frozenset[str] = frozenset()
    # The rooms where somebody redacted something.
    redacted: frozenset[str] = frozenset()
    # Whether the user ever said whom to ignore.
    ignores: bool = False
    # Whether the user ever set account data again to what it was.
    repeats: bool = False
    # Whether the user ever took another name or avatar.
    renamed: bool = False


@dataclass(frozen=True)
class Call:
    """One request of a user below /_matrix/client; the values of `query` that are no text are sent as JSON."""

    kind: str
    who: str
    method: str
    path: str
    query: dict[str, Json] = field(default_factory=dict)
    body: Json = None
    # Whose member event the call makes, as (room, user): the answer does not name it.
    member: tuple[str, str] | None = None
    # Under which name the next sync of the same client finds this one's `next_batch`.
    chain: str = ""
    # Whether something in it is wrong on purpose: what is wrong in two ways may be refused for either.
    spoilt: bool = False
    # Whether the room it names was never made.
    nowhere: bool = False
    past: Past = Past()
    # Which number the call has in its sequence; names refer to it.
    step: int = -1

    @property
    def changes(self) -> bool:
        """Whether the call may change anything: the same reading call may be repeated."""
        return self.method != "GET" and self.kind != "slide"

    def __str__(self) -> str:
        query = "&".join(f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in self.query.items())
        body = "" if self.body is None else f" {json.dumps(self.body)}"
        return f"{self.step:3} {self.who:5} {self.method:4} {self.path}{'?' if query else ''}{query}{body}"
