"""Does a picture that is uploaded on one server arrive on the other, and its thumbnail?

https://spec.matrix.org/v1.19/server-server-api/#content-repository
"""

import io
import secrets
from collections.abc import Iterator
from email.message import Message

import httpx
import pytest
from PIL import Image

from user import User

DOWNLOAD = "/_matrix/client/v1/media/download"
THUMBNAIL = "/_matrix/client/v1/media/thumbnail"


@pytest.fixture
def both(sides) -> Iterator[tuple[User, User]]:
    """Who uploads, and who downloads on the other server."""
    users = (User(sides[0], "alice"), User(sides[1], "bob"))
    yield users
    for user in users:
        user.close()


def picture(kind: str, size: tuple[int, int] = (1000, 700)) -> bytes:
    """A picture that is unlike any other: its left is dark, its right is light."""
    image = Image.radial_gradient("L").resize(size).convert("RGB")
    image.paste((10, 10, secrets.randbelow(200)), (0, 0, size[0] // 2, size[1]))
    written = io.BytesIO()
    image.save(written, kind)
    return written.getvalue()


def upload(user: User, content: bytes, kind: str, name: str | None = None) -> str:
    """The server and the media ID of what is uploaded, as they stand in a path."""
    headers = {"Authorization": f"Bearer {user.session().token}", "Content-Type": kind}
    query = {"filename": name} if name else {}
    answer = httpx.post(f"{user.server.url}/_matrix/media/v3/upload", params=query, content=content, headers=headers, timeout=60)
    return answer.json()["content_uri"].removeprefix("mxc://")


def read(user: User, path: str, **query) -> httpx.Response:
    """What a user gets."""
    headers = {"Authorization": f"Bearer {user.session().token}"}
    return httpx.get(f"{user.server.url}{path}", params=query, headers=headers, timeout=60)


@pytest.mark.parametrize("name", ["cat.png", "name with spaces", "🐔;\"'", None])
def test_a_file_arrives_with_its_type_and_its_name(both, name):
    content = picture("PNG")
    media = upload(both[0], content, "image/png", name)
    here, there = (read(user, f"{DOWNLOAD}/{media}") for user in both)
    assert here.content == there.content == content
    assert there.headers["content-type"] == "image/png"
    assert int(there.headers["content-length"]) == len(content)
    assert here.headers["content-disposition"].split(";")[0] == "inline"
    assert named(here) == named(there) == name


def named(response: httpx.Response) -> str | None:
    """The name in a header, as a browser reads it."""
    message = Message()
    message["Content-Disposition"] = response.headers["content-disposition"]
    return message.get_filename()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
@pytest.mark.parametrize("method, size, within", [("crop", 96, (96, 96)), ("scale", 300, (320, 240))])
def test_a_thumbnail_is_made_of_what_another_server_keeps(both, kind, method, size, within):
    media = upload(both[0], picture(kind), f"image/{kind.lower()}")
    query = {"width": size, "height": size * within[1] // within[0], "method": method}
    shown = [read(user, f"{THUMBNAIL}/{media}", **query) for user in both]
    for response in shown:
        assert response.status_code == 200, response.text
        image = Image.open(io.BytesIO(response.content)).convert("L")
        assert image.size == ((96, 96) if method == "crop" else (320, 224))
        left, right = (image.getpixel((x, image.height // 2)) for x in (5, image.width - 5))
        assert left + 60 < right


def test_a_large_file_arrives_whole(both):
    alice, bob = both
    content = secrets.token_bytes(20_000_000)
    media = upload(alice, content, "application/octet-stream")
    response = read(bob, f"{DOWNLOAD}/{media}")
    assert response.content == content
    assert response.headers["content-disposition"].startswith("attachment")


def test_what_is_not_there_is_not_found(both):
    media = f"{both[0].server.name}/{secrets.token_hex(12)}"
    for user in both:
        response = read(user, f"{DOWNLOAD}/{media}")
        assert (response.status_code, response.json()["errcode"]) == (404, "M_NOT_FOUND")
