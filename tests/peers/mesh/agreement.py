"""Do all servers agree on what the room is, and does a rule of Matrix say why where they do not?

Servers that count each other in have the same state, event by event, and show the same events, but for those that one of
them soft-failed: what the state that it held forbids when it hears of it.
https://spec.matrix.org/v1.19/server-server-api/#soft-failure
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import permutations, product

from .copy import Copy
from .rules import forbids, is_power_event, membership
from .view import View


class Agreement:
    """What differs between the views that servers have of one room, each under the short name of its server."""

    def __init__(self, views: dict[str, View], server_names: dict[str, str], read: Callable[[str], Copy]):
        # Who is not in the room is not compared.
        self._views = {name: view for name, view in views.items() if view.joined}
        self._server_names = server_names
        self._read = read
        self._pasts: dict[str, frozenset[str]] = {}
        self.findings: list[str] = [refusal for view in self._views.values() for refusal in view.refused]
        # Why some server does not show an event, and why servers see the room apart.
        self.reasons: list[str] = []
        for one, other in permutations(self._views, 2):
            self._compare(one, other)
        for name, copy in self.copies.items():
            if name in self._views and not copy.is_synapse and any(old in self._past(new) for old, new in permutations(copy.tips, 2)):
                self.findings.append(f"an end of the graph lies below another at {name}: {' '.join(copy.tips)}")
        for one, other in product(self._views, server_names.keys() - self._views.keys()):
            self._compare_to_outside(one, other)

    @cached_property
    def copies(self) -> dict[str, Copy]:
        """What the servers hold."""
        return {name: self._read(name) for name in self._server_names}

    @cached_property
    def events(self) -> dict[str, dict]:
        """All events that any of them holds."""
        return {event_id: held.pdu for copy in self.copies.values() for event_id, held in copy.events.items()}

    def misses(self, acknowledged: dict[str, str]) -> Iterator[str]:
        """The acknowledged events that the server does not show that acknowledged them."""
        for event_id, name in acknowledged.items():
            if name in self._views and event_id not in self._views[name].events and not self._redacts_nothing(event_id, name):
                yield f"{name} acknowledged {self._described(event_id)} and does not show it: {self._standing(event_id, name)}"

    def _redacts_nothing(self, event_id: str, name: str) -> bool:
        """Whether an event redacts what its server does not show: such redactions are not shown."""
        held = self.copies[name].events.get(event_id)
        return held is not None and held.standing == "accepted" and not set(_redacted(held.pdu)) <= self._views[name].events

    def _counts(self, one: str, other: str) -> bool:
        """Whether one server has a member of another in the room."""
        return bool(self._views[one].members(self._server_names[other]))

    def _compare(self, one: str, other: str) -> None:
        """Looks for what the first shows and the second does not."""
        missing = sorted(self._views[one].events - self._views[other].events)
        reasons = {event_id: self._why_missing(event_id, one, other) for event_id in missing}
        self.reasons += [f"{other} does not show {event_id}: {reason}" for event_id, reason in reasons.items() if reason]
        if self._counts(one, other):
            unexplained = [event_id for event_id, reason in reasons.items() if not reason]
            self.findings += [f"{other} does not show {self._described(each)} of {one}: {self._standing(each, other)}" for each in unexplained]
        elif not any(reasons.values()) and not self._refuses(one, other):
            self._differ(one, other, f"{one} does not count {other} in, and no rule says why")
        if one < other and self._counts(one, other) and self._counts(other, one):
            for difference, reason in self._state_differences(one, other):
                if reason:
                    self.reasons.append(f"{difference}: {reason}")
                else:
                    self._differ(one, other, difference)

    def _why_missing(self, event_id: str, one: str, other: str) -> str | None:
        """Why a server does not show an event that another shows: it lacks that, or what that redacts."""
        held, unseen = self.copies[other].events.get(event_id), self._views[one].events - self._views[other].events
        redacted = _redacted(held.pdu) if held and held.standing == "accepted" else []
        lacks = [event_id, *(each for each in redacted if each in unseen)]
        reasons = (self._reason(each, other, frozenset()) or self._former(each, one) or self._untold(each, one, other) for each in lacks)
        return next(filter(None, reasons), None)

    def _compare_to_outside(self, one: str, other: str) -> None:
        """Looks for members of a server that, as that server sees it, are not in the room."""
        for user in self._views[one].members(self._server_names[other]):
            ends = [event_id for event_id, pdu in self._weighed(other).items() if _ends(pdu, user)]
            if reason := self._why_counted(user, one, other, ends):
                self.reasons.append(f"{one} counts {user} in: {reason}")
            else:
                known = ", ".join(f"{self._described(each)}: {self._standing(each, one)}" for each in ends)
                self._differ(one, other, f"{one} counts {user} in, who is not in the room as {other} sees it: {known}")

    def _why_counted(self, user: str, one: str, other: str, ends: list[str]) -> str | None:
        """Why a server counts a user of another in, whose stays ended as that one sees it."""
        join, copy = self._views[one].ids()["m.room.member", user], self.copies[other]
        if join in copy.joining:
            return f"{other} does not know yet whether it joined"
        crossing = copy.locked_out.get(user)
        if crossing in copy.events and join in copy.events and copy.events[join].order < copy.events[crossing].order:
            return f"{other} made {join}, and takes them for gone by {crossing}, which is none of its state"
        if reason := next(filter(None, (self._reason(each, one, frozenset()) or self._undone(each, one) for each in ends)), None):
            return reason
        if merge := self._refused_merge(one, other):
            return f"it soft-failed {merge}, by which {other} merged what put {user} out"
        return self._unfounded(join, other) or self._unheard(join, one, other, ends)

    def _unheard(self, join: str, one: str, other: str, ends: list[str]) -> str | None:
        """Why a server never heard of the end of another's stay: none of its users was in the room there, and the other one never
        heard of the joins by which they are in it now."""
        heard = self._weighed(other)
        own = [self._views[one].ids()["m.room.member", user] for user in self._views[one].members(self._server_names[one])]
        untold = (each for each in ends if join in self._past(each) and not self._was_in(one, each))
        end = next(untold, None) if not any(each in heard for each in own) else None
        return f"{one} was not in the room by {end}, and {other} has not heard that it is by {' '.join(own)}" if end else None

    def _unfounded(self, event_id: str, name: str) -> str | None:
        """Why a server accepted an event that is not in its state: a resolution undid what that rests on."""
        if event_id not in self._weighed(name):
            return None
        chain, next_ones = {event_id}, [event_id]
        while next_ones:
            cited = [each for each in self.events[next_ones.pop()]["auth_events"] if each in self.events and each not in chain]
            chain.update(cited)
            next_ones += cited
        undone = {each: self._resolved_away(each, self._weighed(name)) for each in sorted(chain)}
        return next((f"{event_id} rests on {each}, and {reason}" for each, reason in undone.items() if reason), None)

    def _refused_merge(self, one: str, other: str) -> str | None:
        """An event by which a server merged branches, and which another soft-failed by the rules."""
        for event_id, held in self.copies[other].events.items():
            if held.standing == "accepted" and len(held.pdu["prev_events"]) > 1 and self._reason(event_id, one, frozenset()):
                return event_id
        return None

    def _differ(self, one: str, other: str, difference: str) -> None:
        """Takes in that two servers hold different states."""
        if reason := self._merges_the_past(one) or self._merges_the_past(other):
            self.reasons.append(f"{difference}: {reason}")
        else:
            self.findings.append(difference)

    def _merges_the_past(self, name: str) -> str | None:
        """Why Synapse's state is wrong.

        An event that it held as part of a state only, and that is sent to it later, becomes an end of its graph, though it
        lies below another: Synapse does not read what the events of a state build on. So a resolution undoes what came after.
        """
        copy = self.copies[name]
        stale = [(old, new) for old, new in permutations(copy.tips, 2) if old in self._past(new)]
        return "{1} of Synapse builds on {0}, and both are ends of its graph".format(*stale[0]) if stale and copy.is_synapse else None

    def _undone(self, event_id: str, name: str) -> str | None:
        """Why a server that accepted the end of a stay counts its user in: its state holds what came before."""
        end = self.events[event_id]
        standing = self._views[name].ids().get((end["type"], end["state_key"]))
        is_held = (held := self.copies[name].events.get(event_id)) and held.standing == "accepted"
        return f"a resolution undid {event_id}" if is_held and event_id not in self._past(standing or "") else None

    def _refuses(self, one: str, other: str) -> bool:
        """Whether a server soft-failed what another shows, by the rules."""
        return any(self._reason(each, one, frozenset()) for each in self._views[other].events - self._views[one].events)

    def _former(self, event_id: str, name: str) -> str | None:
        """Why nobody hears of an event from the server that shows it: it is of a stay that ended, and what that server says
        since it joined again, elsewhere in the graph, does not build on it."""
        below = self._below(name)
        ends = [each for each, held in self.copies[name].events.items() if membership(held.pdu) in ("leave", "ban") and each not in below]
        end = next((each for each in ends if each == event_id or event_id in self._past(each)), None)
        return f"is of a stay that ended by {end}" if end and event_id not in below else None

    def _untold(self, event_id: str, one: str, other: str) -> str | None:
        """Why a server never heard of an event: none of its users is in the room there, and the other one joined again later,
        elsewhere in the graph, so that nothing that it says by now builds on the event."""
        held, below = self.copies[one].events.get(event_id), self._below(one)
        if held is None or event_id in below or self._was_in(other, event_id):
            return None
        later = [each for each in below & self.copies[one].events.keys() if self.copies[one].events[each].order > held.order]
        joins = sorted(each for each in self._members(later, one) if self._is_join(each) and event_id not in self._past(each))
        return f"{other} was not in the room there, and {one} has joined again since by {joins[0]}" if joins else None

    def _was_in(self, name: str, event_id: str) -> bool:
        """Whether a user of a server is joined by an event, or by the last that what it builds on says of them."""
        before = self._members(self._past(event_id), name)
        replaced = {old for old, new in permutations(before, 2) if old in self._past(new) and _key(self.events[old]) == _key(self.events[new])}
        return any(self._is_join(each) for each in (*self._members([event_id], name), *before) if each not in replaced)

    def _is_join(self, event_id: str) -> bool:
        return membership(self.events[event_id]) == "join"

    def _members(self, event_ids: Iterable[str], name: str) -> list[str]:
        """Which of some events are about the membership of a server's users."""
        known = [each for each in event_ids if each in self.events]
        return [each for each in known if membership(self.events[each]) and self.events[each]["state_key"].endswith(f":{self._server_names[name]}")]

    def _below(self, name: str) -> frozenset[str]:
        """The ends of a server's graph, and all that they build on."""
        tips = self.copies[name].tips
        return tips.union(*map(self._past, tips))

    def _state_differences(self, one: str, other: str) -> Iterator[tuple[str, str | None]]:
        """What of the state two servers hold differently, and why: one of the two events the other server soft-failed by the rules,
        and nothing that it says by now builds on that event."""
        mine, theirs = self._views[one].ids(), self._views[other].ids()
        for key in sorted(mine.keys() | theirs.keys()):
            held, lacking = (mine.get(key), other), (theirs.get(key), one)
            if held[0] != lacking[0]:
                shown = " and ".join(f"{self._described(ids.get(key))} at {name}" for name, ids in ((one, mine), (other, theirs)))
                reasons = (self._reason(event_id, name, frozenset()) for event_id, name in (held, lacking) if self._stands_apart(event_id, name))
                yield f"{' '.join(key).strip()} is {shown}", next(filter(None, reasons), None)

    def _stands_apart(self, event_id: str | None, name: str) -> bool:
        """Whether a server holds an event that is not in what the ends of its graph build on."""
        return event_id in self.copies[name].events and event_id not in self._below(name)

    def _described(self, event_id: str | None) -> str:
        event = self.events.get(event_id or "")
        return f"{event_id} ({event['type']} of {event['sender']}: {event['content']})" if event else str(event_id)

    def _standing(self, event_id: str, name: str) -> str:
        held = self.copies[name].events.get(event_id)
        return f"it is {held.standing} there ({held.reason})" if held else "it is not held there"

    def _past(self, event_id: str) -> frozenset[str]:
        """All that an event builds on."""
        if event_id not in self._pasts:
            found, next_ones = set(), [event_id]
            while next_ones:
                for each in self.events.get(next_ones.pop(), {}).get("prev_events", []):
                    if each not in found:
                        found.add(each)
                        next_ones.append(each)
            self._pasts[event_id] = frozenset(found)
        return self._pasts[event_id]

    def _reason(self, event_id: str, name: str, above: frozenset[str]) -> str | None:
        """Why a server soft-failed an event, if a rule says so: what it knew besides forbids it, or it rests on such."""
        held = self.copies[name].events.get(event_id)
        if held is None or held.standing == "outlier":
            return self._unread(event_id, name)
        if event_id in above:
            return None
        if held.standing == "rejected":
            return self._misjudged(event_id, name)
        rests_on = _redacted(held.pdu) if held.standing == "accepted" else []
        if held.standing == "soft-failed":
            rests_on = [*held.pdu["auth_events"], *_redacted(held.pdu)]
        for each in rests_on:
            if each in self.events and (reason := self._reason(each, name, above | {event_id})):
                return f"rests on {each}, and {reason}"
        if held.standing != "soft-failed":
            return self._distrust(event_id, name)
        # What its sender's rights rest on may have been undone by a resolution when it was heard of.
        known = {each: pdu for each, pdu in self._weighed(name).items() if self._may_be_heard_before(each, event_id, name)}
        undone = (self._resolved_away(each, known) for each in held.pdu["auth_events"] if each in self.copies[name].events)
        return self._forbidden(event_id, name) or next(filter(None, undone), None) or self._stateless(event_id, name)

    def _forbidden(self, event_id: str, name: str) -> str | None:
        """What a server may have had in its state that forbids an event."""
        for other_id, other in self._weighed(name).items():
            if self._may_have_stood(other_id, event_id, name) and (reason := forbids(other, self.events[event_id])):
                return f"{other_id} {reason}"
        return None

    def _resolved_away(self, event_id: str, known: dict[str, dict]) -> str | None:
        """What may undo an event in a resolution by who knows this.

        Resolutions weigh anew what something lies beside, and begin with power events: these undo what they build on, too.
        https://spec.matrix.org/v1.19/rooms/v2/#state-resolution
        """
        if not any(self._lies_beside(each, event_id) for each in known):
            return None
        powers = [each for each, pdu in known.items() if is_power_event(pdu) and each != event_id and each not in self._past(event_id)]
        reasons = {each: forbids(known[each], self.events[event_id]) for each in powers}
        return next((f"{each} {reason}" for each, reason in reasons.items() if reason), None)

    def _weighed(self, name: str) -> dict[str, dict]:
        """What a server's states may hold: what it accepted, and what the ends of its graph build on."""
        below, events = self._below(name), self.copies[name].events
        allowed = {event_id: held for event_id, held in events.items() if held.standing != "rejected"}
        return {event_id: held.pdu for event_id, held in allowed.items() if held.standing == "accepted" or event_id in below}

    def _misjudged(self, event_id: str, name: str) -> str | None:
        """Why Synapse rejects what is allowed.

        A join that it makes cites the invite, which it does not know the state of yet: the join's state lacks what the
        invite builds on, for good, and so do the states of all that builds on the join.
        """
        blind = next((each for each in self.copies[name].blind if each in self._past(event_id)), None)
        return f"builds on {blind}, whose state Synapse did not know all of when it made it" if blind else None

    def _stateless(self, event_id: str, name: str) -> str | None:
        """Why Synapse soft-fails what is allowed: it holds no state of a room while none of its users is in it."""
        events = self.copies[name].events
        before = [each for each in self._members(events, name) if events[each].order < events[event_id].order]
        last = {events[each].pdu["state_key"]: each for each in sorted(before, key=lambda each: events[each].order)}
        is_out = last and not any(self._is_join(each) for each in last.values())
        return f"came to Synapse after {' and '.join(last.values())}" if is_out and self.copies[name].is_synapse else None

    def _distrust(self, event_id: str, name: str) -> str | None:
        """Why Synapse accepts a redaction and does not show it: by the state when it came, which decides otherwise only over
        soft failure, its sender had not the level any more."""
        is_distrusted = event_id in self.copies[name].distrusted
        return "redacts what Synapse, by its state then, lets nobody of that server redact" if is_distrusted else None

    def _unread(self, event_id: str, name: str) -> str | None:
        """Why Synapse does not show history.

        It asks any server in the room for it (with SQLite, in no order), and goes no further once one answered, though
        that one may have joined late itself and not know the state that the history rests on. And what came to it as part
        of a state it does not read again where another event builds on it.
        """
        held = self.copies[name].events.get(event_id)
        if self.copies[name].is_synapse and held and held.standing == "outlier" and event_id in self._below(name):
            return "is part of a state to Synapse, though what it accepted builds on it"
        stuck = [each for each in self.copies[name].stuck_at if event_id == each or event_id in self._past(each)]
        return f"asks for the history before {stuck[0]} where it is not" if stuck else None

    def _may_have_stood(self, other_id: str, event_id: str, name: str) -> bool:
        """Whether a server may have had an event in its state when it heard of another.

        Neither builds on the other; or the other was heard of late, as history; or the event stands there now: where a
        resolution undid what came after it; or what replaced it was news to the server. An event itself stood there where it
        was part of a state before it came: nobody leaves who has left.
        """
        if other_id == event_id:
            return self._came_with_a_state(event_id, name)
        if self._lies_beside(other_id, event_id) or other_id in self._views[name].ids().values():
            return True
        is_past = other_id in self._past(event_id)
        return self._is_replaced_by_news(other_id, event_id, name) if is_past else self._may_be_heard_before(other_id, event_id, name)

    def _lies_beside(self, one: str, other: str) -> bool:
        """Whether neither of two events builds on the other."""
        return one != other and one not in self._past(other) and other not in self._past(one)

    def _may_be_heard_before(self, one: str, other: str, name: str) -> bool:
        """Whether a server may have heard of an event before another: when it was sent what it held already, is not known."""
        events = self.copies[name].events
        return events[one].order < events[other].order or self._came_with_a_state(other, name)

    def _came_with_a_state(self, event_id: str, name: str) -> bool:
        """Whether a server held an event as part of a state first: before something that it builds on, but for the history of
        before the server joined."""
        events, past = self.copies[name].events, self._past(event_id)
        history = frozenset[str]().union(*(self._past(each) for each in self._members(past, name) if self._is_join(each)))
        return any(each not in events or events[each].order > events[event_id].order for each in past - history)

    def _is_replaced_by_news(self, old_id: str, event_id: str, name: str) -> bool:
        """Whether what replaced an event, below another, lies beside all that a server had said before it heard of that one.

        What lies below the join by which it came in, on another branch, is history to it: no part of its state.
        """
        events = self.copies[name].events
        replaced = [each for each in self._past(event_id) if old_id in self._past(each) and _key(self.events.get(each)) == _key(self.events[old_id])]
        own = [each for each, held in events.items() if held.pdu["sender"].endswith(f":{self._server_names[name]}") and held.order < events[event_id].order]
        return bool(replaced) and not any(each in self._past(said) for each in replaced for said in own)


def _key(event: dict | None) -> tuple[str, str] | None:
    return (event["type"], event["state_key"]) if event and "state_key" in event else None


def _ends(event: dict, user: str) -> bool:
    return event["type"] == "m.room.member" and event["state_key"] == user and membership(event) in ("leave", "ban")


def _redacted(event: dict) -> list[str]:
    """The event that an event redacts: who does not show that one does not show this one."""
    target = event["content"].get("redacts") or event.get("redacts")
    return [target] if event["type"] == "m.room.redaction" and target else []
