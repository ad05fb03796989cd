"""Alternating rounds: whatever else the machine does in the meantime, it does to all contestants."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

from benchmarks import processes
from benchmarks.arena import Arena
from benchmarks.contestants import Contestant

SEED = 20_240_229


class Series(NamedTuple):
    """What one contestant took, round by round."""

    name: str
    seconds: tuple[float, ...]
    pushed: tuple[int, ...]

    @property
    def median(self) -> float:
        """Of the times."""
        return median(self.seconds)

    @property
    def bytes(self) -> float:
        """The median of the bytes."""
        return median(self.pushed)

    def columns(self) -> list[str]:
        """Median, least and most of the times, for a table."""
        return [f"{value:.3f}" for value in (self.median, min(self.seconds), max(self.seconds))]

    def to_json(self) -> dict[str, Any]:
        """For the results."""
        return {"tool": self.name, "seconds": self.seconds, "median": self.median, "pushed": self.pushed}


def race(arena: Arena, contestants: Sequence[Contestant], *, warm: int = 2) -> list[Series]:
    """Each builds a first commit, then one changed file after the other; WARM builds of each are not counted."""
    order = random.Random(SEED)  # None always follows the same one, in whose wake it would run.
    times: dict[str, list[float]] = {each.name: [] for each in contestants}
    pushed: dict[str, list[int]] = {each.name: [] for each in contestants}
    for number in range(warm + arena.rounds):
        for each in order.sample(contestants, len(contestants)):
            commit = each.clone.change(number) if number else each.clone.head
            before = arena.stored()
            settle(arena.sizes.settle)
            seconds = processes.seconds(each.steps(commit))
            say(f"round {number - warm + 1} of {arena.rounds}  {each.name}  {seconds:.3f} s")
            if number >= warm:
                times[each.name].append(seconds)
                pushed[each.name].append(arena.stored() - before)
    return [Series(name, tuple(times[name]), tuple(pushed[name])) for name in times]


def settle(pause: float) -> None:
    """What the one before has left to be written, or a daemon to be tidied up, is not the next one's cost."""
    os.sync()
    time.sleep(pause)


def say(text: str) -> None:
    """Talk, for those who wait."""
    print(f"  {text}", file=sys.stderr, flush=True)
