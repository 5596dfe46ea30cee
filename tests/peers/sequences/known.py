"""Which differences from Synapse are meant, and why? This is the whole list; whatever else differs is a fault."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from .call import Call

# What of an answer is not compared, as the end of a path, with the reason.
UNSAID = {
    r"(^|\.)origin_server_ts$": "the time",
    r"(^|\.)age$": "the time",
    r"\.ts$": "the time",
    # Beside `unsigned`, Synapse repeats what old clients looked for there.
    r"(^|\.)(?<!unsigned\.)(user_id|prev_content|prev_sender|replaces_state|redacted_because)$": "not in the specification",
    r"(^|\.)(hashes|signatures)$": "each server's own",
    r"unsigned\.redacted_by$": "not in the specification",
    r"^(device_lists|device_one_time_keys_count|device_unused_fallback_key_types|org\.matrix\.msc2732\..*)$": "not built here: encryption",
    r"^to_device$": "not built here: messages to devices",
    r"\.bump_stamp$": "each server's own measure",
    r"^lists\.\w+\.ops$": "not in the proposal",
}
# Which account data is not compared, with the reason.
UNSAID_TYPES = {"m.push_rules": "Synapse serves rules that the specification dropped in v1.17"}


@dataclass(frozen=True)
class Known:
    """A difference that is meant: why, in the answer to which calls, where in it, and what each side says."""

    reason: str
    kind: str
    path: str
    # With `<caller>` in the place of the call's user.
    ours: str
    theirs: str
    when: Callable[[Call], bool] = lambda call: True
    # In which rooms: those of this name in the call's `Past`.
    where: str = ""
    # What the error texts say, where the code alone is not the reason.
    said: str = ".*"
    # Whether the two servers hold different things from then on.
    parts: bool = False

    def explains(self, call: Call, path: str, ours: str, theirs: str, said: str) -> bool:
        """Whether it is this difference."""
        own = self.ours.replace("<caller>", f"<{call.who}>")
        pairs = [(self.kind, call.kind), (self.path, path), (own, ours), (self.theirs, theirs), (self.said, said)]
        rooms = set(re.findall(r"<room:\d+>", f"{call.path} {path}"))
        return all(re.fullmatch(pattern, text, re.DOTALL) for pattern, text in pairs) and self.when(call) and (not self.where or rooms <= getattr(call.past, self.where))


NOTHING = "nothing"
NO_MATTER = ".*"
# Events of state alone: they have a state key.
STATE = r"only [\w.]+ (<\w+>|\w*) (\w+ )?<[^<>]*>(, [\w.]+ (<\w+>|\w*) (\w+ )?<[^<>]*>)*"


def _is_nowhere(call: Call) -> bool:
    return call.nowhere


def _is_spoilt(call: Call) -> bool:
    return call.spoilt


def _is_lazy(call: Call) -> bool:
    return "lazy_load_members" in json.dumps(call.query)


def _is_initial(call: Call) -> bool:
    return "since" not in call.query


def _ignores(call: Call) -> bool:
    return call.past.ignores


def _is_banned(call: Call) -> bool:
    return bool(call.past.banned)


def _is_renamed(call: Call) -> bool:
    return call.past.renamed


def _has_left(call: Call) -> bool:
    return bool(call.past.left & set(re.findall(r"<room:\d+>", call.path)))


def _marks_nothing(call: Call) -> bool:
    """Whether a marker is put at what is no event ID."""
    return isinstance(call.body, dict) and any(not str(mark).startswith(("$", "<event:")) for mark in call.body.values())


def _hides_events(call: Call) -> bool:
    """Whether a filter keeps events out of the timeline by what they are."""
    chosen = call.query.get("filter")
    room = chosen.get("room") if isinstance(chosen, dict) else None
    timeline = room.get("timeline") if isinstance(room, dict) else None
    return str(chosen).startswith("<filter:") or isinstance(timeline, dict) and bool(timeline.keys() & {"types", "not_types", "senders", "not_senders", "contains_url", "rooms", "not_rooms"})


def _limits_twice(call: Call) -> bool:
    chosen = call.query.get("filter")
    return isinstance(chosen, dict) and "limit" in chosen


def _chooses_rooms(call: Call) -> bool:
    chosen = call.query.get("filter")
    return "rooms" in json.dumps(chosen) or str(chosen).startswith("<filter:")


KNOWN: list[Known] = [
    Known("`unsigned.membership` is ours to say of every event; Synapse leaves it out of state (the specification: MAY)", ".*", r".*unsigned\.membership", NO_MATTER, NOTHING),
    Known("a summary may be repeated; Synapse has one for lazy loading alone", "sync", r"rooms\.join\..*\.summary\..*", NO_MATTER, NOTHING),
    Known("events of /sync have no `room_id`; Synapse writes it into create events", "sync|slide", r"rooms\..*\[m\.room\.create .*\]\.room_id", NOTHING, NO_MATTER),
    Known("a sliding sync counts what is unread; Synapse says 0", "slide", r"rooms\..*\.(notification|highlight)_count", NO_MATTER, "0"),
    Known("who left may read the room from its beginning; Synapse leaves the first event out", "slide", r"rooms\..*\.timeline\[\]", r"only m\.room\.create .*", "no more", where="left"),
    Known("who was banned from a room, and never in it, is not shown it; Synapse shows it", "slide", r"rooms\..*", "nothing|no more", NO_MATTER, where="banned"),
    Known("who was banned from a room, and never in it, is not shown it; Synapse shows it", "slide", r"lists\.all\.count", NO_MATTER, NO_MATTER, _is_banned),
    Known("a filter's `rooms` hold for invites, too", "sync", r"rooms\.(invite|knock)\..*", "no more", NO_MATTER, _chooses_rooms),
    Known("a filter's `rooms` hold for invites, too", "model", r"<room:\d+> (section|state .*)", r"\[\]", NO_MATTER, _chooses_rooms),
    Known("what an event replaced is ours to say in every list; Synapse says it in timelines", ".*", r".*unsigned\.(prev_content\..*|prev_sender|replaces_state)", NO_MATTER, "nothing|no more"),
    Known(
        "a timeline shows what is said of its events where it is limited (the specification); Synapse calls every new room limited",
        "sync",
        r"rooms\..*unsigned\.m\.relations(\..*)?",
        NOTHING,
        NO_MATTER,
    ),
    Known("an event that is not there is not found (the specification); Synapse has no code for it", "related", "status", "404 M_NOT_FOUND", "404 M_UNKNOWN"),
    Known("who may not read an event is not told whether it is there; Synapse tells who is not in the room so", "related", "status", "404 M_NOT_FOUND", "403 M_FORBIDDEN"),
    Known("who is out of a room may read what was said before; to Synapse, who is banned, or asks by time, is a stranger", "related|threads|by_time", "status", NO_MATTER, "403 M_FORBIDDEN", _has_left),
    Known("no thread begins with state, with which none is shown; Synapse lists it", "threads", r"chunk\[\].*", NO_MATTER, STATE),
    Known("`limited` says that the limit cut something off; Synapse says so of every room that is new to the client", "sync", r"rooms\.(join|leave)\..*\.timeline\.limited", "false", "true"),
    Known(
        "a member may be told again to who loads them lazily (the specification: valid)",
        "sync",
        r"rooms\..*\.state\.events\[\]",
        r"only m\.room\.member <\w+> \w+ <[^<>]*>(, m\.room\.member <\w+> \w+ <[^<>]*>)*",
        "no more",
        _is_lazy,
    ),
    Known("an initial sync has left rooms on request only; Synapse adds those that one was removed from", "sync", r"rooms\.leave\..*", "nothing|no more", NO_MATTER, _is_initial),
    Known("an initial sync has left rooms on request only; Synapse adds those that one was removed from", "model", r"<room:\d+> section", r"\[\]", '"leave"', _is_initial),
    Known("a page has no more events than its filter allows; Synapse looks at `limit` alone", "messages", r"chunk\[\]|state\[\]|end", "no more|a token", "only .*|nothing", _limits_twice),
    Known("`end` is absent where history begins; Synapse has it once more", "messages", "end", NOTHING, "a token"),
    Known("who joins twice stays joined by the first event; Synapse sends another where the content is new", "join", "member", NO_MATTER, "<event:.*>", parts=True),
    Known("who joins twice stays joined by the first event; Synapse refuses who could not join now", "join", "status", r'\{"member": .*', "403 M_FORBIDDEN"),
    Known("a read marker lies where it was put last; Synapse moves it forward alone", "sync", r".*\[m\.fully_read\]\.content\.event_id", NO_MATTER, NO_MATTER),
    Known("a read marker lies where it was put last; Synapse moves it forward alone", "sync", r"rooms\.join\..*\.account_data\.events\[\]", "only m.fully_read", "no more"),
    Known("a read marker lies where it was put last; Synapse moves it forward alone", "model", r"<room:\d+> account_data m\.fully_read", NO_MATTER, NO_MATTER),
    Known("who is not in a room leaves no receipts there; Synapse takes those of what they may see", "receipt|read_markers", "status", "403 M_FORBIDDEN", r"\{\}"),
    Known("what a message's content is, is its client's affair", "send", "status", r'\{"event_id": .*', "400 M_UNKNOWN", lambda call: call.spoilt and "/m.room.message/" in call.path, parts=True),
    Known("`dir` is required; Synapse takes `f` for it", "messages", "status", "400 .*", NO_MATTER, lambda call: "dir" not in call.query),
    Known(
        "a relation that breaks the rules is ignored (the specification), not refused",
        "send",
        "status",
        r'\{"event_id": .*',
        "400 M_UNKNOWN",
        lambda call: "m.relates_to" in json.dumps(call.body),
        parts=True,
    ),
    Known("who was never there cannot be unbanned", "unban", "status", "403 M_(FORBIDDEN|BAD_STATE)", r'\{"member": .*', parts=True),
    Known("who is not in a room kicks nobody; to Synapse, who kicks himself leaves", "kick", "status", "403 M_FORBIDDEN", r'\{"member": .*', lambda call: f"<{call.who}>" in str(call.body), parts=True),
    Known("a redaction of what is not here can be sent, and does nothing", "send|redact", "status", r'\{"event_id": .*', "400 M_UNKNOWN|404 M_NOT_FOUND", lambda call: "redact" in call.path, parts=True),
    Known("`membership` and `not_membership` let in who fits either (the specification)", "members", r"chunk\[\]", "only .*", "no more", lambda call: {"membership", "not_membership"} <= call.query.keys()),
    Known("a redaction of what is not here can be sent; Synapse breaks off", "send", "status", NO_MATTER, "500 M_UNKNOWN", lambda call: "/m.room.redaction/" in call.path, parts=True),
    Known("an alias is text", "setState", "status", "400 M_BAD_JSON", r'\{"event_id": .*', lambda call: call.spoilt and "canonical_alias" in call.path, parts=True),
    Known("before anybody was in a room counts as when the first was", "members", r"chunk\[\]", "only m.room.member .* join .*", "no more", lambda call: "at" in call.query),
    Known("who left is told the members at their leave, whatever `at` says", "members", "status", r'\{"chunk": .*', "403 M_FORBIDDEN", lambda call: "at" in call.query),
    # Refused by both, for reasons that are both right or in words that the specification leaves open.
    Known("who is wrong in two ways may hear of either", ".*", "status", "403 M_FORBIDDEN", "400 .*", _is_spoilt),
    Known("who is wrong in two ways may hear of either", ".*", "status", "400 .*", "40[34] .*", _is_spoilt),
    Known("who is wrong in two ways may hear of either", "setState", "status", "400 M_BAD_ALIAS", "403 M_FORBIDDEN"),
    Known("who is not in a room learns nothing of others in it", "unban", "status", "403 M_FORBIDDEN", "403 M_BAD_STATE", said=".*ours says: You are not in this room.*"),
    Known("who is not in a room learns nothing of others in it", "alias", "status", "403 M_FORBIDDEN", "400 M_UNKNOWN", said=".*ours says: You are not in this room.*"),
    Known("an alias has a localpart", "alias", "status", "400 M_INVALID_PARAM", r"\{\}|403 M_FORBIDDEN|409 M_UNKNOWN", lambda call: "/#:" in call.path),
    Known("what is no event ID is an invalid parameter", "redact", "status", "400 M_INVALID_PARAM", r'\{"event_id": .*|403 M_FORBIDDEN|404 M_NOT_FOUND', lambda call: "/nonsense/" in call.path, parts=True),
    Known("a state event's content is its client's affair", "setState", "status", r'\{"event_id": .*', "400 M_UNKNOWN", lambda call: call.spoilt and re.search("m.room.(name|topic)", call.path) is not None, parts=True),
    Known("a room that was left stands in `leave`, though a filter hides all events", "sync", r"rooms\.leave\.<room:\d+>\.timeline\.(limited|prev_batch)", NO_MATTER, NOTHING, lambda call: "filter" in call.query),
    Known("a room that was left stands in `leave`, though a filter hides all events", "model", r"<room:\d+> .*", r'"leave"|\[\]', NO_MATTER, lambda call: "filter" in call.query),
    Known("who is wrong in two ways may hear of either", "send", "status", "403 M_FORBIDDEN", "400 M_UNKNOWN", lambda call: "m.relates_to" in json.dumps(call.body)),
    Known("a broken body is refused; Synapse breaks off", ".*", "status", "40[03] .*", "500 M_UNKNOWN", _is_spoilt),
    Known("a second create event is refused", "setState", "status", "(403 M_FORBIDDEN|400 M_BAD_JSON)", "403 M_FORBIDDEN|400 M_(INVALID_PARAM|UNSUPPORTED_ROOM_VERSION)", lambda call: "m.room.create" in call.path),
    Known("levels that name a creator of infinite power are malformed", "setState", "status", "400 M_BAD_JSON", "400 M_UNKNOWN", said=".*ours says: .* created the room and has no level.*"),
    Known("a room that is not here is one that you are not in", "(leave|kick|ban|unban|invite)", "status", "403 M_FORBIDDEN", "404 M_UNKNOWN"),
    Known("a room that is not here is one that you are not in", "redact", "status", "403 M_FORBIDDEN", "404 M_NOT_FOUND", _is_nowhere),
    Known("no way into a room that is not here is not found", "(join|knock)", "status", "404 M_NOT_FOUND", "404 M_UNKNOWN"),
    Known("what is no event ID is an invalid parameter", "event", "status", "400 M_INVALID_PARAM", "404 M_NOT_FOUND", lambda call: call.path.endswith("nonsense")),
    Known("an unknown kind of receipt is an invalid parameter", "receipt", "status", "400 M_INVALID_PARAM", "400 M_UNKNOWN", lambda call: "/receipt/nonsense/" in call.path),
    Known("what is no event ID is an invalid parameter", "receipt", "status", "400 M_INVALID_PARAM", "400 M_UNKNOWN", lambda call: call.path.endswith("nonsense")),
    Known("a malformed filter is none that was stored", "sync", "status", "404 M_NOT_FOUND", "400 M_INVALID_PARAM", _is_spoilt),
    Known("the codes of malformed requests overlap", ".*", "status", "400 M_(BAD_JSON|INVALID_PARAM)", "400 M_(BAD_JSON|INVALID_PARAM|MISSING_PARAM|NOT_JSON|UNKNOWN)", _is_spoilt),
    Known("what you may not do for another is forbidden", "typing|profile", "status", "403 M_FORBIDDEN", "400 M_FORBIDDEN"),
    Known("the history of a room is for who was in it; Synapse shows it to who was only invited", "sync", r"rooms\.leave\..*\.(timeline|state)\.events\[\]", "no more", "only .*", where="never"),
    Known("the history of a room is for who was in it; Synapse shows it to who was only invited", "sync", r"rooms\.leave\..*\.timeline\.(limited|prev_batch)", NO_MATTER, NO_MATTER, where="never"),
    Known("the history of a room is for who was in it; Synapse shows it to who was only invited", "state|oneState|members|messages", "status", "403 M_FORBIDDEN", r"[\[{].*", where="never"),
    Known("who is not in a room does not learn what is in it", "oneState", "status", "403 M_FORBIDDEN", "404 M_NOT_FOUND", where="never"),
    Known("who left may read what they saw, though nobody is left; Synapse has forgotten the room", "event", "status", r'\{"content": .*', "404 M_NOT_FOUND", where="deserted"),
    Known("users see what became of their own membership; to Synapse, who declined an invite is a stranger", "event", "status", r'\{.*"state_key": "<caller>", "type": "m.room.member".*', "404 M_NOT_FOUND", where="never"),
    Known("who is banned is forbidden to come (the specification)", "join|knock|invite", "status", "403 M_FORBIDDEN", "403 M_BAD_STATE", said=".*banned.*"),
    Known("power levels that break the rules are forbidden", "setState", "status", "403 M_FORBIDDEN", "400 M_(UNKNOWN|BAD_JSON|INVALID_PARAM)", lambda call: "m.room.power_levels" in call.path),
    Known("a read marker stands at an event of the room that its user sees (the specification: MUST)", "read_markers", "status", "404 M_NOT_FOUND", r"\{\}", lambda call: "m.fully_read" in json.dumps(call.body)),
    Known("a room stands in `join`, though a filter hides all that is in it", "sync", r"rooms\.join\.<room:\d+>\.timeline\.(limited|prev_batch)", NO_MATTER, NOTHING, lambda call: "filter" in call.query),
    Known("a room stands in `join`, though a filter hides all that is in it", "model", r"<room:\d+> section", '"join"', r'\[\]|"invite"', lambda call: "filter" in call.query),
    Known("a page of no events ends where it began; Synapse says no `end`", "messages", "end", "a token", NOTHING, lambda call: call.query.get("limit") in ("0", 0)),
    Known("an initial sync says who types where somebody does; Synapse says that nobody does, too", "sync", r"rooms\.join\..*\.ephemeral\.events\[\]", "no more", "only m.typing", _is_initial),
    Known("a transaction ID is told where messages are read; Synapse tells it beside state, too", "state|members", r".*\.redacted_because\.unsigned\.transaction_id", NOTHING, NO_MATTER),
    Known("state that its reader may not see in the timeline stands in `state`; Synapse shows it in the timeline", "sync", r"rooms\.(join|leave)\..*\.timeline\.events\[\]", NO_MATTER, STATE, where="veiled"),
    Known("state that its reader may not see in the timeline stands in `state`; Synapse shows it in the timeline", "sync", r"rooms\.join\..*\.state\.events\[\]", f"no more|{STATE}", f"no more|{STATE}", where="veiled"),
    Known("servers see `redacts` where the room version has it; Synapse writes it beside the content, too", "sync", r".*\.redacts", NOTHING, "<event:.*>", lambda call: '"event_format": "federation"' in json.dumps(call.query)),
    Known("a room that is not here is one that you are not in", "memberState", "status", "403 M_FORBIDDEN", "404 M_UNKNOWN", _is_nowhere),
    Known("`typing` is a boolean (the specification)", "typing", "status", "400 M_(BAD_JSON|MISSING_PARAM)", r"\{\}", lambda call: isinstance(call.body, dict) and not isinstance(call.body.get("typing"), bool), parts=True),
    Known("an empty `filter` is none", "sync", "status", r'\{"next_batch": .*', "400 M_INVALID_PARAM", lambda call: call.query.get("filter") == ""),
    Known("an empty `since` is none", "sync", "status", r'\{"next_batch": .*', "400 M_UNKNOWN", lambda call: call.query.get("since") == ""),
    Known("a read marker stands at an event that is found", "receipt", "status", "404 M_NOT_FOUND", "404 M_UNKNOWN", lambda call: "/m.fully_read/" in call.path),
    Known("a user that is not there is not found (the specification)", "profile", "status", "404 M_NOT_FOUND", "404 M_UNKNOWN"),
    Known("who comes to a room is told the receipts that stand there; Synapse tells those that come later", "sync", r"rooms\.join\..*\.ephemeral\.events\[\]", "only m.receipt", "no more", where="came"),
    Known("who comes to a room is told the receipts that stand there; Synapse tells those that come later", "model", r"<room:\d+> read m\.read +.*", NO_MATTER, r"\[\]", where="came"),
    Known("a page's lazy members are as at its end; Synapse's as at its first event", "messages", r"state\[\]", "only m.room.member .*", "no more", lambda call: _is_lazy(call) and call.query.get("dir") == "f"),
    Known("who was banned may read what they saw; Synapse lets only those read who left", "state|oneState|members|messages|event", "status", r"[\[{].*", "40[34] .*", where="banned"),
    Known("who is ignored does not type; Synapse shows it", "sync", r"rooms\.join\..*\.ephemeral\..*", "no more|nothing", NO_MATTER, _ignores),
    Known("who is ignored does not type; Synapse shows it", "model", r"<room:\d+> (typing|read .*)", NO_MATTER, NO_MATTER, _ignores),
    Known("state that a filter keeps out of the timeline stands in `state`; Synapse loses it", "sync", r"rooms\..*\.state\.events\[\]", STATE, f"no more|{STATE}", _hides_events),
    Known("state that a filter keeps out of the timeline stands in `state`; Synapse loses it", "model", r"<room:\d+> state .*", "\"<.*", r"\[\]|\"<.*", _hides_events),
    Known("`limited` says that the limit cut something off; Synapse says nothing of what its own hidden events cut off", "sync", r"rooms\.join\..*\.timeline\.limited", "true", "false"),
    Known("`full_state` repeats state; Synapse repeats account data, too", "sync", r"(rooms\.(join|leave)\..*\.)?account_data\.events\[\]", "no more", "only .*", lambda call: call.query.get("full_state") == "true" and not _is_initial(call)),
    Known("a filter that chooses no rooms chooses none; Synapse names them without events", "sync", r"rooms\.join\..*\.(timeline\.(limited|prev_batch)|summary\..*)", NOTHING, NO_MATTER, _chooses_rooms),
    Known("a redacted member event names nobody; Synapse remembers the name", "joined_members", r"joined\..*\.display_name", NOTHING, NO_MATTER),
    Known("who is wrong in two ways may hear of either", "unban", "status", "403 M_BAD_STATE", "403 M_FORBIDDEN"),
    Known("a room that is not here is one that you are not in", "memberState", "status", "403 M_FORBIDDEN", "404 M_UNKNOWN"),
    Known("a read marker stands at an event that is found", "receipt", "status", "404 M_NOT_FOUND", r"\{\}", lambda call: "/m.fully_read/" in call.path),
    Known("a reason is text (the specification)", "redact|kick|ban|unban|invite|join|leave|knock", "status", "400 M_BAD_JSON", r"\{.*", lambda call: isinstance(call.body, dict) and not isinstance(call.body.get("reason", ""), str), parts=True),
    Known("a malformed filter is malformed JSON or a wrong parameter", "sync", "status", "400 M_BAD_JSON", "400 M_UNKNOWN"),
    Known("a malformed filter is none that was stored", "filter", "status", "404 M_NOT_FOUND", "400 M_(UNKNOWN|INVALID_PARAM)"),
    Known("a filter's rooms are room IDs", "messages|sync", "status", "400 M_(INVALID_PARAM|BAD_JSON)", r"\{.*", lambda call: '["x"]' in json.dumps(call.query.get("filter"))),
    Known("what a room is made with is all sent; Synapse sends the last of each key", "sync", r"rooms\..*\.timeline\.events\[\]", r"only [\w.]+  <room:\d+ [\w.]+ #\d+>.*", NO_MATTER, where="doubled"),
    Known("what a room is made with is all sent; Synapse sends the last of each key", "messages", r"chunk\[\]", r"only [\w.]+  <room:\d+ [\w.]+ #\d+>.*", NO_MATTER, where="doubled"),
    Known("heroes stand in the order of their member events; Synapse has the joined before the invited", "sync", r"rooms\.join\..*\.summary\.m\.heroes", NO_MATTER, NO_MATTER),
    Known("heroes stand in the order of their member events; Synapse has the joined before the invited", "slide", r"rooms\..*\.heroes\[.*", NO_MATTER, NO_MATTER),
    Known("who is invited sees what the invite shows; Synapse tells what the room is called now", "slide", r"rooms\..*\.name", NOTHING, NO_MATTER, where="never"),
    Known("a limit counts what its reader sees; Synapse counts what it hides, too", "slide", r"rooms\..*\.timeline\[\]", "only .*", "no more", where="veiled"),
    Known("a limit counts what its reader sees; Synapse counts what it hides, too", "slide", r"rooms\..*\.timeline\[\]", "only .*", "no more", where="redacted"),
    Known("no `end` where a page ends at `to` and holds nothing", "messages", "end", NOTHING, "a token", lambda call: "to" in call.query),
    Known("an invite that was redacted shows the state of the room; Synapse keeps it in what a redaction takes", "sync", r"rooms\.invite\..*\.invite_state\.events\[.*", NO_MATTER, "no more|nothing"),
    Known("a filter of state holds for lazily loaded members, too", "sync", r"rooms\..*\.state\.events\[\]", "no more", "only m.room.member .*", lambda call: _is_lazy(call) and '"state": {' in json.dumps(call.query)),
    Known("a filter of state holds for state that a timeline lacks, too", "model", r"<room:\d+> state .*", "\"<event:.*", r"\[\]", lambda call: '"state": {' in json.dumps(call.query)),
    Known("who is wrong in two ways may hear of either", "receipt|read_markers", "status", "403 M_FORBIDDEN", "400 M_INVALID_PARAM|404 M_UNKNOWN"),
    Known("who rejects an invite to a room that nobody is in needs no event in it", "leave", "member", NO_MATTER, "<event:.*>", where="deserted", parts=True),
    Known("the timeline begins where state that it does not show puts nothing wrong", "sync", r"rooms\.join\..*\.timeline\.events\[\]", "no more", "only .*", _hides_events),
    Known("who left and came back holds the room as it was; Synapse shows all of it anew", "sync", r"rooms\.join\..*\.(timeline|state)\.events\[\]", NO_MATTER, NO_MATTER, lambda call: not _is_initial(call), where="back"),
    Known("who left and came back holds the room as it was; Synapse shows all of it anew", "sync", r"rooms\.leave\..*\.(timeline|state)\.events\[\]", "no more", "only .*", lambda call: not _is_initial(call), where="back"),
    Known("who left and came back holds the room as it was; Synapse shows all of it anew", "sync", r"rooms\.join\..*\.timeline\.(limited|prev_batch)", NO_MATTER, NO_MATTER, lambda call: not _is_initial(call), where="back"),
    Known("who comes back is told who types", "sync", r"rooms\.join\..*\.ephemeral\.events\[\]", "only m.typing", "no more", where="back"),
    Known("who left may read what was shared before they joined (the specification); to Synapse, who left is a stranger", "event", "status", r"\{.*", "404 M_NOT_FOUND", where="left"),
    Known("who left may read what was shared before they joined (the specification); to Synapse, who left is a stranger", "messages", r"chunk\[\]", "only .*", "no more", where="left"),
    Known("who is not in a room does not learn who is (the specification), whatever everybody may read", "joined_members", "status", "403 M_FORBIDDEN", r"\{.*"),
    Known("a room that nobody is in is as it was; Synapse has forgotten it", "aliases|state|oneState|members|messages", "status", r"[\[{].*", "403 M_FORBIDDEN", where="deserted"),
    Known("`at` may be any place that a sync gave", "members", "status", r"\{.*", "404 M_NOT_FOUND", lambda call: "at" in call.query),
    Known("who comes to a room is told who types; Synapse tells who begins later", "sync", r"rooms\.join\..*\.ephemeral\.events\[\]", "only m.typing", "no more", where="came"),
    Known("who comes to a room is told who types; Synapse tells who begins later", "model", r"<room:\d+> typing", r"\[.+\]", r"\[\]", where="came"),
    Known("a page is full; Synapse's lacks what it hides", "messages", r"chunk\[\]", "only .*", "no more", lambda call: "limit" in call.query),
    Known("account data that is set as it was is no news", "sync", r"(rooms\..*\.)?account_data\.events\[\]", "no more", "only .*", lambda call: call.past.repeats),
    Known("a filter's `account_data` is not about rooms; Synapse uses it for them, too", "sync", r"rooms\..*\.account_data\.events\[\]", "only .*", "no more", lambda call: '"account_data": {"types"' in json.dumps(call.query)),
    Known("a filter's `account_data` is not about rooms; Synapse uses it for them, too", "model", r"<room:\d+> account_data .*", NO_MATTER, r"\[\]", lambda call: '"account_data": {"types"' in json.dumps(call.query)),
    Known("who left learns nothing of later redactions", "sync|messages|event|state|members", r".*\.redacted_because\..*", NOTHING, NO_MATTER, where="left"),
    Known("leaving twice is no mistake; Synapse takes it for one where the reason is another", "leave", "status", r"\{.*", "403 M_FORBIDDEN", where="out"),
    Known("a filter's `rooms` hold for account data, too", "sync", r"rooms\.join\..*\.account_data\.events\[\]", "no more", "only .*", _chooses_rooms),
    Known("a filter's `rooms` hold for account data, too", "sync", r"rooms\.join\..*\.unread_notifications\..*", NOTHING, "0", _chooses_rooms),
    Known("who says something has read what was said before (the specification); to Synapse, receipts alone read", "sync", r"rooms\.join\..*\.unread_(thread_)?notifications.*", NO_MATTER, NO_MATTER, where="spoke"),
    Known("who takes a new name has read nothing; to Synapse, who never left a receipt has read what was before their member event", "sync", r"rooms\.join\..*\.unread_(thread_)?notifications.*", r"[1-9]\d*", "0", _is_renamed),
    Known("a pusher of an unknown kind would never push", "pushers", "status", "400 M_INVALID_PARAM", r"\{.*", parts=True),
    Known("account data of rooms that a filter's `rooms` choose is sent; Synapse loses it", "sync", r"rooms\.join\..*\.account_data\.events\[\]", "only .*", "no more", _chooses_rooms),
    Known("who is out of a room does not type there", "sync", r"rooms\.join\..*\.ephemeral\..*", "no more|nothing", NO_MATTER, where="purged"),
    Known("who is out of a room does not type there", "model", r"<room:\d+> typing", r"\[\]", r"\[.+\]", where="purged"),
    Known("who is out of a room does not type there, but others do", "model", r"<room:\d+> typing", r"\[.+\]", r"\[.+, .+\]", where="purged"),
    Known("who is not in a room leaves no receipts there; Synapse takes those of what they may see", "model", r"<room:\d+> read .*", r"\[\]", '"<.*', where="unread"),
    Known("who is not in a room leaves no receipts there; Synapse takes those of what they may see", "sync", r"rooms\.join\.<room:\d+>\.timeline\.(limited|prev_batch)", NOTHING, NO_MATTER, where="unread"),
    Known("a request without a body asks for nothing", "read_markers|receipt|filter", "status", r"\{.*", "400 M_NOT_JSON", _is_spoilt, parts=True),
    Known("a page is full; Synapse's lacks what it hides", "messages", r"chunk\[\]", "only .*", "no more", where="veiled"),
    Known("a token of before a user's time in a room lies at its beginning", "messages", r"chunk\[\]", "no more", "only .*", lambda call: "<since:" in f"{call.query.get('from')}{call.query.get('to')}"),
    Known("a token of when a user was only invited lies at the invite", "messages", r"chunk\[\]", "only .*", "only .*", lambda call: "<since:" in f"{call.query.get('from')}{call.query.get('to')}", where="came"),
    Known("who left sees nothing of what came later (the specification); Synapse shows it forwards", "messages", r"chunk\[\]", "no more", "only .*", lambda call: call.query.get("dir") == "f", where="left"),
    Known("nothing of a forgotten room can be read", "messages|state|oneState|members|event", "status", "403 M_FORBIDDEN|404 M_NOT_FOUND", r"[\[{].*", where="forgotten"),
    Known("an empty `membership` is none", "members", r"chunk\[\]", "no more", "only .*", lambda call: "" in call.query.values()),
    Known("what a room is made with is all sent; Synapse sends the last of each key", "sync", r"rooms\..*\.state\.events\[\]", "only .*", "no more", where="doubled"),
    Known("what was redacted is nowhere; Synapse remembers it where it was replaced", ".*", r".*unsigned\.prev_content\..*", NOTHING, NO_MATTER, where="redacted"),
    Known("who is ignored is not there to be read; Synapse forbids it", "receipt", "status", r"\{\}", "403 M_FORBIDDEN", _ignores),
    Known("a timeout is a number (the specification)", "typing", "status", "400 M_BAD_JSON", r"\{\}", _is_spoilt, parts=True),
    Known("who may not see a redaction does not learn who redacted, and why", "sync|slide|messages|event|state|members", r".*\.redacted_because\..*", NOTHING, NO_MATTER, where="veiled"),
    Known("who may not see a redaction does not learn who redacted, and why", "sync|slide|messages|event|state|members", r".*\.redacted_because\..*", NOTHING, NO_MATTER, where="never"),
    Known("a page is full; Synapse's lacks what it hides", "messages", r"chunk\[\]", "only .*", "no more", where="never"),
    Known("who was banned after they left sees nothing of what lies between", "sync", r"rooms\.leave\..*\.timeline\.events\[\]", "no more", "only .*", where="banned"),
    Known("who left reads the room as it was then, whatever came of a knock or an invite since", "knock|leave", "member", NO_MATTER, "<event:.*>", where="left"),
    Known("who left reads the room as it was then, whatever came of a knock or an invite since", "state", r"\[\]", NO_MATTER, r"only .*m\.room\.member <\w+> (leave|ban) .*", where="left"),
    Known("who left is told the members of then; Synapse tells those of now", "sync", r"rooms\.leave\..*\.state\.events\[\]", NO_MATTER, "only m.room.member .*", _is_lazy, where="left"),
    Known("who is invited stays so, though nobody is left; Synapse has forgotten the room", "forget", "status", "400 M_UNKNOWN", r"\{\}", lambda call: not _has_left(call), where="deserted"),
    Known("one is told one's own invite, under whatever visibility", "sync", r"rooms\.join\..*\.timeline\.events\[\]", r"only m\.room\.member <caller> invite <[^<>]*>", NO_MATTER, where="veiled"),
    Known("a thread is read up to its root, too", "receipt", "status", r"\{\}", "400 M_INVALID_PARAM", said=".*is not related to thread.*", parts=True),
    Known("a filter of ephemeral events is not about account data; Synapse looks at neither where it lets nothing through", "sync|model", r"(rooms\.join\..*\.account_data\.events\[\]|<room:\d+> account_data .*)", NO_MATTER, r"no more|\[\]", lambda call: '"ephemeral": {"types": []}' in json.dumps(call.query)),
    Known("what is no event ID is an invalid parameter", "read_markers", "status", "400 .*", r"\{\}", _marks_nothing, parts=True),
    Known("a filter's senders are a list", "messages|sync", "status", "400 .*", r"\{.*", lambda call: '{"x": "y"}' in json.dumps(call.query.get("filter"))),
    Known("`at` before one's time in a room shows nobody; Synapse forbids it", "members", "status", r"\{\}", "403 M_FORBIDDEN", lambda call: "at" in call.query),
    Known("who left may read what they saw, though they are invited again; Synapse lets only those read who left", "state|oneState|members|messages", "status", r"[\[{].*|404 M_NOT_FOUND", "403 M_FORBIDDEN", where="left", said=".*not in room.*"),
    Known("a read marker that is refused is not set; Synapse sets it first", "sync", r"rooms\.(join|leave)\..*\.account_data\.events\[\]", "no more", "only m.fully_read", where="unmarked"),
    Known("what one may not set, one may not set again; Synapse answers with what stands", "setState", "status", "403 M_FORBIDDEN", r'\{"event_id": .*', said=".*does not have enough power.*", parts=True),
    Known("what a room is made with is all sent; Synapse sends the last of each key", "sync", r"rooms\..*\.(depth|prev_events.*)", NO_MATTER, NO_MATTER, where="doubled"),
]
