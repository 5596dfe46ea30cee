"""Does an operator's tool find what it asks for? synadm speaks Synapse's admin API; Synapse itself shows that it is used as it should be.

https://element-hq.github.io/synapse/latest/usage/administration/admin_api/
"""

import hashlib
import hmac
import json
import secrets
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from poll import until
from server import Server
from user import Refused, User

# By which secret each server lets an operator be made.
SECRETS = {"ours": "complement", "synapse": "peers"}


class Operator:
    """An operator who works with synadm."""

    def __init__(self, server: Server, secret: str, folder: Path):
        path = f"{server.url}/_synapse/admin/v1/register"
        name, password = f"operator-{secrets.token_hex(4)}", secrets.token_hex(8)
        nonce = httpx.get(path).json()["nonce"]
        proof = "\0".join([nonce, name, password, "admin"]).encode()
        mac = hmac.new(secret.encode(), proof, hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": password, "admin": True, "mac": mac}
        made = httpx.post(path, json=body).raise_for_status().json()
        self.id = made["user_id"]
        self._settings = folder / "synadm.yaml"
        settings = {
            "base_url": server.url,
            "admin_path": "/_synapse/admin",
            "matrix_path": "/_matrix",
            "homeserver": server.name,
            "server_discovery": "well-known",
            "token": made["access_token"],
            "user": self.id,
            "format": "json",
            "ssl_verify": False,
            "timeout": 30,
        }
        self._settings.write_text(yaml.safe_dump(settings))

    def does(self, *arguments: str) -> str:
        """What synadm prints; its prompts are agreed to."""
        command = [str(Path(sys.executable).with_name("synadm")), "-c", str(self._settings), "-o", "json", *arguments]
        ended = subprocess.run(command, input="y\ny\n", capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def sees(self, *arguments: str) -> dict:
        """The answer that synadm shows."""
        return json.loads(self.does(*arguments))


@pytest.fixture(params=list(SECRETS))
def operator(request, servers, tmp_path) -> tuple[Operator, Server]:
    """An operator of each server."""
    server = servers[request.param]
    return Operator(server, SECRETS[request.param], tmp_path), server


def test_an_operator_sees_who_is_there(operator):
    synadm, server = operator
    assert synadm.sees("version")["server_version"]
    user = User(server, "alice")
    room = user.create_room()
    listed = synadm.sees("user", "list", "--name", user.localpart)
    assert [found["name"] for found in listed["users"]] == [user.id] and listed["total"] == 1
    shown = synadm.sees("user", "details", user.id)
    expected = {"name": user.id, "admin": False, "deactivated": False, "suspended": False, "locked": False, "is_guest": False}
    assert expected.items() <= shown.items()
    assert synadm.sees("user", "details", synadm.id)["admin"]
    assert synadm.sees("user", "membership", "--ids", user.id) == {"joined_rooms": [room], "total": 1}
    assert user.id == synadm.sees("user", "whois", user.id)["user_id"]


def test_an_operator_changes_and_ends_accounts(operator):
    synadm, server = operator
    user = User(server, "bob")
    synadm.does("user", "suspend", user.id)
    assert synadm.sees("user", "details", user.id)["suspended"]
    synadm.does("user", "suspend", "--unsuspend", user.id)
    assert not synadm.sees("user", "details", user.id)["suspended"]
    synadm.does("user", "password", user.id, "--password", "another", "--no-logout")
    user.call("GET", "/v3/account/whoami")
    synadm.does("user", "password", user.id, "--password", "a third one")
    with pytest.raises(Refused):
        user.call("GET", "/v3/account/whoami")
    synadm.does("user", "deactivate", user.id)
    assert synadm.sees("user", "details", user.id)["deactivated"]
    assert synadm.sees("user", "list", "--name", user.localpart)["total"] == 0


def test_an_operator_hands_out_accounts(operator):
    synadm, _ = operator
    made = synadm.sees("regtok", "new", "--uses-allowed", "3")
    shown = synadm.sees("regtok", "details", made["token"])
    assert (shown["uses_allowed"], shown["completed"]) == (3, 0)
    tokens = [token["token"] for token in synadm.sees("regtok", "list")["registration_tokens"]]
    assert made["token"] in tokens
    synadm.does("regtok", "delete", made["token"])
    assert made["token"] not in [token["token"] for token in synadm.sees("regtok", "list")["registration_tokens"]]


def test_an_operator_sees_which_rooms_there_are(operator):
    synadm, server = operator
    user, guest = User(server, "carol"), User(server, "dave")
    name = f"Room {secrets.token_hex(4)}"
    room = user.create_room(preset="public_chat", name=name)
    guest.join(room)
    shown = until(lambda: synadm.sees("room", "search", name[5:])["rooms"])
    assert [found["room_id"] for found in shown] == [room]
    expected = {
        "room_id": room,
        "name": name,
        "canonical_alias": None,
        "joined_members": 2,
        "joined_local_members": 2,
        "creator": user.id,
        "encryption": None,
        "federatable": True,
        "public": False,
        "join_rules": "public",
        "guest_access": None,
        "history_visibility": "shared",
        "room_type": None,
    }
    assert expected.items() <= shown[0].items()
    details = synadm.sees("room", "details", room)
    expected |= {"topic": None, "avatar": None, "joined_local_devices": 2, "forgotten": False, "tombstoned": False}
    assert expected.items() <= details.items()
    state = synadm.sees("room", "state", room)["state"]
    assert len(state) == details["state_events"]
    assert {event["type"] for event in state} >= {"m.room.create", "m.room.name", "m.room.member"}
    members = synadm.sees("room", "members", room)
    assert (sorted(members["members"]), members["total"]) == (sorted([user.id, guest.id]), 2)
    for order in ["name", "joined_members", "version", "creator", "state_events"]:
        assert synadm.sees("room", "list", "--sort", order)["total_rooms"] >= 1


def test_an_operator_gives_power_and_brings_users_in(operator):
    synadm, server = operator
    user, guest = User(server, "erin"), User(server, "frank")
    room = user.create_room(preset="private_chat")
    synadm.does("room", "make-admin", room, "--user-id", guest.id)
    levels = user.call("GET", f"/v3/rooms/{room}/state/m.room.power_levels/")
    assert levels["users"][guest.id] == 100
    guest.join(room)
    public = user.create_room(preset="public_chat")
    synadm.does("room", "join", public, guest.id)
    assert public in synadm.sees("user", "membership", "--ids", guest.id)["joined_rooms"]


def test_an_operator_blocks_and_deletes_rooms(operator):
    synadm, server = operator
    user, guest = User(server, "grace"), User(server, "heidi")
    room = user.create_room(preset="public_chat")
    assert synadm.sees("room", "block-status", room) == {"block": False}
    synadm.does("room", "block", room)
    assert synadm.sees("room", "block-status", room) == {"block": True, "user_id": synadm.id}
    with pytest.raises(Refused):
        guest.join(room)
    synadm.does("room", "delete", room)
    ended = until(lambda: of_status(synadm, room, "complete"))
    assert ended["shutdown_room"]["kicked_users"] == [user.id]
    assert synadm.sees("room", "block-status", room)["block"]
    assert room not in user.call("GET", "/v3/joined_rooms")["joined_rooms"]
    with pytest.raises(Refused):
        user.call("GET", f"/v3/rooms/{room}/messages?dir=b")


def of_status(synadm: Operator, room: str, status: str) -> dict | None:
    """The deletion of a room, if it is that far."""
    deletions = synadm.sees("room", "delete-status", "--room-id", room)["results"]
    return next((deletion for deletion in deletions if deletion["status"] == status), None)


def test_an_operator_sees_what_users_upload(operator):
    synadm, server = operator
    user = User(server, "ivan")
    uploaded = httpx.post(
        f"{server.url}/_matrix/media/v3/upload?filename=a.txt",
        content=b"some bytes",
        headers={"Authorization": f"Bearer {user.session().token}", "Content-Type": "text/plain"},
    )
    name = uploaded.raise_for_status().json()["content_uri"].rsplit("/", 1)[1]
    listed = synadm.sees("media", "list", "--user-id", user.id, "--timestamp")
    assert listed["total"] == 1
    expected = {"media_id": name, "media_type": "text/plain", "media_length": 10, "upload_name": "a.txt"}
    assert expected.items() <= listed["media"][0].items()
    room = user.create_room()
    content = {"msgtype": "m.file", "body": "a.txt", "url": f"mxc://{server.name}/{name}"}
    user.send(room, "m.room.message", content)
    named = synadm.sees("media", "list", "--room-id", room)
    assert named == {"local": [f"mxc://{server.name}/{name}"], "remote": []}
