"""The partition of a tree into layers against two others, over made-up histories: what a commit makes us push.

No clock and no tool takes part, so the numbers are the same everywhere; a new idea is one more entry in CANDIDATES.
Histories of real projects led to the decision (docs/decisions.md); this shows that it holds where they are not at hand.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from statistics import fmean, median
from typing import NamedTuple
from zlib import crc32

from benchmarks.arena import Arena
from benchmarks.results import Budget, Result
from buildkit.git.tree import Entry
from buildkit.layers.partition import Scheme

NAME = "partition"
SEED = 20_240_229
LAYERS = 64
KILOBYTE = 1000
HEADER = 90  # compressed bytes of one tar header and its padding
BLOB = "0" * 40


class File(NamedTuple):
    """Sizes as it is, and compressed in a layer."""

    size: int
    packed: int


Tree = Mapping[str, File]
Slot = Callable[[str, File], object]


class Kind(NamedTuple):
    """A kind of project: how many source and data files, their usual sizes, and how many files share a folder."""

    sources: int
    data: int
    data_size: int
    together: int


class History(NamedTuple):
    """A tree and the paths that each commit changes in it."""

    tree: Tree
    commits: list[set[str]]


KINDS = {
    "library": Kind(sources=600, data=60, data_size=8_000, together=12),
    "service, many assets": Kind(sources=2500, data=1500, data_size=40_000, together=15),
    "monorepo": Kind(sources=12_000, data=1200, data_size=30_000, together=25),
    "ML project, weights": Kind(sources=300, data=80, data_size=2_000_000, together=10),
    "one folder": Kind(sources=1500, data=150, data_size=50_000, together=100_000),
}
SUFFIXES = ("json", "png", "npz", "csv", "bin")


def shipped(path: str, _: File) -> object:
    """What treeship does."""
    return Scheme().slot(Entry(path.encode(), b"100644", BLOB))


def size_classes(path: str, file: File) -> object:
    """Three classes by size; small and middling files by folder, so that what changes together lies together."""
    third = LAYERS // 3
    if file.size < 16 << 10:
        return crc32(_folder(path).encode()) % third
    if file.size < 128 << 10:
        return third + crc32(_folder(path).encode()) % third
    return 2 * third + crc32(path.encode()) % (LAYERS - 2 * third)


def folder_hash(path: str, _: File) -> object:
    """By folder alone."""
    return crc32(_folder(path).encode()) % LAYERS


CANDIDATES: dict[str, Slot] = {"shipped": shipped, "size classes": size_classes, "folder hash": folder_hash}


def run(arena: Arena) -> Result:
    """The median and mean of compressed kilobytes that a commit pushes."""
    rows = [
        [
            "project",
            *(f"{name}: {what}" for name in CANDIDATES for what in ("median kB", "mean kB", "layers")),
        ]
    ]
    shares: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    for number, (name, kind) in enumerate(KINDS.items()):
        source = random.Random(SEED + number)
        tree = _tree(kind, source)
        history = History(tree, list(_commits(tree, source, 10 * arena.rounds)))
        costs = {each: _costs(history, slot) for each, slot in CANDIDATES.items()}
        rows.append([name, *(column for cost in costs.values() for column in _columns(cost))])
        for each, cost in costs.items():
            shares[each].append(_typical(cost))
    ratios = {name: _geometric(shares["shipped"], theirs) for name, theirs in shares.items()}
    limits = [
        Budget(f"of the bytes of {each}", ratios[each], 1.0) for each in CANDIDATES if each != "shipped"
    ]
    return Result(
        NAME, f"{LAYERS} layers, {10 * arena.rounds} commits each", rows, limits, {"ratios": ratios}
    )


def _typical(costs: list[tuple[int, int]]) -> float:
    return median(size for size, _ in costs)


def _geometric(ours: list[float], theirs: list[float]) -> float:
    return math.exp(fmean(math.log(one / other) for one, other in zip(ours, theirs, strict=True)))


def _columns(costs: list[tuple[int, int]]) -> list[str]:
    mean = fmean(size for size, _ in costs)
    layers = fmean(count for _, count in costs)
    return [f"{_typical(costs) / KILOBYTE:.0f}", f"{mean / KILOBYTE:.0f}", f"{layers:.1f}"]


def _costs(history: History, slot: Slot) -> list[tuple[int, int]]:
    """For each commit: the bytes and the number of the layers that it touches."""
    places = {path: slot(path, file) for path, file in history.tree.items()}
    weights: dict[object, int] = {}
    for path, file in history.tree.items():
        weights[places[path]] = weights.get(places[path], 0) + file.packed + HEADER
    touched = [{places[path] for path in commit} for commit in history.commits]
    return [(sum(weights[place] for place in places), len(places)) for places in touched]


def _tree(kind: Kind, source: random.Random) -> Tree:
    """Sizes are log-normal, as those of real projects are."""
    tree: dict[str, File] = {}
    for number in range(kind.sources):
        size = round(source.lognormvariate(math.log(5_000), 1.1))
        tree[f"src/module{number // kind.together:04d}/file{number:05d}.py"] = File(size, round(0.28 * size))
    for number in range(kind.data):
        size = round(source.lognormvariate(math.log(kind.data_size), 1.2))
        suffix = source.choice(SUFFIXES)
        # Some data lies beside the code that reads it.
        folder = (
            f"src/module{number // 3:04d}" if number % 4 == 0 else f"data/set{number // kind.together:04d}"
        )
        tree[f"{folder}/data{number:05d}.{suffix}"] = File(size, size)
    return tree


def _commits(tree: Tree, source: random.Random, count: int) -> Iterator[set[str]]:
    """Half of them one file, half of them three to five, most of these from one folder; data in one of thirty."""
    code = [path for path in tree if path.endswith(".py")]
    data = [path for path in tree if not path.endswith(".py")]
    neighbours: dict[str, list[str]] = {}
    for path in code:
        neighbours.setdefault(_folder(path), []).append(path)
    for number in range(count):
        first = source.choice(data if source.random() < 1 / 30 else code)
        near = neighbours.get(_folder(first), code)
        more = source.randint(2, 4) if number % 2 else 0
        yield {first, *(source.choice(near if source.random() < 0.7 else code) for _ in range(more))}


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
