"""The same change in a repository of ten times as many files: the cost follows the change, not the repository."""

from __future__ import annotations

from pathlib import Path

from benchmarks import contestants as tools
from benchmarks.arena import MEGABYTE, Arena
from benchmarks.contestants import Contestant
from benchmarks.race import race
from benchmarks.results import Budget, Result

NAME = "ten_times_larger"
FACTOR = 10
SLOWER = 1.5


def run(arena: Arena) -> Result:
    """treeship against itself, with its cache and without, in alternating rounds."""
    with arena.scratch(NAME) as folder:
        pairs = [_pair(arena, folder, fresh=fresh) for fresh in (False, True)]
        series = race(arena, [each for pair in pairs for each in pair])
    small, large = series[::2], series[1::2]
    limits = [
        Budget(f"{one.name}: times of the smaller", ten.median / one.median, SLOWER)
        for one, ten in zip(small, large, strict=True)
    ]
    rows = [["treeship", "median s", "min", "max", "MB pushed"]]
    rows += [[each.name, *each.columns(), f"{each.bytes / MEGABYTE:.3f}"] for each in series]
    title = f"{arena.describe(arena.sizes.shape.times(FACTOR))}; {arena.rounds} rounds"
    return Result(NAME, title, rows, limits, {"series": [each.to_json() for each in series]})


def _pair(arena: Arena, folder: Path, *, fresh: bool) -> list[Contestant]:
    make, name = (tools.treeship_fresh, "fresh") if fresh else (tools.treeship, "cached")
    one = make(arena, folder, arena.sizes.shape, f"{name}-one")
    ten = make(arena, folder, arena.sizes.shape.times(FACTOR), f"{name}-ten")
    return [one, ten._replace(name=f"{ten.name}, {FACTOR} x")]
