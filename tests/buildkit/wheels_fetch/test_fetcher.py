"""Wheels come from the store, a wheelhouse, the commit or the network, in this order, and only with a locked hash."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from buildkit.cache import Cache, NoCache
from buildkit.errors import CorruptContent, InvalidInput, NotFound, Refused
from buildkit.testing.index import InProcessIndex, faults
from buildkit.wheels.fetch.model import Place
from buildkit.wheels.fetch.verified import opened
from tests.buildkit.wheels_fetch.support import (
    DEMO,
    Notes,
    content,
    digest,
    fetcher,
    leftovers,
    locked,
    of_index,
    store_of,
)

DATA = content("demo")
MANY = {f"pkg{at}-1.0-py3-none-any.whl": content(f"pkg{at}") for at in range(7)}


class Commit:
    """Files of a commit."""

    def __init__(self, **files: bytes) -> None:
        self.files = {"wheels/" + name.replace("__", "-") + ".whl": data for name, data in files.items()}

    def open(self, path: str) -> BinaryIO:
        if path not in self.files:
            raise NotFound(f"the commit has no {path}", "commit it")
        return io.BytesIO(self.files[path])

    def names(self, folder: str) -> Sequence[str]:
        return [path.rpartition("/")[2] for path in self.files if path.rpartition("/")[0] == folder]


def put(folder: Path, name: str, data: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    # As if it had been there for long: what has just changed is hashed each time.
    return folder / name


def test_wheels_come_in_the_order_of_the_lock_and_are_whole(tmp_path: Path) -> None:
    with InProcessIndex(MANY) as index, fetcher(tmp_path, hosts=[index.host]) as fetch:
        wheels = list(reversed(of_index(index)))
        found = fetch.fetch(wheels)
    assert [each.wheel for each in found] == wheels
    assert {each.place for each in found} == {Place.URL}
    for each in found:
        data = Path(each.path).read_bytes()
        assert (data, each.size) == (MANY[each.wheel.filename], len(data))
        assert digest(data) == f"sha256:{each.sha256}"
        with opened(each) as archive:
            assert archive.wheel == each.wheel.filename
            assert archive.members
    assert not leftovers(tmp_path)


def test_what_is_in_the_store_is_fetched_no_more(tmp_path: Path) -> None:
    with InProcessIndex(MANY) as index:
        wheels = of_index(index)
        with fetcher(tmp_path, hosts=[index.host]) as fetch:
            first = fetch.fetch(wheels)
            asked = len(index.log)
        with fetcher(tmp_path) as other:  # No host is needed, and none allowed.
            assert [each._replace(place=Place.URL) for each in other.fetch(wheels)] == first
    assert len(index.log) == asked == len(MANY)


def test_a_wheelhouse_is_used_in_place_and_before_the_network(tmp_path: Path) -> None:
    path = put(tmp_path / "house", DEMO, DATA)
    wheel = locked(DEMO, DATA, "https://files.pythonhosted.org/demo.whl")
    with fetcher(tmp_path, houses=[tmp_path / "none", path.parent], notes=(notes := Notes())) as fetch:
        [found] = fetch.fetch([wheel])
    assert (found.path, found.place) == (str(path), Place.WHEELHOUSE)
    assert notes == [f"the wheelhouse {tmp_path / 'none'} is not there"]
    assert not store_of(tmp_path).find(wheel)


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_a_wheel_of_the_name_with_other_bytes_is_left_alone(tmp_path: Path, size: int | None) -> None:
    path = put(tmp_path / "house", DEMO, content("demo", "2.0", size=10))
    with InProcessIndex({DEMO: DATA}) as index:
        with fetcher(tmp_path, hosts=[index.host], houses=[path.parent], notes=(notes := Notes())) as fetch:
            [found] = fetch.fetch(of_index(index, size=size))
    assert found.place == Place.URL
    assert len(notes) == 1
    assert str(path) in notes[0]


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/none", path)])
def test_a_wheelhouse_may_hold_anything(tmp_path: Path, make: object) -> None:
    (tmp_path / "house").mkdir()
    make(tmp_path / "house" / DEMO)  # type: ignore[operator]
    with InProcessIndex({DEMO: DATA}) as index:
        with fetcher(tmp_path, hosts=[index.host], houses=[tmp_path / "house"]) as fetch:
            assert fetch.fetch(of_index(index))[0].place == Place.URL


def test_a_link_in_a_wheelhouse_is_followed(tmp_path: Path) -> None:
    put(tmp_path / "real", "other-name", DATA)
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / DEMO).symlink_to(tmp_path / "real" / "other-name")
    with fetcher(tmp_path, houses=[tmp_path / "house"]) as fetch:
        assert fetch.fetch([locked(DEMO, DATA)])[0].place == Place.WHEELHOUSE


def test_a_wheel_of_the_commit_is_copied_into_the_store(tmp_path: Path) -> None:
    wheel = locked(DEMO, DATA, path=f"wheels/{DEMO}")
    with fetcher(tmp_path, local=Commit(**{DEMO.removesuffix(".whl"): DATA})) as fetch:
        [found] = fetch.fetch([wheel])
    assert found.place == Place.COMMIT
    assert Path(found.path).read_bytes() == DATA
    assert fetcher(tmp_path).fetch([wheel])[0].place == Place.STORE


def test_a_wheel_of_the_commit_that_is_another_or_longer_is_refused(tmp_path: Path) -> None:
    with fetcher(tmp_path, local=Commit(**{DEMO.removesuffix(".whl"): DATA + b"more"})) as fetch:
        with pytest.raises(CorruptContent, match=f"wheels/{DEMO} in the commit has more than"):
            fetch.fetch([locked(DEMO, DATA, path=f"wheels/{DEMO}", size=len(DATA))])
        with pytest.raises(CorruptContent, match=digest(DATA)):
            fetch.fetch([locked(DEMO, DATA, path=f"wheels/{DEMO}")])
        with pytest.raises(NotFound, match="no wheels/none"):
            fetch.fetch([locked(DEMO, DATA, path="wheels/none.whl")])
    assert not leftovers(tmp_path)
    assert not store_of(tmp_path).find(locked(DEMO, DATA))


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
def test_a_wrong_size_is_the_same_error_whether_the_wheel_is_in_the_store_or_not(
    tmp_path: Path, size: int
) -> None:
    """What is an error on a fresh runner is one on those that have the wheel from an earlier lock."""
    said = []
    with InProcessIndex({DEMO: DATA}) as index:
        [right], [wrong] = of_index(index), of_index(index, size=size)
        for _ in range(2):
            with fetcher(tmp_path, hosts=[index.host]) as fetch, pytest.raises(CorruptContent) as caught:
                fetch.fetch([wrong])
            said.append(str(caught.value))
            with fetcher(tmp_path, hosts=[index.host]) as fetch:
                fetch.fetch([right])
    assert said[0] == said[1]
    assert f"{size} are locked" in said[0]
    assert store_of(tmp_path).find(right), "the wheel itself stays"


def test_a_wheel_of_the_commit_that_is_shorter_than_locked_is_refused(tmp_path: Path) -> None:
    wheel = locked(DEMO, DATA, path=f"wheels/{DEMO}", size=len(DATA) + 1)
    with fetcher(tmp_path, local=Commit(**{DEMO.removesuffix(".whl"): DATA})) as fetch:
        with pytest.raises(CorruptContent, match=f"has {len(DATA)} bytes, and {len(DATA) + 1} are locked"):
            fetch.fetch([wheel])
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("kinds", [("sha512",), ("sha384", "sha512"), ("sha256", "sha512")])
def test_any_strong_hash_of_a_lock_will_do(tmp_path: Path, kinds: Sequence[str]) -> None:
    with InProcessIndex({DEMO: DATA}) as index:
        wheels = of_index(index, hashes=tuple(digest(DATA, kind) for kind in kinds))
        for _ in range(2):
            with fetcher(tmp_path, hosts=[index.host]) as fetch:
                assert f"sha256:{fetch.fetch(wheels)[0].sha256}" == digest(DATA)
        assert len(index.log) == 1, "it is found again by its other hash"
        with fetcher(tmp_path, hosts=[index.host]) as fetch, pytest.raises(CorruptContent, match="sha512:00"):
            fetch.fetch([wheels[0]._replace(hashes=("sha512:" + "00" * 64,))])


def test_one_of_several_hashes_is_enough(tmp_path: Path) -> None:
    hashes = ("sha256:" + "00" * 32, digest(DATA), "sha256:" + "ff" * 32)
    with InProcessIndex({DEMO: DATA}) as index, fetcher(tmp_path, hosts=[index.host]) as fetch:
        assert f"sha256:{fetch.fetch(of_index(index, hashes=hashes))[0].sha256}" == digest(DATA)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"hashes": ()}, "has no sha256"),
        ({"hashes": ("md5:" + "0" * 32,)}, "has no sha256"),
        ({"filename": "../../../etc/demo-1.0-py3-none-any.whl"}, "not the name of a wheel"),
        ({"filename": "demo-1.0.tar.gz"}, "not the name of a wheel"),
        ({"url": ""}, "does not say where it is"),
        ({"url": "file:///etc/passwd"}, "not an https:// URL"),
        ({"url": "https://files.pythonhosted.org:99999/x"}, "not an https:// URL"),
        ({"url": "https://me:hidden@files.pythonhosted.org/x"}, "has credentials"),
    ],
)
def test_what_a_lock_may_not_say(tmp_path: Path, fields: dict[str, object], fault: str) -> None:
    wheel = locked(DEMO, DATA, "https://files.pythonhosted.org/x")._replace(**fields)  # type: ignore[arg-type]
    with fetcher(tmp_path) as fetch, pytest.raises(InvalidInput, match=fault) as caught:
        fetch.fetch([wheel])
    assert "hidden" not in str(caught.value)


def test_the_error_is_that_of_the_first_wheel_whichever_thread_is_faster(tmp_path: Path) -> None:
    with InProcessIndex(MANY) as index:
        wheels = of_index(index)
        gone = [wheels[2], wheels[4], wheels[5]]
        for each in gone:
            del index.files[each.filename]
        # The first one that fails is the slowest to answer.
        index.on_request(lambda _, exchange: index.wait(0.3) if gone[0].filename in exchange.path else None)
        for attempt in range(3):
            with fetcher(tmp_path / str(attempt), hosts=[index.host], jobs=7) as fetch:
                with pytest.raises(NotFound, match="pkg2"):
                    fetch.fetch(wheels)


def test_what_came_before_an_error_stays(tmp_path: Path) -> None:
    with InProcessIndex(MANY, faults=[faults.Status(404, "GET file", skip=3)]) as index:
        with fetcher(tmp_path, hosts=[index.host], jobs=1) as fetch, pytest.raises(NotFound):
            fetch.fetch(of_index(index))
        index.faults.clear()
        with fetcher(tmp_path, hosts=[index.host], jobs=1) as fetch:
            assert [each.place for each in fetch.fetch(of_index(index))] == [Place.STORE] * 3 + [
                Place.URL
            ] * 4


def test_without_a_cache_everything_is_hashed_again_and_nothing_is_fetched_twice(tmp_path: Path) -> None:
    with InProcessIndex(MANY) as index:
        for _ in range(2):
            with fetcher(tmp_path, hosts=[index.host], cache=NoCache()) as fetch:
                fetch.fetch(of_index(index))
    assert len(index.log) == len(MANY)


def test_a_refusal_names_host_wheel_and_remedy(tmp_path: Path) -> None:
    wheel = locked(DEMO, DATA, "https://evil.example/demo.whl")
    with fetcher(tmp_path, cache=Cache(tmp_path)) as fetch, pytest.raises(Refused) as caught:
        fetch.fetch([wheel])
    assert caught.value.exit_code == 3
    assert "demo 1.0" in caught.value.what
    assert "evil.example" in caught.value.what
    assert "wheels.hosts" in caught.value.remedy
    assert "wheels.index" in caught.value.remedy
