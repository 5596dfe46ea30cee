"""What does a server take from the machine? Its processor time and its memory, with those of the processes it started.

https://man7.org/linux/man-pages/man5/proc.5.html
"""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def processor(pid: int) -> float:
    """Milliseconds used so far."""
    return sum(int(field) for each in _family(pid) for field in _stat(each)[11:13]) * 1000 / _TICKS


def memory(pid: int) -> float:
    """Megabytes resident now; what processes share is counted in each."""
    return sum(int(_stat(each)[21]) for each in _family(pid)) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _family(pid: int) -> list[int]:
    """The process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    family = [pid]
    for each in family:
        family.extend(children.get(each, []))
    return [each for each in family if _stat(each)]


def _stat(pid: int) -> list[str]:
    """The fields after the name; none when the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
