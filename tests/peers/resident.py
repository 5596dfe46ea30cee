"""A server that has a large room and lets others in. It does not live there: it only answers as if it did.

https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
"""

import base64
import hashlib
import json
import random
import secrets
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import httpx
from authority import Authority
from canonicaljson import encode_canonical_json
from nacl.signing import SigningKey
from server import Server, free_port

VERSION = "11"
KEY = "ed25519:1"

Event = dict[str, Any]


def base(data: bytes, *, url: bool = False) -> str:
    """Unpadded base64."""
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    return encode(data).rstrip(b"=").decode()


@dataclass
class Origin:
    """A server whose users are in the room. Of one that is dead nobody knows the key."""

    name: str
    dead: bool = False
    key: SigningKey = field(default_factory=SigningKey.generate)

    def sign(self, what: Event) -> Event:
        """The same with its signature, over all but the signatures."""
        signed = {name: value for name, value in what.items() if name != "signatures"}
        signature = base(self.key.sign(encode_canonical_json(signed)).signature)
        return {self.name: {KEY: signature}}

    def keys(self) -> Event:
        """What it publishes of its key."""
        keys = {"server_name": self.name, "verify_keys": {KEY: {"key": base(self.key.verify_key.encode())}}, "old_verify_keys": {}, "valid_until_ts": int(time.time() + 86400) * 1000}
        return {**keys, "signatures": self.sign(keys)}


class Room:
    """The events of a room of version 11 with many members, each twice in it. The same keys and numbers make the same room."""

    def __init__(self, home: Origin, origins: list[Origin], members: int, history: int):
        self.id = f"!large{members}:{home.name}"
        self.events: dict[str, bytes] = {}
        self._prev: list[str] = []
        self.depth = 0
        self.home = home
        self.creator = f"@creator:{home.name}"
        create = self._add(home, "m.room.create", "", {"room_version": VERSION}, [])
        join = self._add(home, "m.room.member", self.creator, {"membership": "join"}, [create])
        levels = self._add(home, "m.room.power_levels", "", {"users": {self.creator: 100}}, [create, join])
        rules = self._add(home, "m.room.join_rules", "", {"join_rule": "public"}, [create, join, levels])
        shared = self._add(home, "m.room.history_visibility", "", {"history_visibility": "shared"}, [create, join, levels])
        self.links = [create, levels, rules]
        self._rights = [create, join, levels]
        self.state = [create, join, levels, rules, shared]
        self.auth_chain = [create, join, levels, rules]
        for number in range(members):
            origin = origins[number % len(origins)]
            user = f"@member-{number}:{origin.name}"
            content = {"membership": "join", "displayname": f"Member {number} of a large room"}
            first = self._add(origin, "m.room.member", user, {"membership": "join"}, self.links)
            self.auth_chain.append(first)
            self.state.append(self._add(origin, "m.room.member", user, content, [*self.links, first]))
        self.history = [self.say(f"{number}") for number in range(history)]
        random.Random(1).shuffle(self.state)
        self.servers = [home.name, *(origin.name for origin in origins)]

    def template(self, user: str) -> Event:
        """The links of a join."""
        return {"type": "m.room.member", "room_id": self.id, "sender": user, "state_key": user, "content": {"membership": "join"}, "auth_events": self.links, "prev_events": self._prev, "depth": self.depth + 1, "origin_server_ts": int(time.time() * 1000)}

    def say(self, body: str) -> str:
        """A new message of the creator."""
        return self._add(self.home, "m.room.message", None, {"msgtype": "m.text", "body": body}, self._rights)

    def invite(self, user: str) -> str:
        """An invite by the creator."""
        return self._add(self.home, "m.room.member", user, {"membership": "invite"}, [*self._rights, self.links[2]], sender=self.creator)

    def follow(self, event_id: str, depth: int) -> None:
        """Has what comes next follow an event of another server."""
        self._prev, self.depth = [event_id], depth

    def before(self, event_id: str, limit: int) -> list[bytes]:
        """Events of the history, from this one backwards."""
        if event_id not in self.history:
            return []
        at = self.history.index(event_id) + 1
        return [self.events[each] for each in self.history[max(0, at - limit) : at]][::-1]

    def _add(self, origin: Origin, kind: str, key: str | None, content: Event, auth: list[str], sender: str | None = None) -> str:
        self.depth += 1
        sender = sender or (key if kind == "m.room.member" else self.creator)
        event = {"type": kind, "room_id": self.id, "sender": sender, "content": content, "auth_events": auth, "prev_events": self._prev, "depth": self.depth, "origin_server_ts": 1_700_000_000_000 + self.depth}
        if key is not None:
            event["state_key"] = key
        event["hashes"] = {"sha256": base(hashlib.sha256(encode_canonical_json(event)).digest())}
        kept = content if kind in ("m.room.create", "m.room.power_levels", "m.room.join_rules", "m.room.history_visibility") else {name: value for name, value in content.items() if kind == "m.room.member" and name == "membership"}
        redacted = {**event, "content": kept}
        event_id = f"${base(hashlib.sha256(encode_canonical_json(redacted)).digest(), url=True)}"
        self.events[event_id] = encode_canonical_json({**event, "signatures": origin.sign(redacted)})
        self._prev = [event_id]
        return event_id


