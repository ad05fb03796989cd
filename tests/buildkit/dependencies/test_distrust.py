"""What is not what it was said to be: descriptions, files and hashes that lie are found before a layer leaves."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from buildkit.cache import Cache, NoCache
from buildkit.dependencies.known import look_up
from buildkit.dependencies.make import WheelMaker, ready_layers
from buildkit.endpoints import Blob
from buildkit.errors import CorruptContent, InvalidInput
from buildkit.image.digest import Digest
from buildkit.plan import Reason
from buildkit.spool import Spool, SpooledBlob
from buildkit.wheels.fetch.model import FetchedWheel
from buildkit.wheels.locks.model import LockedWheel
from tests.buildkit.dependencies.made import Made, content, known, plan_of, three
from tests.buildkit.dependencies.support import Shelf
from tests.buildkit.wheels.support import WHEEL, Part, row, wheel_bytes

LIES: Mapping[str, object] = {"digest": Digest.of(b"x"), "size": 1, "diff_id": Digest.of(b"x")}


@pytest.mark.parametrize("field", sorted(LIES))
def test_a_description_that_was_a_lie_is_found_when_the_layer_is_made_again(
    shelf: Shelf, tmp_path: Path, field: str
) -> None:
    """An ancestor's image said so; nothing of it may reach a registry."""
    honest = known(shelf, tmp_path)
    planned = [
        layer._replace(
            reason=Reason.ANCESTOR,
            slot=layer.slot._replace(written=layer.slot.written._replace(**{field: LIES[field]})),  # type: ignore[union-attr, arg-type]
        )
        for layer in honest.planned
    ]
    lying = Made(shelf, three(shelf), Cache(tmp_path / "cache"), planned=planned)
    for ready in lying.ready:
        with pytest.raises(CorruptContent, match=f"layer {ready[0].name} was described as") as caught:
            content(ready)
        assert "--no-reuse" in caught.value.remedy


class Exchanging(Shelf):
    """Somebody writes to a wheel when it has been fetched, and so verified."""

    def __init__(self, folder: Path, data: bytes) -> None:
        super().__init__(folder)
        self._data = data

    def fetch(self, wheels: Sequence[LockedWheel]) -> list[FetchedWheel]:
        found = super().fetch(wheels)
        for each in found:
            Path(each.path).write_bytes(self._data)
        return found


def test_a_wheel_that_is_changed_after_it_was_verified_is_noticed(tmp_path: Path) -> None:
    evil = wheel_bytes({"a.py": b"evil"}, name="a")
    shelf = Exchanging(tmp_path / "wheels", evil)
    with pytest.raises(CorruptContent, match="was changed after its hash was checked"):
        Made(shelf, plan_of(shelf.add("a")), Cache(tmp_path / "cache"))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


class Meddling(Spool):
    """Somebody writes to a wheel while a layer is made of it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def blob(self) -> SpooledBlob:
        data = self._path.read_bytes()
        self._path.write_bytes(data[:-2] + b"\1\0" + b"x")  # a comment behind the end
        return super().blob()


def test_a_wheel_that_is_changed_while_it_is_read_makes_no_layer(shelf: Shelf, tmp_path: Path) -> None:
    wheel = shelf.add("a")
    plan, cache, offered = plan_of(wheel), Cache(tmp_path / "cache"), list[Blob]()
    with (
        Meddling(shelf.folder / wheel.filename) as spool,
        pytest.raises(CorruptContent, match="was changed after"),
    ):
        ready_layers(shelf, cache, spool, [plan], look_up([plan], cache, dict), offered.append)
    assert offered == []
    assert cache.is_empty("wheel-layers")
    assert cache.is_empty("wheel-sets")


def test_an_error_is_not_hidden_by_what_it_left_open(shelf: Shelf, tmp_path: Path) -> None:
    wheel = shelf.add("a")
    before = len(os.listdir("/proc/self/fd"))

    def interrupted() -> None:
        with Spool() as spool:
            WheelMaker(shelf, NoCache(), spool).check(plan_of(wheel))
            (shelf.folder / wheel.filename).write_bytes(b"")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(os.listdir("/proc/self/fd")) == before


class Mistaken(Shelf):
    """Gives another file than the one that was asked for, with that one's own hash."""

    def _fetch(self, wheel: LockedWheel) -> FetchedWheel:
        other = super()._fetch(self.put(wheel.filename, wheel_bytes({"a.py": b"evil"}, name="a")))
        return other._replace(wheel=wheel)


def test_a_wheel_with_another_hash_than_the_key_s_is_never_used(tmp_path: Path) -> None:
    shelf = Mistaken(tmp_path / "wheels")
    with pytest.raises(CorruptContent, match=r"a-1\.0-py3-none-any\.whl"):
        Made(shelf, plan_of(shelf.add("a")), Cache(tmp_path / "cache"))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize(("name", "version"), [("other", "1.0"), ("a", "1.1"), ("a", "1.0.post1")])
def test_a_wheel_of_another_project_or_version_than_the_lock_says_is_refused(
    shelf: Shelf, name: str, version: str
) -> None:
    wheel = shelf.put("a-1.0-py3-none-any.whl", wheel_bytes({"a.py": b""}, name=name, version=version))
    with pytest.raises(
        InvalidInput, match=rf"a 1\.0 \(a-1\.0-py3-none-any\.whl\) is a wheel of {name} {version}"
    ):
        Made(shelf, plan_of(wheel), NoCache())


def test_names_and_versions_may_be_written_in_several_ways(shelf: Shelf) -> None:
    wheel = shelf.put("A_b.c-1.0-py3-none-any.whl", wheel_bytes({"a.py": b""}, name="A_b.c", version="1.0.0"))
    assert Made(shelf, plan_of(wheel._replace(name="a-b-c")), NoCache()).ready


def test_a_file_that_is_not_what_record_says_is_not_made_into_a_layer(shelf: Shelf, tmp_path: Path) -> None:
    record = "a.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,4\na-1.0.dist-info/RECORD,,\n"
    rows = wheel_bytes({"a.py": Part(b"evil")}, name="a", record=_with_rows(record))
    wheel = shelf.put("a-1.0-py3-none-any.whl", rows)
    cache = Cache(tmp_path / "cache")
    with pytest.raises(CorruptContent, match=r"a\.py"):
        Made(shelf, plan_of(wheel), cache)
    assert all(layer.slot.written is None for layer in look_up([plan_of(wheel)], cache, dict))


def _with_rows(record: str) -> str:
    """And those of what every wheel has."""
    metadata = b"Metadata-Version: 2.1\nName: a\nVersion: 1.0\n"
    described = row("a-1.0.dist-info/METADATA", metadata) + row(
        "a-1.0.dist-info/WHEEL", (WHEEL % "true").encode()
    )
    return described + record


def test_what_the_cache_says_of_a_wheel_may_be_damaged(shelf: Shelf, tmp_path: Path) -> None:
    class Damaged(Cache):
        def get(self, kind: str, name: str) -> bytes | None:
            return b"" if kind == "wheel-files" else None if kind == "wheel-sets" else super().get(kind, name)

    cache = Damaged(tmp_path / "cache")
    wheels = [shelf.add("a", {"shared.py": b"1"}), shelf.add("large", {"shared.py": b"2"})]
    with pytest.raises(InvalidInput, match="both write"):
        Made(shelf, plan_of(*wheels), cache)
