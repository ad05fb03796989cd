"""A file of 2 GB: how much memory a build takes, process by process."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks import generated, processes
from benchmarks.arena import MEGABYTE, Arena
from benchmarks.processes import Pipeline, command
from benchmarks.race import say
from benchmarks.results import Budget, Result

NAME = "memory"
LIMIT = 200  # MB
EVERY = 0.005  # seconds
# A process's peak begins with that of the one that started it, so that one has to be small: not we.
PARENT = """
import os, sys
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(pid, 0)
print(used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Peak(NamedTuple):
    """Of one program, in bytes. `anonymous` leaves out pages of files, which the kernel drops when it needs room."""

    resident: int
    anonymous: int


class Watched(NamedTuple):
    """Of a whole build. `reported` is getrusage's: the largest single process; `together` all at one moment."""

    seconds: float
    reported: int
    together: int
    programs: dict[str, Peak]


def run(arena: Arena) -> Result:
    """One cold build into the registry."""
    repository = generated.with_big_file(arena.sizes.big_file)
    with arena.scratch(NAME) as folder:
        places = [
            f"--base=docker://{arena.base}",
            f"--to=docker://{arena.image(NAME)}",
            f"--cache={folder}/cache",
        ]
        found = watch(command(arena.product.treeship, "build", f"--repo={repository}", *places))
    limit = Budget("largest process, by getrusage", found.reported / MEGABYTE, LIMIT, unit="MB")
    title = f"a file of {arena.sizes.big_file / MEGABYTE:,.0f} MB; {found.seconds:.1f} s"
    programs = {name: peak._asdict() for name, peak in found.programs.items()}
    return Result(NAME, title, _rows(found), [limit], {**found._asdict(), "programs": programs})


def _rows(found: Watched) -> list[list[str]]:
    def mb(size: int) -> str:
        return f"{size / MEGABYTE:.0f}"

    each = [[name, mb(peak.resident), mb(peak.anonymous)] for name, peak in found.programs.items()]
    sums = [["largest, by getrusage", mb(found.reported), ""], ["all at one moment", mb(found.together), ""]]
    return [["process", "peak MB", "anonymous MB"], *each, *sums]


def watch(pipeline: Pipeline) -> Watched:
    """Run it and look at its processes all the time. The kernel keeps each one's peak, so a late look is enough."""
    peaks: dict[str, Peak] = {}
    together = 0
    (argv,) = pipeline.argvs
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        (process,) = processes.start(command(sys.executable, "-IS", "-c", PARENT, *argv), said)
        while process.poll() is None:
            together = max(together, _look(process.pid, peaks))
            time.sleep(EVERY)
        seconds = time.perf_counter() - began
        processes.check(process, said)
        said.seek(0)
        reported = 1024 * int(said.read().split()[-1])
    say(f"{seconds:.1f} s")
    return Watched(seconds, reported, together, peaks)


def _look(root: int, peaks: dict[str, Peak]) -> int:
    """Note the peak of each process below ROOT by its name; what they hold together now."""
    now = 0
    for pid in _below(root):
        with suppress(OSError, LookupError):  # It has ended meanwhile, or not begun.
            found = _status(pid)
            before = peaks.get(found["Name"], Peak(0, 0))
            sizes = Counter(
                {name: 1024 * int(text.split()[0]) for name, text in found.items() if "kB" in text}
            )
            anonymous = max(before.anonymous, sizes["RssAnon"])
            peaks[found["Name"]] = Peak(max(before.resident, sizes["VmHWM"]), anonymous)
            now += sizes["VmRSS"]
    return now


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _below(root: int) -> list[int]:
    """Not ROOT itself, which only waits."""
    found = _children(root)
    for pid in found:  # Grows while it is walked.
        found += _children(pid)
    return found


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        threads = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    return []