class Listener(ThreadingHTTPServer):
    """Its port. Whoever asks may hang up."""

    def handle_error(self, *of) -> None:
        """Tells of all other errors."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(*of)


class Resident:
    """The server: home of rooms, and notary of every key but those of the dead. The same port and key make the same server."""

    def __init__(self, authority: Authority, port: int | None = None, key: SigningKey | None = None):
        self.port = port or free_port()
        self.home = Origin(f"localhost:{self.port}", key=key or SigningKey.generate())
        self.rooms: dict[str, Room] = {}
        # Events that it gives to nobody; while there are any, it gives no states either.
        self.withheld: set[str] = set()
        # Whether it takes transactions, and what it was sent in them, taken or not.
        self.takes = True
        self.received: list[Event] = []
        # The events before which somebody asked for what is missing.
        self.asked: list[str] = []
        self.origins: dict[str, Origin] = {self.home.name: self.home}
        handler = type("Bound", (Handler,), {"resident": self})
        self._http = Listener(("127.0.0.1", self.port), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.cert, authority.key)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def room(self, members: int, servers: int = 0, dead: int = 0, history: int = 0) -> Room:
        """A new room with members of so many servers, or of this one, and messages. Some of the servers are dead."""
        origins = [Origin(f"s{number}-{len(self.rooms)}.invalid", dead=number < dead) for number in range(servers)]
        self.origins.update({origin.name: origin for origin in origins})
        room = Room(self.home, origins or [self.home], members, history)
        self.rooms[room.id] = room
        return room

    def send(self, server: Server, pdus: list[bytes]) -> Event:
        """Sends a transaction, and returns what is answered."""
        body = {"origin": self.home.name, "origin_server_ts": int(time.time() * 1000), "pdus": [json.loads(pdu) for pdu in pdus]}
        return self._put(server, f"/_matrix/federation/v1/send/{secrets.token_hex(8)}", body)

    def invite(self, server: Server, room: Room, user: str) -> Event:
        """Invites a user of another server, and returns what is answered."""
        event_id = room.invite(user)
        state = [json.loads(room.events[each]) for each in room.links]
        body = {"room_version": VERSION, "event": json.loads(room.events[event_id]), "invite_room_state": state}
        return self._put(server, f"/_matrix/federation/v2/invite/{quote(room.id)}/{quote(event_id)}", body)

    def stop(self) -> None:
        """Stops listening."""
        self._http.shutdown()
        self._http.server_close()

    def _put(self, server: Server, path: str, body: Event) -> Event:
        request = {"method": "PUT", "uri": path, "origin": self.home.name, "destination": server.name, "content": body}
        signature = self.home.sign(request)[self.home.name][KEY]
        header = f'X-Matrix origin="{self.home.name}",destination="{server.name}",key="{KEY}",sig="{signature}"'
        url = f"https://localhost:{server.federation_port}{path}"
        answer = httpx.put(url, json=body, headers={"Authorization": header}, verify=ssl.create_default_context(cafile=str(server.authority.ca)), timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()


class Handler(BaseHTTPRequestHandler):
    """What it answers. Nothing is checked: whoever asks is the server that is measured."""

    protocol_version = "HTTP/1.1"
    resident: Resident

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """Templates, states, events, keys."""
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        match [unquote(part) for part in url.path.split("/")[2:]]:
            case ["key", "v2", "server"]:
                self._send([json.dumps(self.resident.home.keys()).encode()])
            case ["federation", "v1", "make_join", room_id, user]:
                template = {"room_version": VERSION, "event": self._room(room_id).template(user)}
                self._send([json.dumps(template).encode()])
            case ["federation", "v1", "backfill", room_id]:
                self._pdus(self._room(room_id).before(query["v"][0], int(query["limit"][0])))
            case ["federation", "v1", "state_ids" | "state", _] if self.resident.withheld:
                self._missing()
            case ["federation", "v1", "state_ids", room_id]:
                room = self._room(room_id)
                self._send([json.dumps({"pdu_ids": room.state, "auth_chain_ids": room.auth_chain}).encode()])
            case ["federation", "v1", "state", room_id]:
                self._send(self._lists(self._room(room_id), b"{", ("pdus", "auth_chain")))
            case ["federation", "v1", "event", event_id]:
                held = [] if event_id in self.resident.withheld else [room.events[event_id] for room in self.resident.rooms.values() if event_id in room.events]
                self._pdus(held) if held else self._missing()
            case _:
                self._missing()

    def do_PUT(self) -> None:
        """Joins and transactions."""
        body = self._body()
        match [unquote(part) for part in urlsplit(self.path).path.split("/")[2:]]:
            case ["federation", "v2", "send_join", room_id, event_id]:
                self._send(self._joined(self._room(room_id), body))
                self._room(room_id).follow(event_id, json.loads(body)["depth"])
            case ["federation", "v1", "send", _]:
                self.resident.received += json.loads(body)["pdus"]
                self._send([b'{"pdus":{}}']) if self.resident.takes else self._send([b"{}"], 503)
            case _:
                self._missing()

    def do_POST(self) -> None:
        """Questions for keys and for missing events."""
        body = json.loads(self._body())
        match [unquote(part) for part in urlsplit(self.path).path.split("/")[2:]]:
            case ["federation", "v1", "get_missing_events", room_id]:
                self._missing_events(self._room(room_id), body["latest_events"])
            case _:
                self._keys(body.get("server_keys", {}))

    def _missing_events(self, room: Room, latest: list[str]) -> None:
        self.resident.asked += latest
        prev = [each for event_id in latest for each in json.loads(room.events[event_id])["prev_events"]]
        given = [room.events[each] for each in prev if each in room.events and each not in self.resident.withheld]
        self._send([b'{"events":[', b",".join(given), b"]}"])

    def _keys(self, asked: Event) -> None:
        known = [origin for name in asked if (origin := self.resident.origins.get(name)) and not origin.dead]
        keys = [origin.keys() for origin in known]
        home = self.resident.home
        vouched = [{**each, "signatures": {**each["signatures"], **home.sign(each)}} for each in keys]
        self._send([json.dumps({"server_keys": vouched}).encode()])

    def _joined(self, room: Room, join: bytes) -> Iterator[bytes]:
        head = json.dumps({"origin": self.resident.home.name, "members_omitted": False, "servers_in_room": room.servers})
        yield from self._lists(room, f'{head[:-1]},"event":'.encode() + join + b",", ("state", "auth_chain"))

    def _lists(self, room: Room, begin: bytes, names: tuple[str, str]) -> Iterator[bytes]:
        for name, ids in zip(names, (room.state, room.auth_chain)):
            yield begin + f'"{name}":['.encode()
            begin = b","
            for at in range(0, len(ids), 500):
                yield (b"," if at else b"") + b",".join(room.events[each] for each in ids[at : at + 500])
            yield b"]"
        yield b"}"

    def _pdus(self, pdus: list[bytes]) -> None:
        self._send([b'{"origin":"", "origin_server_ts":0, "pdus":[', b",".join(pdus), b"]}"])

    def _room(self, room_id: str) -> Room:
        return self.resident.rooms[room_id]

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _missing(self) -> None:
        self._send([b'{"errcode":"M_NOT_FOUND","error":"no"}'], 404)

    def _send(self, chunks: Iterator[bytes] | list[bytes], status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in (*chunks, b"") if isinstance(chunks, list) else self._ended(chunks):
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")

    @staticmethod
    def _ended(chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield from (chunk for chunk in chunks if chunk)
        yield b""
