"""The store: whole or absent, shared by processes, healed, swept; and when a hash counts as known."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from buildkit import files
from buildkit.cache import Cache, NoCache
from buildkit.errors import CorruptContent, NotFound, Unavailable
from buildkit.testing.index import InProcessIndex
from buildkit.wheels.fetch.model import FetchedWheel, Place, Stamp
from buildkit.wheels.fetch.store import WheelStore
from buildkit.wheels.fetch.verified import Hashes, opened
from buildkit.wheels.locks.model import LockedWheel
from tests.buildkit.wheels_fetch.support import (
    DEMO,
    content,
    digest,
    fetcher,
    leftovers,
    locked,
    of_index,
    store_of,
)
from tests.rigs.small_disk import SmallDisk
from tests.sources import ROOT

DATA = content("demo")
WHEEL = locked(DEMO, DATA)
DAY = 86400.0


class Counted(Cache):
    """Counts what it did not know."""

    missed = 0

    def get(self, kind: str, name: str) -> bytes | None:
        found = super().get(kind, name)
        self.missed += found is None
        return found


def kept(store: WheelStore, data: bytes = DATA, wheel: LockedWheel = WHEEL) -> FetchedWheel:
    """The wheel, put into the store."""
    with store.landing(wheel) as landing:
        landing.write(data[:7])
        landing.write(data[7:])
        return store.keep(landing, "a test", Place.URL)


def test_a_wheel_is_by_its_hash_and_read_only(tmp_path: Path) -> None:
    found = kept(store_of(tmp_path))
    name = digest(DATA).removeprefix("sha256:")
    assert found.path == str(tmp_path / "wheels" / name[:2] / name / DEMO)
    assert os.stat(found.path).st_mode & 0o777 == 0o444
    assert os.stat(tmp_path / "wheels").st_mode & 0o777 == 0o700


def test_what_was_hashed_on_its_way_in_is_not_hashed_again(tmp_path: Path) -> None:
    kept(store_of(tmp_path))
    cache = Counted(tmp_path)
    store = store_of(tmp_path, cache)
    assert store.find(WHEEL)
    assert cache.missed == 0


def test_what_is_not_known_is_hashed_once_and_then_known(tmp_path: Path) -> None:
    found = kept(store_of(tmp_path, NoCache()))
    old = time.time() - 10
    os.utime(found.path, (old, old))
    time.sleep(2.1)  # A file that has just changed is not remembered: it may change again unnoticed.
    cache = Counted(tmp_path)
    for missed in (1, 1):
        assert store_of(tmp_path, cache).find(WHEEL)
        assert cache.missed == missed


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path: Path) -> None:
    (tmp_path / DEMO).write_bytes(DATA)
    hashes = Hashes(Cache(tmp_path / "cache"))
    with files.open_plain(str(tmp_path / DEMO)) as file:
        stamp, found = hashes.of(file.fileno(), "x", {"sha256"})
    assert found == {digest(DATA)}
    assert not hashes.known("x", stamp)


@pytest.mark.parametrize("change", ["flipped", "cut", "longer", "empty", "folder", "link", "fifo"])
@pytest.mark.parametrize("known", [True, False])
def test_what_is_damaged_goes_and_comes_again(tmp_path: Path, change: str, known: bool) -> None:
    found = kept(store_of(tmp_path))
    path = Path(found.path)
    path.chmod(0o644)
    changed = {"flipped": b"?" + DATA[1:], "cut": DATA[:-1], "longer": DATA + b"?", "empty": b""}
    if change in changed:
        path.write_bytes(changed[change])
    else:
        path.unlink()
        make = {"folder": os.mkdir, "link": lambda path: os.symlink("/dev/zero", path), "fifo": os.mkfifo}
        make[change](path)
    store = store_of(tmp_path, None if known else NoCache())
    assert store.find(WHEEL) is None
    again = kept(store)
    assert Path(again.path).read_bytes() == DATA
    assert store.find(WHEEL)


def test_a_change_that_sets_its_time_back_is_noticed(tmp_path: Path) -> None:
    found = kept(store_of(tmp_path))
    os.chmod(found.path, 0o644)
    Path(found.path).write_bytes(b"?" + DATA[1:])
    os.utime(found.path, ns=(found.stamp.modified, found.stamp.modified))
    assert store_of(tmp_path).find(WHEEL) is None


def test_a_wheel_under_a_wrong_hash_is_none(tmp_path: Path) -> None:
    found = kept(store_of(tmp_path))
    other = locked(DEMO, b"other")
    name = other.hashes[0].removeprefix("sha256:")
    path = tmp_path / "wheels" / name[:2] / name / DEMO
    path.parent.mkdir(parents=True)
    os.rename(found.path, path)
    assert store_of(tmp_path).find(other) is None
    assert not path.exists()


def test_a_lock_that_names_others_hashes_evicts_nothing(tmp_path: Path) -> None:
    """A commit may name any hash beside that of its own wheel. Were it remembered that these are one file, the next
    lock that really means the other would find this one, and take it for damaged."""
    foreign = digest(b"another wheel", "sha512")
    mixed = WHEEL._replace(hashes=(*WHEEL.hashes, foreign))
    found = kept(store_of(tmp_path), wheel=mixed)
    other = WHEEL._replace(hashes=(foreign,))
    assert store_of(tmp_path).find(other) is None
    assert store_of(tmp_path)._paths(other) == []
    assert os.path.exists(found.path)


def test_a_file_that_is_what_its_path_says_stays_whatever_a_lock_says(tmp_path: Path) -> None:
    found = kept(store_of(tmp_path))
    foreign = digest(b"another wheel", "sha512")
    Cache(tmp_path).put("wheelnames", foreign.partition(":")[2], found.sha256.encode())
    assert store_of(tmp_path).find(WHEEL._replace(hashes=(foreign,))) is None
    assert store_of(tmp_path).find(WHEEL)


def test_many_threads_and_stores_may_keep_the_same_wheel(tmp_path: Path) -> None:
    def work(_: int) -> FetchedWheel:
        found = kept(store_of(tmp_path))
        with opened(found) as archive:
            assert archive.members
        return found

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(64)))
    assert len({(each.path, each.stamp) for each in found}) == 1
    assert not leftovers(tmp_path)


def test_what_changes_between_check_and_use_is_an_error(tmp_path: Path) -> None:
    found = kept(store_of(tmp_path))
    os.chmod(found.path, 0o644)
    with opened(found):
        pass  # Another stamp, the same bytes: hashed again, and right.
    with opened(found) as archive:
        assert archive.read_at(0, 4) == DATA[:4]
        os.chmod(found.path, 0o600)
        assert archive.read_at(0, 4) == DATA[:4]
        with open(found.path, "r+b") as file:
            file.write(b"?")
        with pytest.raises(CorruptContent, match="changed after its hash was checked"):
            archive.read_at(100, 4)
    with pytest.raises(CorruptContent, match="changed after its hash was checked"), opened(found):
        raise AssertionError("not reached")
    os.unlink(found.path)
    with pytest.raises(NotFound), opened(found):
        raise AssertionError("not reached")


def test_a_file_that_is_written_to_while_it_is_hashed_is_no_file_to_use(tmp_path: Path) -> None:
    class Writes(Cache):
        """Somebody writes to the file just after its stamp was taken."""

        def get(self, kind: str, name: str) -> bytes | None:
            (tmp_path / DEMO).write_bytes(DATA + b"?")
            return None

    (tmp_path / DEMO).write_bytes(DATA)
    with (
        files.open_plain(str(tmp_path / DEMO)) as file,
        pytest.raises(CorruptContent, match="while it was read"),
    ):
        Hashes(Writes(tmp_path / "cache")).of(file.fileno(), DEMO, {"sha256"})


def test_nothing_of_a_landing_that_is_left_stays(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    with store.landing(WHEEL) as landing:
        landing.write(DATA)
    assert not leftovers(tmp_path)
    assert not store.find(WHEEL)


def test_what_nobody_has_used_for_long_is_swept(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    old, new = kept(store), kept(store, content("new"), locked("new-1.0-py3-none-any.whl", content("new")))
    month = time.time() - 31 * DAY
    os.utime(Path(old.path).parent, (month, month))
    store.sweep()
    assert [os.path.exists(each.path) for each in (old, new)] == [False, True]
    os.utime(Path(new.path).parent, (month, month))
    store.sweep()
    assert os.path.exists(new.path), "once a day is enough"
    assert store.find(new.wheel)
    store.sweep(time.time() + 2 * DAY)
    assert os.path.exists(new.path), "it has been used meanwhile"
    store.sweep(time.time() + 40 * DAY)
    assert not os.path.exists(new.path)


KILLED = """
import sys
from pathlib import Path
from buildkit.wheels.locks.model import LockedWheel
from tests.buildkit.wheels_fetch.support import fetcher
folder, host, *lines = sys.argv[1:]
wheels = [LockedWheel(*line.split("|")[:4], hashes=(line.split("|")[4],)) for line in lines]
with fetcher(Path(folder), hosts=[host]) as fetch:
    fetch.fetch(wheels)
