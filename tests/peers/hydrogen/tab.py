"""What does somebody do in Hydrogen, and what is on the screen? One process drives the browser, which holds every tab.

https://github.com/element-hq/hydrogen-web
"""

import itertools
import subprocess
from pathlib import Path

from e2ee.device import PATIENCE, Message
from e2ee.process import Driver
from poll import until
from server import REPOSITORY
from user import User

# `make test-peers` builds the page, and installs a browser where there is none.
PAGE = REPOSITORY / "target/hydrogen"
# What is looked at when a scenario has failed.
SCREENS = REPOSITORY / "target/screens"

_numbers = itertools.count(1)


def command() -> list[str]:
    """What drives the browser."""
    here = Path(__file__).parent
    browser = subprocess.run([here / "chromium"], capture_output=True, text=True).stdout.strip()
    assert browser, "there is no Chromium: install it, or say by CHROMIUM where it is"
    return [str(REPOSITORY / "local/node"), str(here / "driver.mjs"), browser, str(PAGE)]


class Tab:
    """A tab in which a user has signed in."""

    def __init__(self, driver: Driver, owner: User):
        self.owner = owner
        self.name = f"{owner.localpart}.hydrogen{next(_numbers)}"
        self._driver = driver
        self.id = self._ask("login", url=owner.server.url, localpart=owner.localpart, password=owner.password)

    def __repr__(self) -> str:
        return self.name

    def reload(self) -> None:
        """Loads the page again, which stays signed in."""
        self._ask("reload")

    def sees_room(self, name: str) -> None:
        """Waits until a room, or an invite to one, is in the list."""
        until(lambda: name in self._ask("rooms"), PATIENCE)

    def accept(self, name: str) -> None:
        """Accepts an invite."""
        self.sees_room(name)
        self._ask("accept", name=name)

    def show(self, name: str) -> None:
        """Opens a room."""
        self.sees_room(name)
        self._ask("show", name=name)

    def say(self, body: str, encrypted: bool = False) -> None:
        """Sends a message to the room that is open."""
        self._ask("say", body=body, encrypted=encrypted)

    def send_picture(self, path: Path) -> None:
        """Sends a picture to the room that is open."""
        self._ask("picture", path=str(path))

    def messages(self) -> list[Message]:
        """What stands in the timeline of the room that is open."""
        return [Message(sender="", **message) for message in self._ask("messages")]

    def reads(self, *bodies: str) -> None:
        """Waits until these messages stand in the timeline, in this order, each once."""

        def read() -> bool:
            found = [message.body for message in self.messages() if message.body in bodies]
            assert found == list(bodies), f"{self} reads {found}"
            return True

        until(read, PATIENCE)

    def looks_back_to(self, body: str) -> None:
        """Scrolls up until a message stands in the timeline."""

        def seen() -> bool:
            self._ask("back")
            return any(message.body == body for message in self.messages())

        until(seen, PATIENCE)

    def shows_picture(self, name: str) -> tuple[int, int]:
        """Waits until a picture has come from the server, and returns the size of what is shown."""

        def shown() -> tuple[int, int]:
            pictures = self._ask("pictures")
            found = [(each["width"], each["height"]) for each in pictures if each["name"] == name]
            assert found, f"{self} shows {pictures}, and not {name}"
            return found[0]

        return until(shown, PATIENCE)

    def shoot(self, name: str) -> None:
        """Keeps a picture of the screen."""
        SCREENS.mkdir(parents=True, exist_ok=True)
        self._ask("shoot", path=str(SCREENS / f"{name}.png"))

    def close(self) -> None:
        """Closes it."""
        self._ask("close")

    def _ask(self, command: str, **arguments: object) -> object:
        return self._driver.ask(self.name, command, **arguments)
