"""What happens in the run of a seed? Who does what, which links are cut, which server is killed.

A sketch, as `sequences.story`: it believes that each call succeeds, so that most are allowed. Where it is wrong, a call is
refused, as some should be.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sequences.call import Call, Json
from sequences.dice import Dice

# Two servers of ours, and Synapse; a user bears the name of their server and a number.
SERVERS = ("a", "b", "s")
OURS = ("a", "b")
USERS = ("a1", "a2", "b1", "b2", "s1", "s2")
PAIRS = (("a", "b"), ("a", "s"), ("b", "s"))
ROOM = "<room:0>"

LEAST, MOST = 40, 60


def home(user: str) -> str:
    """The server of a user."""
    return user[0]


@dataclass(frozen=True)
class Fault:
    """What befalls the servers: `cut` and `heal` a link, `kill` a server, `start` it, wait until it is `up`."""

    kind: str
    who: tuple[str, ...]

    def __str__(self) -> str:
        return f"--- {self.kind} {' and '.join(self.who)}"


# What happens at once.
Turn = Fault | tuple[Call, ...]


@dataclass
class Plan:
    """What happens, one after the other."""

    seed: int
    version: str
    founder: str
    turns: list[Turn]


@dataclass
class Sketch:
    """What the plan believes of the room."""

    dice: Dice
    version: str
    founder: str
    members: dict[str, str] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)
    said: list[int] = field(default_factory=list)
    # The servers that do not run.
    down: set[str] = field(default_factory=set)
    step: int = 0

    def here(self, *memberships: str) -> list[str]:
        """Who has one of these memberships (none is `leave`) and a server that runs."""
        return [user for user in USERS if self.members.get(user, "leave") in memberships and home(user) not in self.down]

    def actor(self, level: int = 0) -> str:
        """A member, mostly one of this level."""
        joined = self.here("join") or self.here("join", "invite", "leave", "ban")
        able = [user for user in joined if self.levels.get(user, 0) >= level]
        return self.dice.one(able if able and self.dice.percent(90) else joined)

    def target(self, *memberships: str) -> str:
        """Somebody to do something to: mostly of these memberships, seldom who made the room."""
        fitting = [user for user in USERS if self.members.get(user, "leave") in memberships]
        others = [user for user in fitting if user != self.founder]
        return self.dice.one((others if self.dice.percent(97) else fitting) or USERS)


Maker = Callable[[Sketch], Call]


def plan(seed: int) -> Plan:
    """The run of a seed."""
    dice = Dice(seed)
    version, founder = dice.one(("10", "11", "12")), dice.one(USERS)
    sketch = Sketch(dice, version, founder, {founder: "join"}, {founder: 100})
    turns: list[Turn] = [(_create(sketch),)]
    for user in USERS:
        if user != founder:
            turns += [(call,) for call in _comes(sketch, user)]
    turns += [(call,) for call in _powers(sketch)]
    count = LEAST + dice.below(MOST - LEAST + 1)
    faults = _faults(dice, count)
    for number in range(count):
        for fault in faults.get(number, ()):
            if fault.kind == "kill":
                sketch.down |= set(fault.who)
            if fault.kind == "up":
                sketch.down -= set(fault.who)
            turns.append(fault)
        turns.append(_at_once(sketch))
    if dice.percent(75):
        # Whoever is out comes back, if they may: what they missed has to be told them.
        turns.append((_made(sketch, lambda _: _state(founder, "m.room.join_rules", {"join_rule": "public"})),))
        turns += [(_made(sketch, lambda _, user=user: _join(user)),) for user in USERS]
    return Plan(seed, version, founder, turns)


def _faults(dice: Dice, count: int) -> dict[int, list[Fault]]:
    """What befalls the servers before which turn: one is alone for a while, or links are cut; mostly one is killed."""
    found: dict[int, list[Fault]] = {}

    def add(number: int, kind: str, *who: str) -> None:
        found.setdefault(number, []).append(Fault(kind, who))

    def part(*pairs: tuple[str, str]) -> None:
        start, length = dice.below(count - 12), 10 + dice.below(20)
        for pair in pairs:
            add(start, "cut", *pair)
            add(min(start + length, count - 1), "heal", *pair)

    if dice.percent(50):
        alone = dice.one(SERVERS)
        part(*(pair for pair in PAIRS if alone in pair))
    else:
        for pair in dice.some(PAIRS, 1):
            part(pair)
    if dice.percent(60):
        start, who = dice.below(count - 20), dice.one(OURS)
        for after, kind in ((0, "kill"), (6 + dice.below(4), "start"), (15, "up")):
            add(start + after, kind, who)
    return found


def _at_once(sketch: Sketch) -> tuple[Call, ...]:
    """One call, or some by users of different servers."""
    calls: dict[str, Call] = {}
    for _ in range(1 if sketch.dice.percent(60) else 3):
        call = _made(sketch, sketch.dice.weighted(_MAKERS))
        if home(call.who) not in calls and home(call.who) not in sketch.down:
            calls[home(call.who)] = call
    return tuple(calls.values())


def _made(sketch: Sketch, maker: Maker) -> Call:
    sketch.step += 1
    return replace(maker(sketch), step=sketch.step)


def _create(sketch: Sketch) -> Call:
    preset = "public_chat" if sketch.dice.percent(70) else "private_chat"
    return Call("createRoom", sketch.founder, "POST", "/v3/createRoom", body={"preset": preset, "room_version": sketch.version}, step=0)


def _comes(sketch: Sketch, user: str) -> list[Call]:
    """How a user comes in at the start: some are invited."""
    calls = [_made(sketch, lambda _: _act("invite", sketch.founder, user))] if sketch.dice.percent(50) else []
    sketch.members[user] = "join"
    return [*calls, _made(sketch, lambda _: _join(user))]


def _powers(sketch: Sketch) -> list[Call]:
    """Mostly users of all servers may do something: where one alone may, nothing conflicts."""
    calls = []
    for name in SERVERS:
        users = [user for user in USERS if home(user) == name and user != sketch.founder]
        if name != home(sketch.founder) and sketch.dice.percent(75):
            calls.append(_made(sketch, lambda _, users=users: _raise(sketch, sketch.founder, sketch.dice.one(users), sketch.dice.one((50, 50, 100)))))
    return calls


def _raise(sketch: Sketch, who: str, target: str, level: int) -> Call:
    """One user's level; what else the levels are when it is asked stays."""
    sketch.levels[target] = level
    return _state(who, "m.room.power_levels", {"users": {f"<{target}>": level}})


