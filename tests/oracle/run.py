"""How are cases made and judged? Our side and theirs are processes of their own, joined by lines of JSON.

`python tests/oracle/run.py verdicts 10,11,12 100 0` prints what came of a few.
"""

import json
import subprocess
import sys
from pathlib import Path

from compare import Tally

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent


def build() -> Path:
    """Our side's executable."""
    command = ["cargo", "build", "--quiet", "--package", "tombolo", "--example", "oracle", "--message-format=json"]
    messages = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout
    executables = (json.loads(line).get("executable") for line in messages.splitlines())
    return Path(next(path for path in executables if path))


def compare(ours: Path, what: str, versions: str, count: int, seed: int = 0) -> Tally:
    """Compares so many verdicts, resolutions, or resolutions of rooms, in cases numbered from the seed on."""
    tally = Tally()
    make = subprocess.Popen([ours, what, versions, str(count), str(seed)], stdout=subprocess.PIPE, text=True)
    judge = subprocess.Popen([sys.executable, HERE / "synapse_judge.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for line in make.stdout:
        judge.stdin.write(line)
        judge.stdin.flush()
        case, verdict = json.loads(line), json.loads(judge.stdout.readline())
        (tally.compare_story if what == "verdicts" else tally.compare_branches)(case, verdict)
    judge.stdin.close()
    if make.wait() or judge.wait():
        raise RuntimeError("a side broke off")
    return tally


if __name__ == "__main__":
    what, versions, count, seed = sys.argv[1:]
    tally = compare(build(), what, versions, int(count), int(seed))
    print(tally.report())
    for (stage, why), times in sorted(tally.reached.items()):
        print(f"reached {times} x {stage}: {why}")
