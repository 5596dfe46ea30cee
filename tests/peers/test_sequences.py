"""Do our server and Synapse answer the same calls alike, and does a client learn the same from both?

30 sequences of a seed each; `TOMBOLO_SEEDS=1000` makes it as many, from `TOMBOLO_FROM` on. `TOMBOLO_SEED=n` plays that one
alone and shows every call with both answers (pytest's `-s`). What fails is shown with the fewest calls that bring it about.
"""

import os

import pytest

from sequences.tally import Tally, replay
from server import Server

SEEDS = 30


def number(name: str) -> int | None:
    """A number from the environment."""
    return int(os.environ[name]) if os.environ.get(name) else None


@pytest.mark.timeout(0)
def test_both_servers_answer_alike(servers: dict[str, Server]) -> None:
    if (seed := number("TOMBOLO_SEED")) is not None:
        print(replay(seed, servers["ours"], servers["synapse"]))
        seeds = range(seed, seed + 1)
    else:
        start = number("TOMBOLO_FROM") or 0
        seeds = range(start, start + (number("TOMBOLO_SEEDS") or SEEDS))
    tally = Tally(servers["ours"], servers["synapse"])
    for seed in seeds:
        tally.play(seed)
    print(tally.figures())
    if tally.faults:
        pytest.fail(tally.report(), pytrace=False)
