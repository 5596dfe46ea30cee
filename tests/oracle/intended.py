"""Which differences from Synapse are meant to be, and why? This is the whole list; whatever else differs is a fault."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Intended:
    """A difference that is meant: why, at which stage of judgement, and what each side says."""

    reason: str
    stage: str
    ours: str
    theirs: str
    versions: str = r"\d+"

    def explains(self, difference) -> bool:
        pairs = [(self.stage, difference.stage), (self.versions, difference.version)]
        return all(re.fullmatch(pattern, text) for pattern, text in pairs) and all(
            re.search(pattern, text) for pattern, text in [(self.ours, difference.ours), (self.theirs, difference.theirs)]
        )


RULES = "cited|state"

INTENDED = [
    # Stricter than the functions of Synapse that are asked here; some of it Synapse checks elsewhere.
    Intended("an event has at most 20 prev_events and 10 auth_events (Synapse checks on receipt, elsewhere)", "format", "`(prev|auth)_events` is too long", "^allowed$"),
    Intended("an event names no event twice in prev_events or auth_events", "format", "`(prev|auth)_events` is missing or malformed", "^allowed$"),
    Intended("only a create event has no prev_events (Synapse checks on receipt, elsewhere)", "cited", "only a create event has no previous events", "^allowed$"),
    Intended("the version in a create event is that by which the room is judged (Synapse takes the version from there)", "cited", "the create event is of another room version", "^allowed$"),
    Intended("an event has 65,536 bytes at most; Synapse counts 14 that it adds itself", "format", "^allowed$", "event too large"),
    Intended("-0 is no number of canonical JSON; Synapse reads it as 0", "format", "-0 is not a canonical integer", "^allowed$"),
    Intended("an event has signatures, even where its sender's server need not sign", "format", "`signatures` is missing or malformed", "^allowed$"),
    Intended("the state key of a member event is a user ID; Synapse wants a colon in it", RULES, "invalid `state_key` field in `m.room.member` event", "^allowed$"),
    Intended("user IDs have the server name's grammar; Synapse wants a colon in them", RULES, "(`users` field|`additional_creators` field).*server name", "^allowed$"),
    Intended("every level is an integer or its text; Synapse looks at `users` alone where there are no levels before", RULES, "unexpected format of `\\w+` field in `content` of `m.room.power_levels`", "^allowed$", "[6-9]"),
    # Faults of Synapse, by which it loses the event.
    Intended("`unsigned` of any other type is dropped, not the event; Synapse breaks off", "format", "^allowed$", "crash: AttributeError: '(str|NoneType|list)' object has no attribute 'items'"),
    Intended("a key of an identity server that is no key matches nothing; Synapse breaks off", RULES, "^allowed$", "crash: (ValueError: The key must be exactly 32 bytes|AttributeError: 'NoneType' object has no attribute 'encode')"),
    Intended("power levels that are no state are judged like all others; Synapse breaks off", RULES, "^allowed$", "crash: AttributeError: state_key"),
]
