"""Can people use our server from Hydrogen, a whole web client in a browser?

https://github.com/element-hq/hydrogen-web
"""

import io
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

from e2ee.device import PATIENCE
from hydrogen.tab import Tab
from poll import until
from test_media import DOWNLOAD, picture, read, upload
from user import User

# Where the other user lives.
ANYWHERE = pytest.mark.parametrize("users", ["ours", "synapse"], indirect=True)
HERE = pytest.mark.parametrize("users", ["ours"], indirect=True)


@pytest.fixture
def opened(browser, request) -> Iterator[Callable[[User], Tab]]:
    """Signs somebody in; what is on the screen in the end is kept."""
    tabs: list[Tab] = []

    def sign_in(owner: User) -> Tab:
        tabs.append(Tab(browser, owner))
        return tabs[-1]

    yield sign_in
    for tab in tabs:
        tab.shoot(request.node.name)
        tab.close()


@pytest.fixture
def users(servers, request) -> Iterator[tuple[User, User]]:
    """Who sits at the browser, and who asks a server directly."""
    made = User(servers["ours"], "alice"), User(servers[request.param], "bob")
    yield made
    for user in made:
        user.close()


@ANYWHERE
def test_messages_go_both_ways(users, opened):
    alice, bob = users
    room = bob.create_room(name="Garden", preset="private_chat", invite=[alice.id])
    names = ["Kitchen", "Cellar"]
    for name in names:
        alice.join(bob.create_room(name=name, preset="public_chat"), via=bob.server)
    bob.say(room, "before")
    tab = opened(alice)
    for name in names:
        tab.sees_room(name)
    tab.accept("Garden")
    tab.reads("before")
    tab.say("from the browser")
    event = bob.sees_message(room, "from the browser")
    assert event["sender"] == alice.id
    event_id = bob.say(room, "from the server")
    tab.reads("before", "from the browser", "from the server")
    bob.sees(lambda: bob.joined[room].read.get(alice.id) == event_id)


@ANYWHERE
def test_pictures_go_both_ways(users, opened, tmp_path):
    alice, bob = users
    room = bob.create_room(name="Gallery", preset="public_chat")
    alice.join(room, via=bob.server)
    bob.sees_joined(room)
    tab = opened(alice)
    tab.show("Gallery")
    sent = tmp_path / "sent.png"
    sent.write_bytes(picture("PNG", (640, 480)))
    tab.send_picture(sent)
    content = bob.sees_message(room, "sent.png")["content"]
    assert (content["info"]["w"], content["info"]["h"]) == (640, 480)
    there = read(bob, f"{DOWNLOAD}/{content['url'].removeprefix('mxc://')}")
    assert Image.open(io.BytesIO(there.content)).size == (640, 480)
    width, height = tab.shows_picture("sent.png")
    assert abs(width / height - 4 / 3) < 0.02

    given = picture("JPEG", (800, 400))
    media = upload(bob, given, "image/jpeg", "given.jpg")
    info = {"w": 800, "h": 400, "mimetype": "image/jpeg", "size": len(given)}
    bob.send(room, "m.room.message", {"msgtype": "m.image", "body": "given.jpg", "url": f"mxc://{media}", "info": info})
    width, height = tab.shows_picture("given.jpg")
    assert abs(width / height - 2) < 0.02


@HERE
def test_what_is_older_is_read_by_scrolling_up(users, opened):
    alice, bob = users
    room, other = (bob.create_room(name=name, preset="public_chat") for name in ("Garden", "Kitchen"))
    for each in (room, other):
        alice.join(each)
    said = [f"line {number}" for number in range(1, 61)]
    for body in said:
        bob.say(room, body)
    tab = opened(alice)
    tab.show("Garden")
    tab.looks_back_to(said[0])
    tab.reads(*said)
    tab.show("Kitchen")
    bob.say(room, "meanwhile")
    tab.show("Garden")
    tab.looks_back_to(said[0])
    tab.reads(*said, "meanwhile")


@HERE
def test_a_tab_goes_on_after_a_restart_of_the_server_and_when_it_is_loaded_again(servers, users, opened):
    alice, bob = users
    room = bob.create_room(name="Garden", preset="public_chat")
    alice.join(room)
    tab = opened(alice)
    tab.show("Garden")
    bob.say(room, "before")
    tab.reads("before")
    servers["ours"].kill()
    servers["ours"].start()
    bob.say(room, "after the restart")
    tab.reads("before", "after the restart")
    tab.say("from the browser")
    bob.sees_message(room, "from the browser")
    tab.reload()
    bob.say(room, "after the reload")
    tab.show("Garden")
    tab.reads("before", "after the restart", "from the browser", "after the reload")


@pytest.mark.parametrize("home", ["ours", "synapse"])
def test_an_encrypted_room_is_read_by_hydrogen_and_js(servers, cast, opened, home):
    alice, bob = cast.user(servers["ours"], "alice"), cast.user(servers[home], "bob")
    other, tab = cast.js(bob), opened(alice)
    room = other.create_room()
    bob.set_state(room, "m.room.name", {"name": "Safe"})
    other.invite(room, alice)
    tab.accept("Safe")
    other.sees_members(room, joined=[alice, bob])
    other.sees_devices(alice, tab)
    other.say(room, "from the library")
    tab.reads("from the library")
    tab.say("from the browser", encrypted=True)

    def came() -> bool:
        messages = other.messages(room)
        assert [message.body for message in messages if message.sender == alice.id] == ["from the browser"], messages
        return True

    until(came, PATIENCE)
    other.say(room, "again")
    tab.reads("from the library", "from the browser", "again")
