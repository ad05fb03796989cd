"""A lock with torch becomes an image: against pip in a build, cold and with one small wheel changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import processes
from benchmarks.arena import MEGABYTE, Arena
from benchmarks.installers import BUILDKIT, DOCKER, Installer, installers
from benchmarks.locked import Project
from benchmarks.memory import Watched, watch
from benchmarks.processes import Pipeline, command
from benchmarks.race import Series, say, settle
from benchmarks.results import Budget, Result
from tests.rigs import base_image, torch_lock
from tests.rigs.docker_engine import DockerEngine
from tests.rigs.process import run as run_tool
from tests.sources import ROOT

Limits = Mapping[str, tuple[float | None, float | None]]

NAME = "dependencies"
TREESHIP = "treeship"
# How many times faster than each peer: what must hold, and what we aim at.
COLD: Limits = {DOCKER: (12.0, 15.0), BUILDKIT: (None, None)}
CHANGED: Limits = {DOCKER: (100.0, None), BUILDKIT: (None, None)}
MEMORY = 300  # MB
SECOND = 1.0  # seconds
# The second project's own: its config, and its two files.
OWN_BLOBS = 3
UNCHANGED = 1.0  # seconds
BASE = "python-slim"
# A peer's round takes minutes.
PEER_ROUNDS = 1


class Turn(NamedTuple):
    """`steps` of a round, which first makes ready what is not timed."""

    name: str
    steps: Callable[[int], Sequence[Pipeline]]
    rounds: int


class Second(NamedTuple):
    """What a second project with the same lock took: by rounds."""

    seconds: list[float]
    uploaded: list[int]
    mounted: list[int]


def run(arena: Arena) -> Result:
    """Cold, then changed, each against the peers; then what has no peer."""
    lock = torch_lock.lock_text(arena.sizes.lock)
    with arena.scratch(NAME) as folder, _peers(arena, folder, lock) as peers:
        ours = Ours(arena, folder, Project(folder / "first", lock))
        cold = _race(arena, [Turn(TREESHIP, ours.cold, arena.rounds), *_turns(peers, 0)])
        changed = _race(arena, [Turn(TREESHIP, ours.changed, arena.rounds), *_turns(peers, 1)])
        memory = watch(ours.build("memory", "memory"))
        second = ours.second(Project(folder / "second", lock, ours.project))
        wheels = f"{len(torch_lock.versions(lock)) + 1} wheels, {ours.project.size / MEGABYTE:,.0f} MB"
    unchanged = _unchanged_base(arena) if arena.sizes.engines else []
    budgets = [
        *_faster("cold", cold, COLD),
        *_faster("one small wheel changed", changed, CHANGED),
        *_budgets(memory, second, unchanged),
    ]
    rows = [
        ["tool", "median s", "min", "max", "MB pushed"],
        *_rows("cold", cold),
        *_rows("one wheel", changed),
    ]
    data = {
        "cold": [each.to_json() for each in cold],
        "changed": [each.to_json() for each in changed],
        "memory": {
            **memory._asdict(),
            "programs": {name: list(peak) for name, peak in memory.programs.items()},
        },
        "second": second._asdict(),
        "unchanged_base": unchanged,
    }
    return Result(NAME, f"{wheels}; {arena.rounds} rounds", rows, budgets, data)


class Ours:
    """treeship's builds of a project."""

    def __init__(self, arena: Arena, folder: Path, project: Project) -> None:
        self.project = project
        self._arena = arena
        self._caches = folder / "caches"
        self._commit = project.change(0)

    def cold(self, number: int) -> list[Pipeline]:
        """Nothing known, into a new repository of the registry. What the first leaves, the later builds have."""
        return [self.build(f"cold-{number}", f"cold-{number}")]

    def changed(self, number: int) -> list[Pipeline]:
        """Another small wheel, with that cache."""
        self._commit = self.project.change(number + 1)
        return [self.build("cold-0", "cold-0")]

    def second(self, project: Project) -> Second:
        """Another project, of which the lock is this one's last: each time as if it were a new one."""
        found = Second([], [], [])
        commit = project.change(self._arena.rounds)
        for number in range(self._arena.rounds):
            settle(self._arena.sizes.settle)
            steps = [self.build("cold-0", f"second-{number}", project, commit)]
            found.seconds.append(processes.seconds(steps))
            say(f"a second project  {found.seconds[-1]:.3f} s")
            made = [
                each
                for each in self._arena.registry.requests()
                if f"/lock/second-{number}/blobs/" in each.path
            ]
            found.uploaded.append(sum(each.method == "PUT" for each in made))
            found.mounted.append(sum("mount=" in each.path and each.status == 201 for each in made))
        return found

    def build(self, cache: str, image: str, project: Project | None = None, commit: str = "") -> Pipeline:
        """The command; of the first project's commit where no other is named."""
        project = project or self.project
        return command(
            self._arena.product.treeship,
            "build",
            commit or self._commit,
            f"--repo={project.folder}",
            f"--base=docker://{self._arena.plain_base}",
            f"--to=docker://{self._arena.image(f'lock/{image}')}:main",
            f"--cache={self._caches / cache}",
            f"--wheelhouse={project.house}",
        )


