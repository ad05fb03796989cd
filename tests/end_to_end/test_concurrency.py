"""Builds at the same time: same layout, same cache, same repository, same clone; every one of them is right."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from buildkit.testing.registry import InProcessRegistry
from buildkit.testing.repositories import ThrowAwayRepository
from tests.end_to_end.helpers import Json, Treeship
from tests.end_to_end.test_kill import faults_of, leftovers

ROUNDS = 50


def together(treeship: Treeship, commands: Sequence[Sequence[str | Path]]) -> list[Json]:
    """Run these command lines at once; what each printed."""
    running = [treeship.start(*words) for words in commands]
    return [_ended(process) for process in running]


def _ended(process: subprocess.Popen[bytes]) -> Json:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    value = json.loads(out)
    assert isinstance(value, dict)
    return value


@pytest.fixture
def two(repository: ThrowAwayRepository) -> list[str]:
    """Two commits that share most files."""
    shared = {f"folder{number}/file": b"%d" % number * 3000 for number in range(6)}
    first = repository.commit({**shared, "only": b"first"})
    return [first, repository.commit({**shared, "only": b"second", "more": b"x" * 100_000})]


def test_two_commits_to_one_layout_cache_and_repository(
    treeship: Treeship,
    repository: ThrowAwayRepository,
    two: list[str],
    tiny_base: Path,
    registry: InProcessRegistry,
) -> None:
    """50 times: all three are made anew in each fifth round, so that their making is contended too."""
    words = ("build", "--repo", repository.directory, "--base", f"oci:{tiny_base}", "--json")
    expected = [
        treeship(*words, commit, "--no-reuse", "--to", f"oci:alone:{commit}").json["digest"] for commit in two
    ]
    assert expected[0] != expected[1]
    for number in range(ROUNDS):
        place = number // 5
        layout, name = treeship.home / f"layout{place}", f"app{place}"
        commands: list[tuple[str | Path, ...]] = [
            (*words, commit, "--cache", treeship.home / f"cache{place}", *("--no-reuse" for _ in range(number % 2)),
             "--to", f"oci:{layout}:{commit}-{number}", "--to", f"{registry.host}/{name}:round-{number}-{commit[:8]}")
            for commit in two
        ]  # fmt: skip
        assert [done["digest"] for done in together(treeship, commands)] == expected
        assert [_named(layout)[f"{commit}-{number}"] for commit in two] == expected
        assert leftovers(layout) == []
        tags = registry.store.repository(name).tags
        assert [tags[f"round-{number}-{commit[:8]}"] for commit in two] == expected
        assert [tags[commit] for commit in two] == expected
    assert registry.store.incomplete() == []
    for layout in treeship.home.glob("layout*"):
        assert faults_of(layout) == []
        assert len(_named(layout)) == 10


def _named(layout: Path) -> dict[str, str]:
    index = json.loads((layout / "index.json").read_bytes())
    return {
        entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"]
        for entry in index["manifests"]
    }


def test_one_commit_many_times_at_once(
    treeship: Treeship,
    repository: ThrowAwayRepository,
    two: list[str],
    tiny_base: Path,
    registry: InProcessRegistry,
) -> None:
    """Nobody is told that the commit's tag has moved, since it has not."""
    for number in range(5):
        words = (
            "build", two[1], "--repo", repository.directory, "--base", f"oci:{tiny_base}", "--json",
            "--to", f"oci:same{number}:x", "--to", f"{registry.host}/same{number}:x",
        )  # fmt: skip
        digests = {done["digest"] for done in together(treeship, [words] * 4)}
        assert len(digests) == 1
        assert set(registry.store.repository(f"same{number}").tags.values()) == digests
        assert set(_named(treeship.home / f"same{number}").values()) == digests
        assert faults_of(treeship.home / f"same{number}") == []
    assert registry.store.incomplete() == []


def test_one_url_cloned_by_several_at_once(
    treeship: Treeship, repository: ThrowAwayRepository, two: list[str]
) -> None:
    """Different commits and the same; the first time, when there is no clone, and again when there is."""
    repository.git("branch", "old", two[0])
    wanted = ["main", "old", two[0], "main"]
    for _ in range(4):
        commands = [
            ("build", name, "--repo", repository.url, "--base", "scratch", "--json", "--to", f"oci:url{at}:x")
            for at, name in enumerate(wanted)
        ]
        assert [done["commit"] for done in together(treeship, commands)] == [two[1], two[0], two[0], two[1]]


def test_two_builds_race_for_a_tag_and_one_of_them_has_it(
    treeship: Treeship, repository: ThrowAwayRepository, two: list[str], registry: InProcessRegistry
) -> None:
    """A branch's tag may end at either commit, whole; the commits' own tags are both right."""
    for number in range(5):
        commands = [
            ("build", commit, "--repo", repository.directory, "--base", "scratch", "--json",
             "--to", f"{registry.host}/race:main{number}", "--to", f"oci:race:main{number}")
            for commit in two
        ]  # fmt: skip
        digests = [done["digest"] for done in together(treeship, commands)]
        tags = registry.store.repository("race").tags
        assert tags[f"main{number}"] in digests
        assert [tags[commit] for commit in two] == digests
        assert _named_once(treeship.home / "race", f"main{number}") in digests
    assert registry.store.incomplete() == []


def _named_once(layout: Path, tag: str) -> str:
    entries = json.loads((layout / "index.json").read_bytes())["manifests"]
    (found,) = [
        e for e in entries if e.get("annotations", {}).get("org.opencontainers.image.ref.name") == tag
    ]
    return str(found["digest"])
