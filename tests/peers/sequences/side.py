"""How is a sequence played on one server?"""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from server import Server

from .call import USERS, Call, Json
from .names import Names


@dataclass(frozen=True)
class Answer:
    """What a server answered, in the sequence's names."""

    status: int
    body: Json

    @property
    def good(self) -> bool:
        """Whether the call succeeded."""
        return self.status == 200

    @property
    def verdict(self) -> str:
        """The status, and of an error its code."""
        code = self.body.get("errcode") if isinstance(self.body, dict) and not self.good else None
        return f"{self.status} {code}" if code else str(self.status)


class Side:
    """New users of one server, and the names of what it made for them."""

    def __init__(self, server: Server, tag: str):
        self.names = Names(server.name, tag)
        self._http = httpx.Client(base_url=f"{server.url}/_matrix/client", timeout=60)
        self._tokens = {user: self._register(f"{user}-{tag}") for user in USERS}
        for user in USERS:
            # Which name a new user has is each server's own choice.
            self.ask(Call("displayname", user, "PUT", f"/v3/profile/<{user}>/displayname", body={"displayname": user.title()}))

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def ask(self, call: Call) -> Answer:
        """Makes a call, and learns the names of what it made."""
        status, body = self._request(call)
        if status == 200 and isinstance(body, dict):
            self._learn(call, body)
        self._name_events(body)
        if status == 200 and call.member:
            # The answer says nothing: what the member's event is now does.
            return Answer(status, {"member": self._learn_member(call, *call.member)})
        answer = self.names.unfill(body)
        if status == 200 and call.kind == "join" and isinstance(answer, dict):
            # An alias led there.
            answer["member"] = self._learn_member(call, str(answer["room_id"]), f"<{call.who}>")
        return Answer(status, answer)

    def _request(self, call: Call) -> tuple[int, Json]:
        path = "/".join(quote(self.names.fill(part), safe="") for part in call.path.split("/"))
        query = {key: value if isinstance(value, str) else json.dumps(value) for key, value in self.names.fill(call.query).items()}
        content = None if call.body is None else json.dumps(self.names.fill(call.body))
        headers = {"authorization": f"Bearer {self._tokens[call.who]}"}
        if content is not None:
            headers["content-type"] = "application/json"
        response = self._http.request(call.method, path, params=query, content=content, headers=headers)
        try:
            return response.status_code, response.json()
        except ValueError:
            return response.status_code, response.text

    def _register(self, localpart: str) -> str:
        body = {"username": localpart, "password": secrets.token_hex(8), "auth": {"type": "m.login.dummy"}}
        response = self._http.post("/v3/register", json=body)
        response.raise_for_status()
        return response.json()["access_token"]

    def _learn(self, call: Call, body: dict[str, Json]) -> None:
        for key, name in (("event_id", "event"), ("next_batch", "since"), ("end", "end"), ("filter_id", "filter")):
            if isinstance(known := body.get(key), str) and "content" not in body:
                self.names.learn(f"<{name}:{call.step}>", known)
        if call.kind == "createRoom" and "room_id" in body:
            self.names.learn(f"<room:{call.step}>", body["room_id"])
            self._learn_creation(call, f"<room:{call.step}>")
        if call.chain:
            self.names.learn(call.chain, body["next_batch"])
        if call.kind == "sync":
            self._learn_batches(call, body)

    def _learn_creation(self, call: Call, room: str) -> None:
        _, state = self._request(Call("state", call.who, "GET", f"/v3/rooms/{room}/state"))
        for _, event in self._events(state):
            self.names.learn(f"<event:{call.step}|{event['type']}|{self._key(event)}>", event["event_id"])

    def _learn_batches(self, call: Call, body: dict[str, Json]) -> None:
        for section in body.get("rooms", {}).values():
            for room_id, shown in section.items():
                timeline = shown.get("timeline", {})
                # Where nothing is cut off, Synapse's token does not lie before the timeline.
                if timeline.get("limited") and (known := timeline.get("prev_batch")):
                    self.names.learn(f"<prev:{call.step}/{self.names.unfill(room_id).strip('<>')}>", known)

    def _learn_member(self, call: Call, room: str, user: str) -> Json:
        """Names the newest of what users see as the event of a member: who left sees the one of then."""
        query: dict[str, Json] = {"format": "event"}
        answers = [self._request(Call("state", witness, "GET", f"/v3/rooms/{room}/state/m.room.member/{user}", query)) for witness in USERS]
        seen = [event for status, event in answers if status == 200 and isinstance(event, dict) and isinstance(event.get("event_id"), str)]
        if not seen:
            return None
        event_id = max(seen, key=lambda event: event["origin_server_ts"])["event_id"]
        self.names.learn(f"<event:{call.step}>", event_id)
        return self.names.unfill(event_id)

    def _name_events(self, body: Json) -> None:
        """Names the events that come without a call of their own, such as a new profile's. A list's order may differ."""
        events = list(self._events(body))
        state = sorted((found for found in events if "state_key" in found[1]), key=lambda found: (found[0], found[1]["type"], self._key(found[1])))
        for room, event in state + [found for found in events if "state_key" not in found[1]]:
            self.names.name_event(f"{room} {event['type']}", self._key(event), event["event_id"])

    def _key(self, event: dict[str, Json]) -> str:
        return str(self.names.unfill(event.get("state_key", ""))).strip("<>")

    def _events(self, value: Json, room: str = "") -> Iterable[tuple[str, dict[str, Json]]]:
        """All events in an answer with their rooms, in an order that both servers share."""
        if isinstance(value, list):
            for each in value:
                yield from self._events(each, room)
        if isinstance(value, dict):
            room = str(self.names.unfill(value.get("room_id", room))).strip("<>")
            if isinstance(value.get("event_id"), str) and isinstance(value.get("type"), str):
                yield room, value
            for key, each in sorted(value.items(), key=lambda item: self.names.unfill(item[0])):
                if key != "content":
                    yield from self._events(each, key if key.startswith("!") else room)