@contextmanager
def _peers(arena: Arena, folder: Path, lock: str) -> Iterator[list[Installer]]:
    if not arena.sizes.engines:
        yield []
        return
    with installers(arena, folder, arena.plain_base, lock) as found:
        yield found


def _turns(peers: Sequence[Installer], first: int) -> Iterator[Turn]:
    for peer in peers:

        def steps(number: int, peer: Installer = peer) -> Sequence[Pipeline]:
            peer.project.change(first + number)
            return peer.steps(first + number)

        yield Turn(peer.name, steps, PEER_ROUNDS)


def _race(arena: Arena, turns: Sequence[Turn]) -> list[Series]:
    """All turns, spread evenly: who has fewer comes in the middle of the others'."""
    order = sorted(
        ((number + 0.5) / turn.rounds, place, number)
        for place, turn in enumerate(turns)
        for number in range(turn.rounds)
    )
    found: list[list[tuple[float, int]]] = [[] for _ in turns]
    for _, place, number in order:
        turn = turns[place]
        steps, before = turn.steps(number), arena.stored()
        settle(arena.sizes.settle)
        seconds = processes.seconds(steps)
        say(f"round {number + 1} of {turn.rounds}  {turn.name}  {seconds:.3f} s")
        found[place].append((seconds, arena.stored() - before))
    return [
        Series(turn.name, tuple(one for one, _ in each), tuple(pushed for _, pushed in each))
        for turn, each in zip(turns, found, strict=True)
    ]


def _unchanged_base(arena: Arena) -> list[float]:
    """`base build` of a base that was built before, on the local Debian as its parent."""
    words = ["base", "build", BASE, "--network=host", f"--parent=oci:{base_image.layout()}"]
    with arena.scratch("unchanged_base") as folder, DockerEngine() as engine:
        shutil.copytree(ROOT / "dockerfiles", folder / "repository" / "dockerfiles")
        run_tool(["git", "init", "--quiet", folder / "repository"])
        places = [f"--repo={folder / 'repository'}", f"--cache={folder / 'cache'}"]
        build = command(arena.product.treeship, *words, *places, env=engine.env)
        found = [processes.seconds([build]) for _ in range(1 + arena.rounds)]
    say(f"{BASE}: built in {found[0]:.1f} s, then unchanged")
    return found[1:]


def _faster(what: str, series: Sequence[Series], limits: Limits) -> list[Budget]:
    ours, *peers = series
    return [
        Budget(
            f"{what}: faster than {peer.name}", peer.median / ours.median, *limits[peer.name], at_least=True
        )
        for peer in peers
    ]


def _budgets(memory: Watched, second: Second, unchanged: Sequence[float]) -> list[Budget]:
    budgets = [
        Budget("cold: largest process, by getrusage", memory.reported / MEGABYTE, MEMORY, unit="MB"),
        Budget("cold: all processes at one moment", memory.together / MEGABYTE, MEMORY, unit="MB"),
        Budget("a second project with the same lock", median(second.seconds), SECOND, unit="s"),
        Budget("its blobs that were uploaded", max(second.uploaded), OWN_BLOBS, unit="blobs"),
    ]
    if unchanged:
        budgets.append(Budget("base build, nothing changed", median(unchanged), UNCHANGED, unit="s"))
    return budgets


def _rows(what: str, series: Sequence[Series]) -> list[list[str]]:
    # The blobs of a second cold round are in the registry, though not in that repository: the first one's count.
    return [[f"{what}: {each.name}", *each.columns(), f"{each.pushed[0] / MEGABYTE:,.2f}"] for each in series]
