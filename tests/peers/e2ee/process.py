"""How is a client library driven that is not Python's? By lines of JSON to one process, which holds every device with it."""

import itertools
import json
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from e2ee.device import PATIENCE


class Failed(Exception):
    """The client could not do what it was told to."""


class Driver:
    """The process."""

    def __init__(self, command: list[str], log: Path):
        self.log = log
        self._numbers = itertools.count()
        self._waiting: dict[int, Future] = {}
        self._lock = threading.Lock()
        with log.open("ab") as stderr:
            dies_with_us = ["setpriv", "--pdeathsig", "KILL", "--", *command]
            self._process = subprocess.Popen(dies_with_us, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def begin(self, device: str, command: str, **arguments: Any) -> Future:
        """Tells a device to do something, and does not wait for it."""
        answer: Future = Future()
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = answer
            self._process.stdin.write(json.dumps({"id": number, "device": device, "do": command, "with": arguments}) + "\n")
            self._process.stdin.flush()
        return answer

    def ask(self, device: str, command: str, **arguments: Any) -> Any:
        """Tells a device to do something, and returns what came of it."""
        try:
            return self.begin(device, command, **arguments).result(timeout=PATIENCE + 10)
        except TimeoutError:
            raise Failed(f"{device} has not done within {PATIENCE + 10} s: {command} {arguments}") from None

    def close(self) -> None:
        """Ends it, with all devices."""
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def said(self) -> str:
        """What clients have logged."""
        return self.log.read_text(errors="replace")

    def _listen(self) -> None:
        for line in self._process.stdout:
            answer = json.loads(line)
            waiting = self._waiting.pop(answer["id"])
            if "error" in answer:
                waiting.set_exception(Failed(answer["error"]))
            else:
                waiting.set_result(answer["answer"])
        for waiting in list(self._waiting.values()):
            waiting.set_exception(Failed(f"the clients' process has ended:\n{self.said()[-3000:]}"))
