"""Do two of our servers and one Synapse end in one state, though links are cut and ours are killed meanwhile?

10 runs of a seed each; `TOMBOLO_SEEDS=200` makes it as many, from `TOMBOLO_FROM` on. `TOMBOLO_SEED=n` plays that one alone
and shows (pytest's `-s`) what happened and every event of the room. What fails is shown with its story.
"""

from collections.abc import Iterator

import pytest

import authority
from conftest import ours, started
from mesh.links import Links
from mesh.plan import OURS, SERVERS, plan
from mesh.run import Outcome, Run
from server import Server, free_port
from synapse import Synapse
from test_sequences import number

SEEDS = 10


@pytest.fixture(scope="module")
def trio(tmp_path_factory, links) -> Iterator[dict[str, Server]]:
    """Two of ours and Synapse, each by its name here."""
    folder = tmp_path_factory.mktemp("mesh")
    trusted = authority.make(folder)
    made = {name: (ours() if name in OURS else Synapse)(folder / name, trusted, free_port()) for name in SERVERS}
    yield from started(made, links)


@pytest.mark.timeout(0)
def test_all_servers_end_in_one_state(trio: dict[str, Server], links: Links) -> None:
    if (seed := number("TOMBOLO_SEED")) is not None:
        seeds = range(seed, seed + 1)
    else:
        start = number("TOMBOLO_FROM") or 0
        seeds = range(start, start + (number("TOMBOLO_SEEDS") or SEEDS))
    outcomes = []
    for each in seeds:
        outcomes.append(play(each, trio, links))
        print(report(outcomes[-1]) if outcomes[-1].findings else figures(outcomes[-1]), flush=True)
    if seed is not None:
        print("\n".join([outcomes[0].story(), *outcomes[0].graph, *outcomes[0].reasons]))
    if failed := [outcome for outcome in outcomes if outcome.findings]:
        pytest.fail("\n\n".join(map(report, failed)), pytrace=False)


def play(seed: int, trio: dict[str, Server], links: Links) -> Outcome:
    """The run of a seed."""
    run = Run(plan(seed), trio, links)
    try:
        return run.play()
    finally:
        run.close()


def figures(outcome: Outcome) -> str:
    """A run in one line."""
    said = f"{outcome.inside} inside, {outcome.made} calls ({outcome.good} succeed), {len(outcome.reasons)} reasons, {len(outcome.findings)} findings"
    return f"seed {outcome.plan.seed}: v{outcome.plan.version}, {said}, {outcome.rounds} rounds, {outcome.agreed_after:.1f} of {outcome.seconds:.1f} s"


def report(outcome: Outcome) -> str:
    """What differs in a run, and what happened before."""
    return "\n".join([outcome.story(), *(f"  ! {each}" for each in outcome.findings), *outcome.graph, f"  TOMBOLO_SEED={outcome.plan.seed} plays it again"])
