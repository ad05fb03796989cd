"""`kill -9` during a first build of a lock, builds at the same time, and disks that are full."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from buildkit.testing.index import faults
from tests.end_to_end.complaints import complains
from tests.end_to_end.locked import Watched, Wheel, Yard, of_wheels, small_lock
from tests.end_to_end.test_concurrency import together
from tests.end_to_end.test_kill import nursery
from tests.rigs.small_disk import SmallDisk

POINTS = 10
ROUNDS = 10


def light_lock(**versions: str) -> list[Wheel]:
    """As `small_lock`, with less to write."""
    return [each for each in small_lock(**versions) if each.name != "alpha"]


def in_store(cache: Path) -> set[str]:
    """The wheels that have their name there."""
    return {path.name for path in (cache / "wheels").glob("??/*/*.whl")}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_first_build_killed_at_any_moment_is_taken_up_by_the_next(yard: Yard, seed: int) -> None:
    """50 points in all: half at a count of what it does to files, half after a time; each with a cache of its own.

    What was fetched is not fetched again, nothing incomplete has a tag, and what the caches hold is right: `check`
    computes the image again with the wheels that are there.
    """
    chance = random.Random(seed)
    yard.commit(light_lock())

    def words(at: int) -> tuple[str, ...]:
        return yard.words("build", "--cache", str(yard.treeship.home / f"cache{at}"), to=f"app{at}:main")

    with nursery(yard.treeship) as run:
        first = run(words(0))
        assert first.code == 0
        expected = yard.registry.store.repository("app0").tags["main"]
        assert first.seen > 30
        strokes = 0
        for at in range(1, POINTS + 1):
            died = run(words(at), at=chance.randint(1, first.seen)) if at % 2 else run(
                words(at), delay=chance.uniform(0.01, first.seconds)
            )  # fmt: skip
            assert died.code in (0, -signal.SIGKILL)
            strokes += died.code != 0
            assert yard.registry.store.incomplete() == []
            cache = yard.treeship.home / f"cache{at}"
            had = in_store(cache)
            with Watched(yard.index) as index:
                assert run(words(at)).code == 0
            assert had.isdisjoint(index.files), "what is whole is not fetched again"
            assert yard.registry.store.repository(f"app{at}").tags["main"] == expected
            assert list((cache / "wheels" / "incoming").iterdir()) == []
            assert in_store(cache) == {each.filename for each in light_lock()}
            again = (
                "check",
                yard.at(f"app{at}:main"),
                "--repo",
                str(yard.repository.directory),
                "--cache",
                str(cache),
            )
            with Watched(yard.index) as index:
                assert run(again).code == 0
            assert index.requests == []
        assert strokes > POINTS // 2
    assert yard.registry.store.incomplete() == []


def test_a_build_killed_between_two_wheels_resumes_with_the_others(yard: Yard) -> None:
    """The plain case of the above: some wheels came, the last one hangs."""
    wheels = light_lock()
    yard.commit(wheels)
    yard.index.files.pop("zeta-1.0-py3-none-any.whl")
    yard.index.faults.append(faults.Slow(30.0, "GET file", times=1))
    victim = yard.treeship.start(*yard.words())
    deadline = time.monotonic() + 30
    while len(in_store(yard.treeship.cache)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    victim.kill()
    victim.communicate()
    yard.index.faults.clear()
    yard.offer(wheels)
    had = in_store(yard.treeship.cache)
    assert len(had) >= 3
    with Watched(yard.index) as index:
        yard.build()
    assert set(index.files) == {each.filename for each in wheels} - had


def test_two_locks_at_once_with_one_cache_and_one_registry(yard: Yard) -> None:
    """Ten times from nothing: they share most wheels, and each image is what it is when built alone."""
    commits = [yard.commit(small_lock()), yard.commit(small_lock(beta="1.1", gamma="2.0"))]
    expected = [_alone(yard, commit) for commit in commits]
    assert expected[0] != expected[1]
    for number in range(ROUNDS):
        cache = str(yard.treeship.home / f"shared{number // 2}")
        commands: list[Sequence[str]] = [
            (*yard.words("build", commit, "--cache", cache, to=f"app{number}:{commit[:8]}"),)
            for commit in commits
        ]
        assert [done["digest"] for done in together(yard.treeship, commands)] == expected
        tags = yard.registry.store.repository(f"app{number}").tags
        assert [tags[commit] for commit in commits] == expected
    assert yard.registry.store.incomplete() == []
    for commit in commits:
        cache = str(yard.treeship.home / f"shared{(ROUNDS - 1) // 2}")
        yard.check(f"app{ROUNDS - 1}:{commit[:8]}", "--cache", cache)


def _alone(yard: Yard, commit: str) -> str:
    cache = str(yard.treeship.home / f"alone-{commit}")
    return str(yard.build(commit, "--cache", cache, to=f"alone:{commit[:8]}")["digest"])


def test_a_full_disk_under_the_cache(yard: Yard, small_disk: SmallDisk) -> None:
    """Wheels are kept there: exit code 4, which place is full, nothing half-pushed; with room the next run finishes."""
    yard.commit(small_lock())
    cache = small_disk.path / "cache"
    ran = yard.fails("--cache", str(cache))
    complains(ran, 4, str(cache), "free some space")
    assert yard.stored() == {}
    assert list((cache / "wheels" / "incoming").iterdir()) == []
    result = yard.build("--cache", str(yard.treeship.home / "roomy"))
    assert len(of_wheels(result)) == 5


def test_a_full_temporary_folder(yard: Yard, small_disk: SmallDisk) -> None:
    """Layers of the code wait there for their upload, as far as memory is not enough; those of wheels refer to them."""
    noise = random.Random(1).randbytes(10 << 20)
    yard.repository.git("config", "core.compression", "0")
    yard.commit(small_lock(), {f"noise{number}": noise[number:] for number in range(4)})
    ran = yard.fails("--to", "oci:layout:x", env={"TMPDIR": str(small_disk.path)})
    complains(ran, 4, "TMPDIR")
    assert list(small_disk.path.iterdir()) == []
    assert yard.stored() == {}
    assert not (yard.treeship.home / "layout" / "index.json").exists()


def test_a_cache_that_forgets_everything_but_its_wheels_fetches_none(yard: Yard) -> None:
    """The wheels stand by their hashes alone."""
    yard.commit(small_lock())
    first = yard.build()
    for path in yard.treeship.cache.iterdir():
        if path.name != "wheels":
            path.rename(yard.treeship.home / f"old-{path.name}")
    with Watched(yard.index) as index:
        again = yard.build()
    assert index.requests == []
    assert again["digest"] == first["digest"]


@pytest.mark.parametrize("what", ["wheel", "description"])
def test_a_damaged_cache_heals(yard: Yard, what: str) -> None:
    yard.commit(small_lock())
    first = yard.build()
    entries = (
        list((yard.treeship.cache / "wheels").glob("??/*/alpha*.whl"))
        if what == "wheel"
        else [path for path in (yard.treeship.cache / "v1").rglob("*") if path.is_file()]
    )
    assert entries
    for path in entries:
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    again = yard.build(to="other/app:main")
    assert again["digest"] == first["digest"]
    yard.check("other/app:main")
