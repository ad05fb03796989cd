"""Layers that were made before: the cache is believed, an ancestor's image where it says enough."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from buildkit.ancestors import Hint
from buildkit.cache import Cache, NoCache
from buildkit.dependencies.known import Known, look_up
from buildkit.dependencies.partition import Scheme as Partition
from buildkit.dependencies.plan import WheelLayer, WheelPlan, lay_out
from buildkit.image.annotations import LAYER_PATHS, LAYER_WHEELS
from buildkit.image.digest import Digest
from buildkit.layers.layer import Written
from buildkit.plan import PlannedWheel, Reason
from buildkit.wheels.scheme import Scheme
from tests.buildkit.dependencies.support import OTHER, SLIM, locked

MADE = Written(Digest.of(b"layer"), Digest.of(b"tar"), 1234)
SIX, TORCH = locked("six", "1.17.0", size=None), locked("torch", "2.9.0", size=900 << 20)
ORIGIN = ("registry.example", "team/project")


def plan_of(scheme: Scheme = SLIM) -> WheelPlan:
    """Two layers: torch, six."""
    layers = lay_out([SIX, TORCH], {"six": 1, "torch": 900 << 20}, lambda _: False, scheme, Partition())
    return WheelPlan("pylock.toml", scheme, layers, (), {"six": "project → six"})


def hint(layer: WheelLayer, **annotations: str) -> dict[Digest, Hint]:
    """What an ancestor's image says of this layer."""
    return {layer.key: Hint(layer.name, MADE, ORIGIN, annotations)}


def unasked() -> Mapping[Digest, Hint]:
    """Ancestors that nobody may need."""
    raise AssertionError("the cache knows it all")


def test_a_layer_that_nobody_knows_is_new_and_says_what_it_will_hold() -> None:
    torch, six = look_up([plan_of()], NoCache(), dict)
    assert (torch.reason, torch.slot.written, torch.slot.name) == (Reason.NEW, None, "wheel-torch")
    assert torch.wheels == (PlannedWheel("torch", "2.9.0", 900 << 20, ""),)
    assert six.wheels == (PlannedWheel("six", "1.17.0", 0, "project → six"),)
    assert torch.told == {LAYER_WHEELS: "torch==2.9.0"}


def test_what_the_cache_knows_nobody_else_is_asked_for(tmp_path: Path) -> None:
    cache, plan = Cache(tmp_path), plan_of()
    for layer in plan.layers:
        cache.put("wheel-layers", layer.key.hex, Known(MADE, {LAYER_PATHS: "42"}).dump())
    for found in look_up([plan], cache, unasked):
        assert (found.reason, found.slot.written, found.slot.paths) == (Reason.CACHED, MADE, 42)
        assert found.told[LAYER_PATHS] == "42"
        assert found.origin is None


def test_an_ancestors_image_is_believed_where_it_says_enough() -> None:
    plan = plan_of()
    torch = plan.layers[0]
    said = {LAYER_PATHS: "7", LAYER_WHEELS: "evil==1", "more": "x"}
    found, other = look_up([plan], NoCache(), lambda: hint(torch, **said))
    assert (found.reason, found.slot.written, found.slot.paths) == (Reason.ANCESTOR, MADE, 7)
    assert found.origin == ORIGIN
    assert found.told == {LAYER_PATHS: "7", LAYER_WHEELS: "torch==2.9.0"}, "only what cannot be known here"
    assert (other.reason, other.slot.written) == (Reason.NEW, None)


def test_one_that_says_too_little_is_made_anew() -> None:
    plan = plan_of()
    found = look_up([plan], NoCache(), lambda: hint(plan.layers[0]))[0]
    assert (found.reason, found.slot.written) == (Reason.CHANGED, None)


def test_the_cache_comes_first_and_the_ancestor_still_lends_its_blob(tmp_path: Path) -> None:
    cache, plan = Cache(tmp_path), plan_of()
    torch = plan.layers[0]
    known = Known(MADE._replace(size=5), {LAYER_PATHS: "1"})
    cache.put("wheel-layers", torch.key.hex, known.dump())
    found = look_up([plan], cache, lambda: hint(torch, **{LAYER_PATHS: "7"}))[0]
    assert (found.reason, found.slot.written, found.origin) == (Reason.CACHED, known.written, ORIGIN)


def test_a_layer_of_that_name_with_another_key_has_changed() -> None:
    plan = plan_of()
    other = plan.layers[0]._replace(key=Digest.of(b"before"))
    assert look_up([plan], NoCache(), lambda: hint(other))[0].reason is Reason.CHANGED


def test_platforms_share_layers_and_each_is_there_once() -> None:
    same, apart = (
        look_up([plan_of(), plan_of()], NoCache(), dict),
        look_up([plan_of(), plan_of(OTHER)], NoCache(), dict),
    )
    assert [layer.slot.name for layer in same] == ["wheel-torch", "wheels-03"]
    assert len({layer.slot.key for layer in apart}) == len(apart) == 4


@pytest.mark.parametrize("number", ["", "-1", "x", "²", "9" * 5000])
def test_a_number_of_files_that_is_none_is_not_believed(number: str) -> None:
    assert Known(MADE, {LAYER_PATHS: number}).paths == 0
    plan = plan_of()
    found = look_up([plan], NoCache(), lambda: hint(plan.layers[0], **{LAYER_PATHS: number}))[0]
    assert found.slot.paths == 0


def test_what_is_known_comes_back_from_the_cache() -> None:
    known = Known(MADE, {LAYER_PATHS: "42", "x": "ä"})
    assert Known.load(known.dump()) == known


@settings(max_examples=200, deadline=None)
@given(st.binary())
@example(b"")
@example(b"[" * 100_000)
@example(b'[["%s", "%s", Infinity], {}]' % (MADE.digest.encode(), MADE.diff_id.encode()))
@example(b'[["%s", "%s", -1], {}]' % (MADE.digest.encode(), MADE.diff_id.encode()))
@example(b'[["%s", "%s", 1], []]' % (MADE.digest.encode(), MADE.diff_id.encode()))
@example(b'[["%s", 1, 1], {}]' % MADE.digest.encode())
@example(b'[{"a": 1}, {}]')
@example(b"null")
def test_other_bytes_are_nothing_known(data: bytes) -> None:
    assert Known.load(data) is None


def test_a_damaged_entry_of_the_cache_is_as_if_there_were_none(tmp_path: Path) -> None:
    cache, plan = Cache(tmp_path), plan_of()
    for layer in plan.layers:
        cache.put("wheel-layers", layer.key.hex, b"of another make")
    assert [layer.reason for layer in look_up([plan], cache, dict)] == [Reason.NEW, Reason.NEW]
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1])
    assert [layer.reason for layer in look_up([plan], cache, dict)] == [Reason.NEW, Reason.NEW]
