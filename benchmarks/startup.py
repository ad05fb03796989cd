"""What every call pays: the start of the command, against the start of Python."""

from __future__ import annotations

from statistics import median

from benchmarks import processes
from benchmarks.arena import Arena
from benchmarks.results import Budget, Result

NAME = "startup"
TIMES = 4.0
# Short runs scatter: there are more of them.
RUNS_PER_ROUND = 10


def run(arena: Arena) -> Result:
    """`treeship --help` and `python -c pass` of one environment, by turns."""
    programs = {
        "python -c pass": processes.command(arena.product.python, "-c", "pass"),
        "treeship --help": processes.command(arena.product.treeship, "--help"),
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(arena.rounds * RUNS_PER_ROUND):
        for name, program in programs.items():
            times[name].append(processes.seconds([program]))
    plain, ours = (median(found) for found in times.values())
    rows = [["command", "median ms", "min", "max"]]
    rows += [
        [name, *(f"{1000 * value:.1f}" for value in (median(found), min(found), max(found)))]
        for name, found in times.items()
    ]
    limit = Budget("times of Python's own start", ours / plain, TIMES)
    return Result(NAME, f"{arena.rounds * RUNS_PER_ROUND} runs", rows, [limit], {"seconds": times})
