"""Layers of wheels are made once: the same bytes every time, nothing from wheels that clash or were changed."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path

import pytest

from buildkit.cache import Cache, NoCache
from buildkit.dependencies.known import look_up
from buildkit.dependencies.make import ready_layers
from buildkit.dependencies.partition import Scheme as Partition
from buildkit.dependencies.plan import WheelPlan, lay_out
from buildkit.endpoints import Blob
from buildkit.errors import InvalidInput
from buildkit.image.annotations import LAYER_PATHS, LAYER_WHEELS
from buildkit.image.digest import Digest
from buildkit.spool import Spool
from tests.buildkit.dependencies.made import Made, content, known, plan_of, three
from tests.buildkit.dependencies.support import OTHER, SITE, SLIM, Shelf
from tests.buildkit.wheels.support import unpacked


def test_wheels_become_layers_with_what_they_hold_written_on_them(shelf: Shelf) -> None:
    made = Made(shelf, three(shelf), NoCache())
    (large, open_large), (small, _) = made.ready
    assert (large.name, small.name) == ("wheel-large", "wheels-01")
    assert large.told == {LAYER_WHEELS: "large==1.0", LAYER_PATHS: "6"}
    assert small.told == {
        LAYER_WHEELS: "a==1.0 b==1.0",
        LAYER_PATHS: str(len(unpacked(made.read("wheels-01")))),
    }
    with open_large() as stream:
        blob = stream.read()
    assert (Digest.of(blob), len(blob)) == (large.written.digest, large.written.size)
    files = unpacked(made.read("wheels-01"))
    assert files[f"{SITE}/a.py"].content == b"NAME = 'a'\n"
    assert files["usr/local/bin/a"].content.startswith(b"#!/usr/local/bin/python3.12\n")


def test_the_bytes_are_the_same_every_time(shelf: Shelf, tmp_path: Path) -> None:
    first = Made(shelf, three(shelf), NoCache())
    assert Made(shelf, three(shelf), NoCache()).digests == first.digests
    assert Made(shelf, three(shelf), Cache(tmp_path / "cache")).digests == first.digests
    assert (
        Made(Shelf(tmp_path / "elsewhere"), three(Shelf(tmp_path / "elsewhere")), NoCache()).digests
        == first.digests
    )


def test_each_is_offered_as_soon_as_it_is_made(shelf: Shelf) -> None:
    made = Made(shelf, three(shelf), NoCache())
    assert sorted(blob.digest for blob in made.offered) == sorted(made.digests.values()), (
        "several are made at once"
    )
    for blob in made.offered:
        with blob.open() as stream:
            assert Digest.of(stream.read()) == blob.digest


def test_a_second_build_makes_nothing_and_opens_no_wheel(shelf: Shelf, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    first = Made(shelf, three(shelf), cache)
    plan = three(shelf)
    for path in shelf.folder.iterdir():
        path.unlink()
    second = Made(shelf, plan, cache)
    assert (second.made, second.fetched, second.offered) == ([], [], [])
    assert [layer for layer, _ in second.ready] == [layer for layer, _ in first.ready]


def test_a_change_of_one_wheel_makes_one_layer_of_its_own_wheels(shelf: Shelf, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    first = Made(shelf, three(shelf), cache)
    second = Made(shelf, three(shelf, b="1.1"), cache)
    assert second.made == ["wheels-01"]
    assert second.fetched == ["a", "b"], "the large one is known, also what it holds"
    assert second.digests["wheel-large"] == first.digests["wheel-large"]
    assert [blob.digest for blob in second.offered] == [second.digests["wheels-01"]]


def test_wheels_that_clash_leave_nothing_behind(shelf: Shelf, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    wheels = [shelf.add("a", {"shared.py": b"1"}), shelf.add("large", {"shared.py": b"2"})]
    offered: list[Blob] = []
    plan = plan_of(*wheels)
    for _ in range(2):
        with Spool() as spool, pytest.raises(InvalidInput) as caught:
            ready_layers(shelf, cache, spool, [plan], look_up([plan], cache, dict), offered.append)
        assert "a-1.0-py3-none-any.whl and large-1.0-py3-none-any.whl both write" in caught.value.what
        assert f"/{SITE}/shared.py" in caught.value.what
    assert offered == []
    assert Made(shelf, plan_of(wheels[0]), cache).made == ["wheels-01"], "no layer was made before the clash"


def test_a_clash_between_layers_that_are_known_is_found_as_well(shelf: Shelf, tmp_path: Path) -> None:
    """Each was in an image before, but never both in one."""
    cache = Cache(tmp_path / "cache")
    one, other = shelf.add("a", {"shared.py": b"1"}), shelf.add("large", {"shared.py": b"2"})
    for wheel in (one, other):
        Made(shelf, plan_of(wheel), cache)
    with pytest.raises(InvalidInput, match="both write"):
        Made(shelf, plan_of(one, other), cache)
    assert shelf.fetched == [], "what each holds was remembered"


def test_equal_files_in_two_layers_are_no_clash(shelf: Shelf) -> None:
    space = {"google/__init__.py": b"# a namespace\n"}
    wheels = [shelf.add("a", space | {"google/a.py": b""}), shelf.add("large", space | {"google/b.py": b""})]
    assert len(Made(shelf, plan_of(*wheels), NoCache()).ready) == 2


def test_images_that_share_no_wheels_may_have_what_clashes(shelf: Shelf) -> None:
    """Platforms have images of their own."""
    one, other = (
        plan_of(shelf.add("a", {"x.py": b"1"})),
        plan_of(shelf.add("large", {"x.py": b"2"}), scheme=OTHER),
    )
    assert len(Made(shelf, one, NoCache(), more=[other, None]).ready) == 2


def test_platforms_share_the_layers_of_their_common_wheels(shelf: Shelf) -> None:
    wheel = shelf.add("a")
    assert len(Made(shelf, plan_of(wheel), NoCache(), more=[plan_of(wheel)]).ready) == 1
    assert len(Made(shelf, plan_of(wheel), NoCache(), more=[plan_of(wheel, scheme=OTHER)]).ready) == 2


def test_a_layer_that_a_destination_turns_out_to_lack_is_made_again(shelf: Shelf, tmp_path: Path) -> None:
    made = known(shelf, tmp_path)
    assert made.made == []
    for ready in made.ready:
        for _ in range(2):
            assert Digest.of(content(ready)) == ready[0].written.digest


def test_it_is_made_again_from_any_thread(shelf: Shelf, tmp_path: Path) -> None:
    made = known(shelf, tmp_path)
    found: list[tuple[Digest, Digest]] = []
    threads = [
        threading.Thread(target=lambda each=each: found.append((Digest.of(content(each)), each[0].written.digest)))
        for each in made.ready * 4
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(one == other for one, other in found)


def test_more_wheels_than_a_process_may_have_files_open(shelf: Shelf, tmp_path: Path) -> None:
    wheels = [shelf.add(f"w{number}") for number in range(600)]
    layers = lay_out(
        wheels, dict.fromkeys((each.name for each in wheels), 1), lambda _: False, SLIM, Partition()
    )
    plan = WheelPlan("pylock.toml", SLIM, layers, (), {})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (550 + len(os.listdir("/proc/self/fd")), hard))
    try:
        made = Made(shelf, plan, Cache(tmp_path / "cache"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert sum(len(layer.wheels) for layer in made.planned) == 600
    assert len(made.ready) == 8
    assert Made(shelf, plan, Cache(tmp_path / "cache")).fetched == []
