"""How fast is our server beside Synapse, and what does it cost? The figures of one machine, both servers in turn.

`make bench`. Synapse runs as the tests' peer does: SQLite, no limits of rates, no presence (which would slow it).
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/peers"))

import authority  # noqa: E402
import encryption  # noqa: E402
import many_rooms  # noqa: E402
import units  # noqa: E402
import usage  # noqa: E402
import workloads  # noqa: E402
from server import Server  # noqa: E402
from synapse import Synapse  # noqa: E402
from tombolo import Tombolo  # noqa: E402


class Metered(Tombolo):
    """Our server, from any build, with its counters open."""

    worker: str | None = None

    def command(self) -> list[str]:
        given = ["--worker", self.worker] if self.worker else []
        return [*super().command(), "--set", "UNITS=yes", *given]


@dataclass(frozen=True)
class Workload:
    """Something that is timed, and how often it does what it does."""

    name: str
    run: Callable[[Server], float]
    times: int
    higher_is_better: bool = False


WORKLOADS = [
    Workload("sequential sends, ms each", workloads.sequential, workloads.SENDS),
    Workload("8 clients in one room, messages/s", workloads.together, workloads.CLIENTS * workloads.SENDS_EACH, True),
    Workload("send → another's /sync, both wait, ms", workloads.noticed, workloads.NOTICED),
    Workload("/keys/query of 100 users, ms each", encryption.queries, encryption.QUERIES),
    Workload("8 clients claim 1,000 keys, claims/s", encryption.claims, encryption.CLAIMS, True),
    Workload("1,000 to-device messages, sent and got, /s", encryption.burst, encryption.MESSAGES, True),
    Workload("first /sync, 500 rooms, ms", many_rooms.initial, 1),
    Workload("sliding sync begins, 20 of 500 rooms, ms", many_rooms.screen, many_rooms.SYNCS),
    Workload("/sync without news, 500 rooms, ms", many_rooms.quiet, many_rooms.SYNCS),
    Workload("search in 500 rooms, 10,000 events, ms", many_rooms.found, many_rooms.SYNCS),
    Workload("memory of 300 idle long-polls, MB", many_rooms.waiting, 1),
    Workload("10 MB up and down again, ms", many_rooms.ten_megabytes, 1),
]

SHOWN = ["requests", "object_requests", "alarms", "rows_read", "rows_written", "d1_rows_read", "d1_rows_written", "fetches"]


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--alternations", type=int, default=5)
    arguments.add_argument("--worker", help="another build than ./build")
    arguments.add_argument("--only", choices=["times", "units"])
    arguments.add_argument("--workloads", default="", help="those whose names have this in them")
    chosen = arguments.parse_args()
    Metered.worker = chosen.worker and str(Path(chosen.worker).resolve())
    with tempfile.TemporaryDirectory() as folder:
        trusted = authority.make(Path(folder))
        ours, synapse = Metered(Path(folder) / "ours", trusted), Synapse(Path(folder) / "synapse", trusted)
        try:
            ours.start()
            synapse.start()
            if chosen.only != "units":
                workloads_chosen = [workload for workload in WORKLOADS if chosen.workloads in workload.name]
                times(ours, synapse, (chosen.alternations, workloads_chosen))
            if chosen.only != "times":
                cost(ours, synapse)
        finally:
            ours.stop()
            synapse.stop()


def times(ours: Server, synapse: Server, chosen: tuple[int, list[Workload]]) -> None:
    """Prints the medians of both servers, and how much faster ours is."""
    alternations, workloads_chosen = chosen
    load = os.getloadavg()[0]
    print(f"median of {alternations} alternations; {os.cpu_count()} cores, load {load:.1f} at the start; both sync every commit to disk\n")
    print(f"{'':44}{'ours':>9}{'Synapse':>9}{'faster':>8}   CPU ms each: ours, Synapse")
    for workload in workloads_chosen:
        found = {server: [] for server in (ours, synapse)}
        for turn in range(alternations):
            for server in (ours, synapse) if turn % 2 == 0 else (synapse, ours):
                found[server].append(once(server, workload))
        (a, cpu_a), (b, cpu_b) = ([median(column) for column in zip(*found[server])] for server in (ours, synapse))
        faster = a / b if workload.higher_is_better else b / a
        print(f"{workload.name:44}{a:9.2f}{b:9.2f}{faster:7.1f}×   {cpu_a:.2f}, {cpu_b:.2f}", flush=True)
    a, b = (usage.memory(pid(server)) for server in (ours, synapse))
    print(f"{'memory afterwards, MB':44}{a:9.0f}{b:9.0f}\n", flush=True)


def once(server: Server, workload: Workload) -> tuple[float, float]:
    """The figure, and the processor time for each of what it did."""
    before = usage.processor(pid(server))
    figure = workload.run(server)
    return figure, (usage.processor(pid(server)) - before) / workload.times


def pid(server: Server) -> int:
    """The process that was started for it."""
    return server._process.pid  # noqa: SLF001


def cost(ours: Server, synapse: Server) -> None:
    """Prints the billed units of each action."""
    print(f"{'billed units of our server':55}" + "".join(f"{name.replace('_', ' '):>17}" for name in SHOWN))
    for name, found in units.measure(ours, synapse):
        print(f"{name:55}" + "".join(f"{found[unit]:17.2f}" for unit in SHOWN), flush=True)


if __name__ == "__main__":
    main()
