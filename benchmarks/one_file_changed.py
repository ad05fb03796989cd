"""One file of a middling repository has changed: from the commit to the image in the registry, with every tool."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import contestants as tools
from benchmarks.arena import MEGABYTE, Arena
from benchmarks.race import Series, race
from benchmarks.results import Budget, Result

NAME = "one_file_changed"
# How many times faster than each peer: what must hold, and what we aim at.
FASTER = {tools.DOCKER: (40, 60), tools.BUILDKIT: (40, 60), tools.BUILDAH: (15, 30), tools.CRANE: (6, 10)}
SHARE_OF_BYTES = 3.0  # percent
PUSHED = 0.3  # MB


def run(arena: Arena) -> Result:
    """All tools, warm, in alternating rounds."""
    shape = arena.sizes.shape
    with arena.scratch(NAME) as folder, tools.peers(arena, folder, shape) as others:
        ours = [tools.treeship(arena, folder, shape), tools.treeship_fresh(arena, folder, shape)]
        series = race(arena, [*ours, *others])
    own, rest = series[: len(ours)], series[len(ours) :]
    budgets = [budget for mine in own for budget in (*_times(mine, rest), *_bytes(mine, rest))]
    title = f"{arena.describe(shape)}; {arena.rounds} rounds"
    return Result(NAME, title, _rows(own, rest), budgets, {"series": [each.to_json() for each in series]})


def _times(mine: Series, peers: Sequence[Series]) -> list[Budget]:
    return [
        Budget(
            f"{mine.name}: faster than {peer.name}",
            peer.median / mine.median,
            *FASTER[peer.name],
            at_least=True,
        )
        for peer in peers
    ]


def _bytes(mine: Series, peers: Sequence[Series]) -> list[Budget]:
    least = min(peer.bytes for peer in peers)
    share = Budget(
        f"{mine.name}: pushed, of the least of theirs", _percent(mine, least), SHARE_OF_BYTES, unit="%"
    )
    return [share, Budget(f"{mine.name}: pushed", mine.bytes / MEGABYTE, None, PUSHED, unit="MB")]


def _rows(own: Sequence[Series], peers: Sequence[Series]) -> list[list[str]]:
    head = [
        "tool",
        "median s",
        "min",
        "max",
        "x cache",
        "x none",
        "floor",
        "goal",
        "MB",
        "cache's %",
        "none's %",
    ]
    return [head, *(_row(each, own) for each in (*own, *peers))]


def _row(each: Series, own: Sequence[Series]) -> list[str]:
    floor, goal = FASTER.get(each.name, ("", ""))
    ratios = [f"{each.median / mine.median:.1f}" for mine in own]
    shares = [f"{_percent(mine, each.bytes):.2f}" for mine in own]
    return [
        each.name,
        *each.columns(),
        *ratios,
        str(floor),
        str(goal),
        f"{each.bytes / MEGABYTE:.3f}",
        *shares,
    ]


def _percent(mine: Series, theirs: float) -> float:
    return 100 * mine.bytes / theirs if theirs else 0.0