"""


@pytest.fixture(scope="module")
def several() -> Iterator[InProcessIndex]:
    names = [f"w{at}-1.0-py3-none-any.whl" for at in range(8)]
    with InProcessIndex({name: content(name[:2], size=400_000) for name in names}) as index:
        yield index


@pytest.mark.parametrize("seed", range(6))
def test_a_process_killed_at_any_time_leaves_nothing_half_written(
    tmp_path: Path, several: InProcessIndex, seed: int
) -> None:
    wheels = of_index(several)
    lines = ["|".join((*each[:4], each.hashes[0])) for each in wheels]
    several.log.clear()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), several.host, *lines], cwd=ROOT, stderr=subprocess.PIPE
    )
    moment = random.Random(seed)
    while not several.log and process.poll() is None:
        time.sleep(0.001)
    time.sleep(moment.uniform(0, 0.06))
    process.send_signal(signal.SIGKILL)
    process.communicate()

    for path in (tmp_path / "wheels").rglob("*.whl"):
        assert digest(path.read_bytes()) == f"sha256:{path.parent.name}"
    there = [each for each in wheels if store_of(tmp_path).find(each)]
    several.log.clear()
    with fetcher(tmp_path, hosts=[several.host]) as fetch:
        assert len(fetch.fetch(wheels)) == len(wheels)
    assert len(several.log) == len(wheels) - len(there), "what was whole is not fetched again"
    assert not leftovers(tmp_path)


def test_a_full_disk_is_said_and_nothing_half_written_stays(tmp_path: Path, small_disk: SmallDisk) -> None:
    small = locked("small-1.0-py3-none-any.whl", content("small"))
    folder = small_disk.path / tmp_path.name
    with InProcessIndex({DEMO: content("demo", size=40 << 20), small.filename: content("small")}) as index:
        with fetcher(folder, hosts=[index.host]) as fetch:
            with pytest.raises(Unavailable, match=r"(?s)No space left.*free some space") as caught:
                fetch.fetch([each for each in of_index(index) if each.filename == DEMO])
            assert caught.value.exit_code == 4
            assert not leftovers(folder)
            assert fetch.fetch([each for each in of_index(index) if each.filename != DEMO])


def test_a_stamp_is_all_that_the_system_says(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    found = os.stat(tmp_path / "a")
    assert Stamp.of(found) == (found.st_dev, found.st_ino, len(DATA), found.st_mtime_ns, found.st_ctime_ns)
