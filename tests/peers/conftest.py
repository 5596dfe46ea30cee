"""Which servers and users does a scenario have? Two homeservers that live as long as the run, and new users for each test.

`PEERS_OURS=synapse` puts a second Synapse in our server's place: what fails then is the scenario's own fault.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import authority
import poll
from e2ee import by_js, by_sdk
from e2ee.by_nio import Loop
from e2ee.cast import Cast, Clients
from e2ee.process import Driver
from hydrogen import tab
from mesh.links import Links
from server import Server
from synapse import Synapse
from tombolo import Tombolo
from user import User

PANIC = "Critical Error"
# The fixtures that are servers, each by its name.
FIXTURES = ("servers", "trio", "pair", "twin")
# Where the first user of an encrypted room lives, and where the others do.
EVERYWHERE = ("ours", "ours-synapse", "synapse-ours", "ours-twin")


def played(runs: dict[str, Sequence[str]]) -> pytest.MarkDecorator:
    """A scenario of encryption, by each of these libraries or pairs of them, and each at these homes."""
    pairs = [(homes, clients) for clients, places in runs.items() for homes in places]
    return pytest.mark.parametrize("homes, clients", pairs, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Shows what the servers said last beside what failed."""
    report = yield
    if report.failed:
        for name, server in _of(item.funcargs):
            report.sections.append((f"last lines of {name}", "\n".join(server.said().splitlines()[-30:])))
        drivers = dict(item.funcargs.get("drivers", {}))
        if "browser" in item.funcargs:
            drivers["browser"] = item.funcargs["browser"]
        for library, driver in drivers.items():
            report.sections.append((f"last lines of {library}", "\n".join(driver.said().splitlines()[-60:])))
    return report


@pytest.fixture(scope="session")
def servers(tmp_path_factory) -> Iterator[dict[str, Server]]:
    """Ours and Synapse, each by its name here."""
    yield from started(ours_and_synapse(tmp_path_factory.mktemp("peers")))


@pytest.fixture(scope="session")
def twin(tmp_path_factory, servers) -> Iterator[dict[str, Server]]:
    """One more of ours."""
    yield from started(one_more(tmp_path_factory.mktemp("twin"), servers))


def ours_and_synapse(folder: Path) -> dict[str, Server]:
    """Ours and Synapse, not started yet."""
    trusted = authority.make(folder)
    return {"ours": ours()(folder / "ours", trusted), "synapse": Synapse(folder / "synapse", trusted)}


def one_more(folder: Path, servers: dict[str, Server]) -> dict[str, Server]:
    """One more of ours that the others believe, not started yet."""
    return {"twin": ours()(folder / "twin", servers["ours"].authority)}


def ours() -> type[Server]:
    """What stands in our server's place."""
    return Synapse if os.environ.get("PEERS_OURS") == "synapse" else Tombolo


def started(made: dict[str, Server], links: Links | None = None) -> Iterator[dict[str, Server]]:
    """Starts servers, each by its name, and stops them at the end; whatever they ask of each other passes through the links."""
    try:
        for name, server in made.items():
            if links:
                links.lead_to(name, server)
            server.start()
        yield made
    finally:
        for server in made.values():
            server.stop()


@pytest.fixture(scope="module")
def links() -> Iterator[Links]:
    """What stands between servers that are to be parted."""
    made = Links()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_panic(request) -> Iterator[None]:
    """A trap in one of our servers fails the test it happened in, even when every answer was right."""
    used = {name: request.getfixturevalue(name) for name in FIXTURES if name in request.fixturenames}
    before = {server.log: _traps(server) for _, server in _of(used)}
    yield
    for _, server in _of(used):
        assert _traps(server) == before[server.log], f"a server trapped: {server.log}"


def _of(fixtures: dict) -> list[tuple[str, Server]]:
    """The servers among what fixtures made."""
    return [found for name in FIXTURES for found in fixtures.get(name, {}).items()]


def _traps(server: Server) -> int:
    return server.log.read_text(errors="replace").count(PANIC)


@pytest.fixture(params=["10", "11", "12"], ids="v{}".format)
def version(request) -> str:
    """The room version."""
    return request.param


@pytest.fixture(params=["ours", "synapse"], ids="{}-creates".format)
def sides(request, servers) -> tuple[Server, Server]:
    """The server whose user creates the room, and the other."""
    other = {"ours": "synapse", "synapse": "ours"}[request.param]
    return servers[request.param], servers[other]


@dataclass
class Scene:
    """A room, its creator, and two members on the other server."""

    room: str
    alice: User
    bob: User
    carol: User

    def agree(self, *witnesses: User) -> None:
        """Waits until every witness sees the same state, event by event."""
        first, *others = witnesses or (self.alice, self.bob, self.carol)

        def ids(user: User) -> dict:
            return {key: event["event_id"] for key, event in user.state(self.room).items()}

        def same() -> bool:
            expected = ids(first)
            for other in others:
                assert ids(other) == expected, f"{other.id} and {first.id} disagree"
            return True

        poll.until(same)


@pytest.fixture
def people(sides) -> Iterator[tuple[User, User, User]]:
    """One user where the room is created, two on the other server."""
    home, away = sides
    users = (User(home, "alice"), User(away, "bob"), User(away, "carol"))
    yield users
    for user in users:
        user.close()


@pytest.fixture
def scene(people, version) -> Scene:
    """A public room that all three have joined."""
    alice, bob, carol = people
    room = alice.create_room(room_version=version, preset="public_chat")
    for guest in (bob, carol):
        guest.join(room, via=alice.server)
        guest.sees_joined(room)
    scene = Scene(room, alice, bob, carol)
    scene.agree()
    return scene


@pytest.fixture(params=EVERYWHERE)
def homes(request, servers, twin) -> Iterator[tuple[Server, Server]]:
    """Where the first user of an encrypted room lives, and where the others do: on one server or on two."""
    names = request.param.split("-")
    found = tuple((servers | twin)[name] for name in (names[0], names[-1]))
    yield found
    for server in found:
        if server.group is None:
            server.start()


@pytest.fixture(scope="session")
def drivers(tmp_path_factory) -> Iterator[dict[str, Driver]]:
    """The processes that hold every device of matrix-js-sdk and of matrix-sdk."""
    commands = {"matrix-js-sdk": by_js.COMMAND, "matrix-sdk": by_sdk.COMMAND}
    folder = tmp_path_factory.mktemp("drivers")
    made = {library: Driver(command, folder / library) for library, command in commands.items()}
    yield made
    for driver in made.values():
        driver.close()


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Driver]:
    """The process that holds every tab of Hydrogen."""
    made = Driver(tab.command(), tmp_path_factory.mktemp("browser") / "log")
    yield made
    made.close()


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    """The thread in which every device of matrix-nio syncs."""
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def cast(drivers, loop, tmp_path) -> Iterator[Cast]:
    """Users and devices of a scenario of encryption."""
    made = Cast(drivers, loop, tmp_path)
    yield made
    made.close()


@pytest.fixture
def clients(request, cast) -> Clients:
    """With which library the first user of a scenario encrypts, and with which the others: with one or with two."""
    names = request.param.split("-")
    return Clients(getattr(cast, names[0]), getattr(cast, names[-1]))
