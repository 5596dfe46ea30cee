"""How is the run of a seed played, and what came of it?"""

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import quote

import httpx

from sequences.call import Call, Json
from sequences.names import Names
from server import Server
from user import Refused, User

from .agreement import Agreement
from .copy import copy
from .links import Links
from .plan import ROOM, SERVERS, USERS, Fault, Plan, home, message, rename
from .view import View, view

# How long the servers have to agree, and after how long each says something once more (s).
PATIENCE = 30.0
ROUND = 6.0
# How long a turn takes at least: what is cut stays so for a while (s).
TURN = 0.05
# How long a killed server is away at least (s).
AWAY = 1.0
PAUSE = 0.15


@dataclass
class Outcome:
    """What came of a run."""

    plan: Plan
    lines: list[str] = field(default_factory=list)
    made: int = 0
    good: int = 0
    reasons: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    graph: list[str] = field(default_factory=list)
    # The servers that are in the room in the end: no others are compared.
    inside: str = ""
    # How long it took, and how long of it the servers took to agree (s).
    seconds: float = 0
    agreed_after: float = 0
    rounds: int = 0

    def story(self) -> str:
        """What happened, one line each."""
        head = f"seed {self.plan.seed}: version {self.plan.version}, made by {self.plan.founder}"
        return "\n".join([head, *self.lines])