def _join(user: str) -> Call:
    return Call("join", user, "POST", f"/v3/join/{ROOM}", body={})


def _act(action: str, who: str, target: str) -> Call:
    return Call(action, who, "POST", f"/v3/rooms/{ROOM}/{action}", body={"user_id": f"<{target}>"})


def _state(who: str, kind: str, content: Json) -> Call:
    return Call(kind.removeprefix("m.room."), who, "PUT", f"/v3/rooms/{ROOM}/state/{kind}", body=content)


def message(who: str, step: int, text: str) -> Call:
    """Somebody says something."""
    body: Json = {"msgtype": "m.text", "body": text}
    return Call("message", who, "PUT", f"/v3/rooms/{ROOM}/send/m.room.message/t{step}", body=body, step=step)


def rename(who: str, step: int) -> Call:
    """Somebody bears another name."""
    return Call("displayname", who, "PUT", f"/v3/profile/<{who}>/displayname", body={"displayname": f"{who} {step}"}, step=step)


def _message(sketch: Sketch) -> Call:
    sketch.said.append(sketch.step)
    return message(sketch.actor(), sketch.step, f"word {sketch.step}")


def _topic(sketch: Sketch) -> Call:
    return _state(sketch.actor(50), "m.room.topic", {"topic": f"topic {sketch.step}"})


def _name(sketch: Sketch) -> Call:
    return _state(sketch.actor(50), "m.room.name", {"name": f"name {sketch.step}"})


def _join_rules(sketch: Sketch) -> Call:
    rule = "public" if sketch.dice.percent(60) else "invite"
    return _state(sketch.actor(100), "m.room.join_rules", {"join_rule": rule})


def _level(sketch: Sketch) -> Call:
    who, target = sketch.actor(50), sketch.target("join")
    return _raise(sketch, who, target, sketch.dice.one([each for each in (0, 0, 50, 50, 100) if each <= max(sketch.levels.get(who, 0), 50)]))


def _threshold(sketch: Sketch) -> Call:
    """The level that something needs."""
    key = sketch.dice.one(("events_default", "state_default", "invite", "kick"))
    level = 50 if key in ("state_default", "kick") or sketch.dice.percent(25) else 0
    return _state(sketch.actor(100), "m.room.power_levels", {key: level})


def _kick(sketch: Sketch) -> Call:
    target = sketch.target("join", "invite")
    sketch.members[target] = "leave"
    return _act("kick", sketch.actor(50), target)


def _ban(sketch: Sketch) -> Call:
    target = sketch.target("join", "leave")
    sketch.members[target] = "ban"
    return _act("ban", sketch.actor(50), target)


def _unban(sketch: Sketch) -> Call:
    target = sketch.target("ban")
    sketch.members[target] = "leave"
    return _act("unban", sketch.actor(50), target)


def _leave(sketch: Sketch) -> Call:
    able = sketch.here("join", "invite")
    who = sketch.dice.one([user for user in able if user != sketch.founder] or USERS)
    sketch.members[who] = "leave"
    return Call("leave", who, "POST", f"/v3/rooms/{ROOM}/leave", body={})


def _rejoin(sketch: Sketch) -> Call:
    who = sketch.dice.one(sketch.here("invite") or sketch.here("leave") or USERS)
    sketch.members[who] = "join"
    return _join(who)


def _invite(sketch: Sketch) -> Call:
    target = sketch.target("leave")
    who = sketch.actor(sketch.dice.one((0, 50)))
    sketch.members[target] = "invite"
    return _act("invite", who, target)


def _redact(sketch: Sketch) -> Call:
    event = f"<event:{sketch.dice.one(sketch.said[-6:])}>" if sketch.said else "<event:999>"
    return Call("redact", sketch.actor(50), "PUT", f"/v3/rooms/{ROOM}/redact/{event}/t{sketch.step}", body={})


def _displayname(sketch: Sketch) -> Call:
    return rename(sketch.actor(), sketch.step)


_MAKERS: list[tuple[int, Maker]] = [
    (26, _message),
    (8, _topic),
    (6, _name),
    (6, _join_rules),
    (9, _level),
    (4, _threshold),
    (6, _kick),
    (6, _ban),
    (7, _unban),
    (5, _leave),
    (16, _rejoin),
    (8, _invite),
    (5, _redact),
    (4, _displayname),
]
