"""How is matrix-js-sdk with its Rust crypto driven? One process of Node holds every such device."""

from pathlib import Path

from e2ee.driven import Driven
from server import REPOSITORY

COMMAND = [str(REPOSITORY / "local/node"), str(Path(__file__).parent / "driver.mjs")]


class JsDevice(Driven):
    """A device of matrix-js-sdk."""

    def hurry(self) -> None:
        self.ask("hurry")

    def addressed(self) -> dict[str, list[str]]:
        """Whose devices it sent something encrypted to since this was asked last."""
        return self.ask("addressed")

    def dehydrate(self) -> int | None:
        """Takes what the dehydrated device was sent, and leaves a new one: how many room keys; None when there was none."""
        return self.ask("dehydrate")