class Run:
    """One room on three servers."""

    def __init__(self, plan: Plan, servers: dict[str, Server], links: Links):
        self._plan = plan
        self._servers = servers
        self._server_names = {name: server.name for name, server in servers.items()}
        self._links = links
        self._users = {name: User(servers[home(name)], name) for name in USERS}
        self._names = Names(servers[home(plan.founder)].name, secrets.token_hex(3))
        for name, user in self._users.items():
            self._names.learn(f"<{name}>", user.id)
        self._pool = ThreadPoolExecutor(len(SERVERS))
        self._starting: Server | None = None
        self._killed_at = 0.0
        # What servers acknowledged with an event ID, and which server that was.
        self._acknowledged: dict[str, str] = {}
        self.outcome = Outcome(plan)

    def close(self) -> None:
        """Closes the connections."""
        for user in self._users.values():
            user.close()
        self._pool.shutdown()

    def play(self) -> Outcome:
        """Does all that is planned, then waits until the servers agree."""
        began = time.monotonic()
        try:
            for turn in self._plan.turns:
                next_turn = time.monotonic() + TURN
                if isinstance(turn, Fault):
                    self.outcome.lines.append(str(turn))
                    self._befall(turn)
                else:
                    self._make(turn)
                    time.sleep(max(0, next_turn - time.monotonic()))
        finally:
            self._links.heal_all()
            self._come_up()
        self._settle()
        self.outcome.seconds = time.monotonic() - began
        return self.outcome

    def _befall(self, fault: Fault) -> None:
        if fault.kind == "cut":
            self._links.cut(*fault.who)
        elif fault.kind == "heal":
            self._links.heal(*fault.who)
        elif fault.kind == "kill":
            self._servers[fault.who[0]].kill()
            self._killed_at = time.monotonic()
        elif fault.kind == "start":
            time.sleep(max(0, self._killed_at + AWAY - time.monotonic()))
            self._starting = self._servers[fault.who[0]]
            self._starting.launch()
        else:
            self._come_up()

    def _come_up(self) -> None:
        if self._starting is not None:
            self._starting.wait_until_started()
            self._starting = None

    def _make(self, calls: tuple[Call, ...]) -> bool:
        """Makes calls at once, and says whether all succeeded."""
        good = self.outcome.good
        for call, (verdict, event_id) in zip(calls, self._pool.map(self._ask, calls), strict=True):
            self.outcome.made += 1
            self.outcome.good += verdict == "200"
            self.outcome.lines.append(f"{'&' if call is not calls[0] else ' '}{call} -> {verdict}")
            if event_id:
                self._acknowledged[event_id] = home(call.who)
                self._names.learn(f"<event:{call.step}>", event_id)
        return self.outcome.good == good + len(calls)

    def _ask(self, call: Call) -> tuple[str, str | None]:
        """Makes a call: what the server said, and which event it made."""
        began = time.monotonic()
        try:
            answer = self._request(call)
        except Refused as refusal:
            # What went wrong, and how long it took, matters where it is not a rule.
            return f"{refusal} after {time.monotonic() - began:.1f} s" if refusal.status >= 500 else f"{refusal.status} {refusal.code}", None
        except httpx.TransportError as error:
            return type(error).__name__, None
        if call.kind == "createRoom":
            self._names.learn(ROOM, answer["room_id"])
        return "200", answer.get("event_id")

    def _request(self, call: Call) -> dict[str, Json]:
        user = self._users[call.who]
        body = self._names.fill(call.body)
        if call.kind == "power_levels":
            body = self._levels(user, body)
        # Others know the room as well; whoever is asked first may be cut off.
        params = {"via": [server.name for server in self._servers.values() if server is not user.server]} if call.kind == "join" else {}
        path = "/".join(quote(self._names.fill(part), safe="") for part in call.path.split("/"))
        return user.call(call.method, path, params=params, json=body)

    def _levels(self, user: User, change: dict[str, Json]) -> dict[str, Json]:
        """The power levels as they stand, but for what a call changes."""
        room = quote(self._names.fill(ROOM))
        levels = user.call("GET", f"/v3/rooms/{room}/state/m.room.power_levels")
        users = {**levels.get("users", {}), **change.get("users", {})}
        return {**levels, **change, "users": users}

    def _settle(self) -> None:
        """Has each server say something that cites all it knows, until they agree or were given enough time."""
        began = time.monotonic()
        while True:
            if began + self.outcome.rounds * ROUND < time.monotonic() < began + PATIENCE - ROUND:
                self.outcome.rounds += 1
                self._close_round()
            views = self._views()
            agreement = Agreement(views, self._server_names, lambda name: copy(self._servers[name], self._names.fill(ROOM)))
            findings = [*agreement.findings, *agreement.misses(self._acknowledged)]
            if not findings or time.monotonic() > began + PATIENCE:
                break
            time.sleep(PAUSE)
        self.outcome.agreed_after = time.monotonic() - began
        self._learn(agreement)
        self.outcome.inside = "".join(name for name, seen in views.items() if seen.joined)
        self.outcome.graph = list(self._graph(agreement, views))
        self.outcome.findings = [self._names.tell(each) for each in findings]
        self.outcome.reasons = [self._names.tell(each) for each in agreement.reasons]

    def _views(self) -> dict[str, View]:
        room = self._names.fill(ROOM)
        users = {name: [user for which, user in self._users.items() if home(which) == name] for name in SERVERS}
        return dict(zip(SERVERS, self._pool.map(lambda name: view(room, users[name]), SERVERS), strict=True))

    def _close_round(self) -> None:
        """A message by a user of each server that is in the room; who may not speak may still bear another name."""
        for number, (name, seen) in enumerate(self._views().items()):
            step = 900 + 10 * self.outcome.rounds + number
            for user_id in seen.joined:
                who = self._names.unfill(user_id).strip("<>")
                calls = (message(who, step, f"{name} is here"), rename(who, step))
                if any(self._make((call,)) for call in calls):
                    break

    def _learn(self, agreement: Agreement) -> None:
        for event_id, event in _by_depth(agreement):
            key = self._names.unfill(event.get("state_key", ""))
            self._names.name_event(event["type"].removeprefix("m.room."), key, event_id)

    def _graph(self, agreement: Agreement, views: dict[str, View]) -> Iterator[str]:
        """Every event that any server holds: what it is to each, in whose state it stands, and what it builds on."""
        names = self._names.unfill
        for event_id, event in _by_depth(agreement):
            held = [copy_.events.get(event_id) for copy_ in agreement.copies.values()]
            standings = "".join(each.standing[0] if each else "-" for each in held)
            in_state = "".join(name if event_id in seen.ids().values() else "-" for name, seen in views.items())
            what = f"{names(event_id)} {event['type']} {names(event.get('state_key', ''))} of {names(event['sender'])} {names(event['content'])}"
            yield f"{event['depth']:4} {standings} {in_state} {what} after {' '.join(map(names, event['prev_events']))}"


def _by_depth(agreement: Agreement) -> list[tuple[str, dict]]:
    return sorted(agreement.events.items(), key=lambda item: (item[1]["depth"], item[0]))
