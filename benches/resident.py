"""A server that has a large room and lets others in. It does not live there: it only answers as if it did.

https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
"""

import base64
import hashlib
import json
import random
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from authority import Authority
from canonicaljson import encode_canonical_json
from nacl.signing import SigningKey
from server import free_port

VERSION = "11"
HISTORY = 200
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
    """The events of a room of version 11 with many members, each twice in it."""

    def __init__(self, home: Origin, origins: list[Origin], members: int):
        self.id = f"!large{members}:{home.name}"
        self.events: dict[str, bytes] = {}
        self._prev: list[str] = []
        self._depth = 0
        self.home = home
        self.creator = f"@creator:{home.name}"
        create = self._add(home, "m.room.create", "", {"room_version": VERSION}, [])
        join = self._add(home, "m.room.member", self.creator, {"membership": "join"}, [create])
        levels = self._add(home, "m.room.power_levels", "", {"users": {self.creator: 100}}, [create, join])
        rules = self._add(home, "m.room.join_rules", "", {"join_rule": "public"}, [create, join, levels])
        shared = self._add(home, "m.room.history_visibility", "", {"history_visibility": "shared"}, [create, join, levels])
        self.links = [create, levels, rules]
        self.state = [create, join, levels, rules, shared]
        self.auth_chain = [create, join, levels, rules]
        for number in range(members):
            origin = origins[number % len(origins)]
            user = f"@member-{number}:{origin.name}"
            content = {"membership": "join", "displayname": f"Member {number} of a large room"}
            first = self._add(origin, "m.room.member", user, {"membership": "join"}, self.links)
            self.auth_chain.append(first)
            self.state.append(self._add(origin, "m.room.member", user, content, [*self.links, first]))
        self.history = [self._add(home, "m.room.message", None, {"msgtype": "m.text", "body": f"{number}"}, [create, join, levels]) for number in range(HISTORY)]
        random.Random(1).shuffle(self.state)
        self.servers = [home.name, *(origin.name for origin in origins)]

    def template(self, user: str) -> Event:
        """The links of a join."""
        return {"type": "m.room.member", "room_id": self.id, "sender": user, "state_key": user, "content": {"membership": "join"}, "auth_events": self.links, "prev_events": self._prev, "depth": self._depth + 1, "origin_server_ts": int(time.time() * 1000)}

    def before(self, event_id: str, limit: int) -> list[bytes]:
        """Events of the history, from this one backwards."""
        if event_id not in self.history:
            return []
        at = self.history.index(event_id) + 1
        return [self.events[each] for each in self.history[max(0, at - limit) : at]][::-1]

    def _add(self, origin: Origin, kind: str, key: str | None, content: Event, auth: list[str]) -> str:
        self._depth += 1
        sender = key if kind == "m.room.member" else self.creator
        event = {"type": kind, "room_id": self.id, "sender": sender, "content": content, "auth_events": auth, "prev_events": self._prev, "depth": self._depth, "origin_server_ts": 1_700_000_000_000 + self._depth}
        if key is not None:
            event["state_key"] = key
        event["hashes"] = {"sha256": base(hashlib.sha256(encode_canonical_json(event)).digest())}
        kept = content if kind in ("m.room.create", "m.room.power_levels", "m.room.join_rules", "m.room.history_visibility") else {name: value for name, value in content.items() if kind == "m.room.member" and name == "membership"}
        redacted = {**event, "content": kept}
        event_id = f"${base(hashlib.sha256(encode_canonical_json(redacted)).digest(), url=True)}"
        self.events[event_id] = encode_canonical_json({**event, "signatures": origin.sign(redacted)})
        self._prev = [event_id]
        return event_id


class Resident:
    """The server: home of a room, and notary of every key but those of the dead."""

    def __init__(self, authority: Authority):
        self.port = free_port()
        self.home = Origin(f"localhost:{self.port}")
        self.rooms: dict[str, Room] = {}
        self.origins: dict[str, Origin] = {self.home.name: self.home}
        handler = type("Bound", (Handler,), {"resident": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.cert, authority.key)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def room(self, members: int, servers: int, dead: int) -> Room:
        """A new room with members of so many servers, some of which are dead."""
        origins = [Origin(f"s{number}-{len(self.rooms)}.invalid", dead=number < dead) for number in range(servers)]
        self.origins.update({origin.name: origin for origin in origins})
        room = Room(self.home, origins, members)
        self.rooms[room.id] = room
        return room

    def stop(self) -> None:
        """Stops listening."""
        self._http.shutdown()


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
            case ["federation", "v1", "state_ids", room_id]:
                room = self._room(room_id)
                self._send([json.dumps({"pdu_ids": room.state, "auth_chain_ids": room.auth_chain}).encode()])
            case ["federation", "v1", "state", room_id]:
                self._send(self._lists(self._room(room_id), b"{", ("pdus", "auth_chain")))
            case ["federation", "v1", "event", event_id]:
                held = [room.events[event_id] for room in self.resident.rooms.values() if event_id in room.events]
                self._pdus(held) if held else self._missing()
            case _:
                self._missing()

    def do_PUT(self) -> None:
        """Joins and transactions."""
        body = self._body()
        match [unquote(part) for part in urlsplit(self.path).path.split("/")[2:]]:
            case ["federation", "v2", "send_join", room_id, _]:
                self._send(self._joined(self._room(room_id), body))
            case ["federation", "v1", "send", _]:
                self._send([b'{"pdus":{}}'])
            case _:
                self._missing()

    def do_POST(self) -> None:
        """Questions for keys."""
        asked = json.loads(self._body()).get("server_keys", {})
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
