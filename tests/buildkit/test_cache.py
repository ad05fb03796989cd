"""The local cache: heals itself, is shared by any number of processes, and never fails a build."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.cache import Cache, NoCache, ReadOnlyCache
from buildkit.image.digest import Digest
from tests.rigs.small_disk import SmallDisk

NAME = "ab" * 32


def files_of(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


@given(st.dictionaries(st.from_regex("[a-z0-9]{2,9}", fullmatch=True), st.binary(max_size=200), max_size=5))
def test_what_was_put_is_got(tmp_path_factory: pytest.TempPathFactory, entries: dict[str, bytes]) -> None:
    cache = Cache(tmp_path_factory.mktemp("cache"))
    for name, data in entries.items():
        cache.put("kind", name, b"old")
        cache.put("kind", name, data)
    assert {name: cache.get("kind", name) for name in entries} == entries
    assert cache.get("other", "aa") is None


@pytest.mark.parametrize("damage", [b"", b"x", b"\0" * 100, None, b"a" * 64 + b"\ncontent"])
def test_a_damaged_entry_is_absent_and_makes_room_for_a_good_one(
    tmp_path: Path, damage: bytes | None
) -> None:
    cache = Cache(tmp_path)
    cache.put("kind", NAME, b"content")
    (path,) = files_of(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    assert cache.get("kind", NAME) is None
    assert files_of(tmp_path) == []
    cache.put("kind", NAME, b"content")
    assert cache.get("kind", NAME) == b"content"


def test_a_document_under_a_name_that_is_not_its_own_is_absent(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put_document(b"one")
    assert cache.get_document(Digest.of(b"one")) == b"one"
    cache.put("documents", Digest.of(b"two").hex, b"one")
    assert cache.get_document(Digest.of(b"two")) is None


def test_what_is_written_is_for_its_owner_alone(tmp_path: Path) -> None:
    Cache(tmp_path / "new" / "cache").put("kind", NAME, b"x")
    (path,) = files_of(tmp_path)
    assert path.parent.stat().st_mode & 0o077 == 0


def rewrite(directory: str, name: str, rounds: int) -> None:
    cache = Cache(Path(directory))
    for number in range(rounds):
        data = b"%d" % (number % 3) * 50_000
        cache.put("kind", name, data)
        found = cache.get("kind", name)
        assert found is None or len(set(found)) == 1, "a mixture"
        assert found is None or len(found) == 50_000


def test_processes_at_once_see_whole_entries(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=rewrite, args=(str(tmp_path), NAME, 200)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(files_of(tmp_path)) == 1


@pytest.mark.parametrize("obstacle", ["a file", "nowhere", "a folder in place of the entry"])
def test_a_cache_that_cannot_be_written_is_an_empty_one(tmp_path: Path, obstacle: str) -> None:
    directory = tmp_path / "cache"
    if obstacle == "a file":
        directory.write_bytes(b"")
    elif obstacle == "nowhere":
        directory = Path("/proc/nowhere")
    else:
        (directory / "v1/kind/ab" / NAME).mkdir(parents=True)
    cache = Cache(directory)
    cache.put("kind", NAME, b"x")
    cache.sweep()
    assert cache.get("kind", NAME) is None


def test_a_full_disk_is_no_error_and_leaves_nothing_half_written(small_disk: SmallDisk) -> None:
    cache = Cache(small_disk.path / "cache")
    for number in range(12):
        cache.put("kind", f"{number:02}", bytes(1 << 20))
    kept = [cache.get("kind", f"{number:02}") for number in range(12)]
    assert 4 <= sum(data is not None for data in kept) < 12
    assert all(data is None or data == bytes(1 << 20) for data in kept)
    assert len(files_of(small_disk.path)) == sum(data is not None for data in kept)


def test_what_nobody_used_for_a_month_goes_once_a_day(tmp_path: Path) -> None:
    cache, now = Cache(tmp_path), time.time()
    cache.put("kind", "old", b"1")
    cache.put("kind", "new", b"2")
    old = tmp_path / "v1/kind/ol/old"
    os.utime(old, (now - 31 * 86400,) * 2)
    cache.sweep(now)
    assert (cache.get("kind", "old"), cache.get("kind", "new")) == (None, b"2")
    cache.put("kind", "old", b"1")
    os.utime(old, (now - 31 * 86400,) * 2)
    cache.sweep(now + 3600)
    assert old.exists()
    cache.sweep(now + 2 * 86400)
    assert not old.exists()


def test_to_be_read_is_to_be_used(tmp_path: Path) -> None:
    cache, now = Cache(tmp_path), time.time()
    cache.put("kind", "old", b"1")
    os.utime(tmp_path / "v1/kind/ol/old", (now - 31 * 86400,) * 2)
    assert cache.get("kind", "old") == b"1"
    cache.sweep(now)
    assert cache.get("kind", "old") == b"1"


def test_members_which_are_large_are_kept_for_a_week_only(tmp_path: Path) -> None:
    cache, now = Cache(tmp_path), time.time()
    for kind in ("members", "layers"):
        cache.put(kind, "some", b"1")
        os.utime(tmp_path / f"v1/{kind}/so/some", (now - 8 * 86400,) * 2)
    cache.sweep(now)
    assert (cache.get("members", "some"), cache.get("layers", "some")) == (None, b"1")


def test_leftovers_of_killed_writers_go_too(tmp_path: Path) -> None:
    cache, now = Cache(tmp_path), time.time()
    cache.put("kind", NAME, b"1")
    leftover = tmp_path / "v1/kind/ab" / f"{NAME}.123.456"
    leftover.write_bytes(b"half")
    os.utime(leftover, (now - 31 * 86400,) * 2)
    cache.sweep(now)
    assert not leftover.exists()
    assert cache.get("kind", NAME) == b"1"


def test_those_who_must_not_write_do_not(tmp_path: Path) -> None:
    Cache(tmp_path).put("kind", NAME, b"1")
    reader = ReadOnlyCache(tmp_path)
    reader.put("kind", "cd", b"2")
    assert reader.get("kind", NAME) == b"1"
    (path,) = files_of(tmp_path)
    path.write_bytes(b"damaged")
    assert reader.get("kind", NAME) is None
    assert files_of(tmp_path) == [path]


def test_those_who_must_not_remember_do_not() -> None:
    cache = NoCache()
    cache.put("kind", NAME, b"1")
    cache.put_document(b"1")
    cache.sweep()
    assert cache.get("kind", NAME) is None
    assert cache.get_document(Digest.of(b"1")) is None
