"""How fast is our server beside Synapse, and what does it cost? The figures of one machine, both servers in turn.

`make bench`, or `python benches/run.py [alternations]`.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/peers"))

import authority  # noqa: E402
import workloads  # noqa: E402
from server import Server  # noqa: E402
from synapse import Synapse  # noqa: E402
from tombolo import Tombolo  # noqa: E402

import os
class Ours(Tombolo):
    def command(self): return [*super().command(),"--worker",os.environ.get("BENCH_WORKER","/work/main/build")]

WORKLOADS: list[tuple[str, Callable[[Server], float]]] = [
    ("sequential sends, ms each", workloads.sequential),
    ("8 clients in one room, messages/s", workloads.together),
    ("send → another's /sync, ms", workloads.noticed),
]


def main() -> None:
    alternations = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trusted = authority.make(folder)
        servers = [Ours(folder / "ours", trusted), Synapse(folder / "synapse", trusted)]
        try:
            for server in servers:
                server.start()
            for title, workload in WORKLOADS:
                found = {server: [] for server in servers}
                for turn in range(alternations):
                    for server in servers[:: 1 if turn % 2 == 0 else -1]:
                        found[server].append(workload(server))
                ours, theirs = (median(found[server]) for server in servers)
                print(f"{title:40} {ours:8.2f} {theirs:8.2f}  {ours / theirs:6.2f}  {[round(x,2) for x in found[servers[0]]]} {[round(x,2) for x in found[servers[1]]]}", flush=True)
        finally:
            for server in servers:
                server.stop()


main()
