"""The first build of all: nothing remembered, no image of an ancestor, an empty repository in the registry."""

from __future__ import annotations

from benchmarks import contestants as tools
from benchmarks.arena import Arena
from benchmarks.race import race
from benchmarks.results import Budget, Result

NAME = "cold"


def run(arena: Arena) -> Result:
    """treeship against `git archive` and `crane append`, the peer that remembers nothing either."""
    shape = arena.sizes.shape
    with arena.scratch(NAME) as folder:
        contestants = [
            tools.treeship_cold(arena, folder, shape),
            tools.crane_append(arena, folder, shape, "cold-crane", anew=True),
        ]
        series = race(arena, contestants, warm=1)
    ours, theirs = series
    # The blobs of earlier rounds are in the registry, though not in that repository: bytes would say nothing here.
    rows = [["tool", "median s", "min", "max"], *([each.name, *each.columns()] for each in series)]
    limit = Budget("of the peer's time", ours.median / theirs.median, 1.0)
    title = f"{arena.describe(shape)}; {arena.rounds} rounds"
    return Result(NAME, title, rows, [limit], {"series": [each.to_json() for each in series]})
