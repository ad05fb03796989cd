"""What goes into an image as values: keys that cover what decides bytes, and what the base has already."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from buildkit.dependencies.partition import Scheme as Partition
from buildkit.dependencies.plan import (
    Carried,
    WheelLayer,
    WheelPlan,
    carried_and_left,
    has_sha256,
    lay_out,
    layer_key,
    sha256_of,
)
from buildkit.errors import InvalidInput
from buildkit.image.digest import Digest
from buildkit.layers import gzip
from buildkit.wheels.locks.model import LockedWheel
from buildkit.wheels.splice import recipe
from tests.buildkit.dependencies.support import OTHER, SLIM, interpreter, locked

SIX, IDNA, TORCH = locked("six"), locked("idna", "3.11"), locked("torch", "2.9.0", size=900 << 20)


def plan_of(*wheels: LockedWheel) -> WheelPlan:
    """A plan of these, whoever asked for them."""
    layers = lay_out(
        wheels, {each.name: each.size or 0 for each in wheels}, lambda _: False, SLIM, Partition()
    )
    why = {each.name: f"project → {each.name}" for each in wheels}
    return WheelPlan("env/pylock.toml", SLIM, layers, (Carried("pip", "24.0"),), why)


def test_the_key_is_of_the_bytes_the_place_and_the_recipe() -> None:
    key = layer_key([SIX, IDNA], SLIM)
    assert key == layer_key([IDNA, SIX], SLIM)
    other = IDNA._replace(hashes=("sha256:" + "0" * 64,))
    different = {layer_key([SIX], SLIM), layer_key([SIX, other], SLIM), layer_key([SIX, IDNA], OTHER), key}
    assert len(different) == 4
    assert all(layer_key([SIX], SLIM._replace(**{field: "/x"})) not in different for field in SLIM._fields)
    assert gzip.recipe() in recipe(), "a new compressor is another key"


def test_the_key_is_of_no_address() -> None:
    """What else the lock says of a wheel decides neither a byte of its layer nor what the layer says of itself."""
    elsewhere = SIX._replace(
        filename="six-9-py3-none-any.whl", url="https://x.example/y", path="p", index_url="i"
    )
    assert layer_key([elsewhere], SLIM) == layer_key([SIX], SLIM)


@pytest.mark.parametrize(
    "other", [SIX._replace(name="other"), SIX._replace(version="9"), SIX._replace(size=1)]
)
def test_a_lock_that_says_otherwise_of_a_wheel_does_not_find_its_layer(other: LockedWheel) -> None:
    """Else one commit could have a layer of X that says it is Y."""
    assert layer_key([other], SLIM) != layer_key([SIX], SLIM)


def test_a_plan_s_key_is_the_same_however_wheels_are_spread() -> None:
    made = plan_of(SIX, IDNA, TORCH)
    as_one = made._replace(layers=(WheelLayer("x", made.key, made.wheels),))
    assert as_one.key == made.key
    assert plan_of(SIX, IDNA).key != made.key


def test_the_layout_has_every_wheel_once_and_the_largest_lowest() -> None:
    made = plan_of(SIX, TORCH, IDNA)
    assert made.layers[0] == WheelLayer("wheel-torch", layer_key([TORCH], SLIM), (TORCH,))
    assert sorted(made.wheels) == sorted([SIX, TORCH, IDNA])
    assert made.layers == plan_of(TORCH, IDNA, SIX).layers


def test_extras_are_laid_out_apart() -> None:
    layers = lay_out([SIX, IDNA], {"six": 1, "idna": 1}, lambda name: name == "idna", SLIM, Partition())
    assert [(layer.name.partition("-")[0], [each.name for each in layer.wheels]) for layer in layers] == [
        ("wheels", ["six"]),
        ("extra", ["idna"]),
    ]


def test_a_sha256_is_found_among_other_hashes() -> None:
    both = SIX._replace(hashes=("sha512:" + "1" * 128, "sha256:" + "2" * 64))
    assert has_sha256(both)
    assert sha256_of(both) == "2" * 64
    assert not has_sha256(SIX._replace(hashes=("sha512:" + "1" * 128,)))
    assert not has_sha256(SIX._replace(hashes=("sha256:" + "1" * 64, "sha256:" + "2" * 64))), "which is it?"


@pytest.mark.parametrize(
    ("locked_version", "carried_version"),
    [
        ("1.0", "1.0"),
        ("1.0", "1.0.0"),
        ("1.0.0", "1.0"),
        ("1.0rc1", "1.0.rc1"),
        ("2.3.0+cu121", "2.3.0+cu121"),
    ],
)
def test_what_the_base_has_in_that_version_is_not_brought_again(
    locked_version: str, carried_version: str
) -> None:
    base = interpreter({"torch": (carried_version, "/opt/torch-1.dist-info")})
    wheel = locked("torch", locked_version)
    carried, left = carried_and_left([SIX, wheel], base, str)
    assert carried == [Carried("torch", carried_version)]
    assert left == [SIX]


@pytest.mark.parametrize(
    ("locked_version", "carried_version"),
    [
        ("1.0", "1.1"),
        ("1.0", "1.0.post1"),
        ("2.3.0", "2.3.0a0+40ec155e58.nv24.3"),
        ("2.3.0", "2.3.0+cu121"),
        ("2.3.0+cu118", "2.3.0+cu121"),
        ("1.0", "no version at all"),
    ],
)
def test_another_version_is_an_error_that_names_both_and_where_and_why(
    locked_version: str, carried_version: str
) -> None:
    base = interpreter({"torch": (carried_version, "/opt/lib/torch-x.dist-info")})
    with pytest.raises(InvalidInput) as caught:
        carried_and_left([locked("torch", locked_version)], base, lambda name: f"project → {name}")
    for word in (
        f"torch {locked_version}",
        f"torch {carried_version}",
        "/opt/lib/torch-x.dist-info",
        "project → torch",
    ):
        assert word in caught.value.what
    assert f"torch=={carried_version}" in caught.value.remedy


def test_versions_that_are_none_are_the_same_where_they_are_written_the_same() -> None:
    base = interpreter({"odd": ("2004d-x", "/opt/odd.egg-info")})
    assert carried_and_left([locked("odd", "2004d-x")], base, str)[0] == [Carried("odd", "2004d-x")]


def test_nothing_else_that_the_base_has_is_asked_for() -> None:
    base = interpreter({"pip": ("24.0", "/opt/pip-24.0.dist-info")})
    assert carried_and_left([SIX, IDNA], base, str) == ([], [SIX, IDNA])


TEXT = st.text(max_size=8)
WHEELS = st.builds(
    LockedWheel, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, st.none() | st.integers(0, 1 << 60),
    st.lists(TEXT, max_size=3).map(tuple),
)  # fmt: skip
LAYERS = st.builds(
    WheelLayer, TEXT, st.binary(max_size=4).map(Digest.of), st.lists(WHEELS, max_size=3).map(tuple)
)
PLANS = st.builds(
    WheelPlan, TEXT, st.just(SLIM), st.lists(LAYERS, max_size=3).map(tuple),
    st.lists(st.builds(Carried, TEXT, TEXT), max_size=2).map(tuple), st.dictionaries(TEXT, TEXT, max_size=3),
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(PLANS)
def test_a_plan_comes_back_from_the_cache(made: WheelPlan) -> None:
    assert WheelPlan.load(made.dump()) == made


@settings(max_examples=200, deadline=None)
@given(st.binary())
@example(b"")
@example(b"\xff")
@example(b"[" * 100_000)
@example(b"9" * 10_000)
def test_any_other_bytes_are_no_plan(data: bytes) -> None:
    assert WheelPlan.load(data) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.just(float("inf")) | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_plan_of_another_make_is_none(data: st.DataObject) -> None:
    """Whatever is changed: either it is a plan whose parts are of the right types, or there is none."""
    stored = json.loads(plan_of(SIX, TORCH).dump())
    spot: list[object] = stored
    for _ in range(data.draw(st.integers(0, 4))):
        inner = [each for each in spot if isinstance(each, list) and each]
        spot = data.draw(st.sampled_from(inner)) if inner else spot
    spot[data.draw(st.integers(0, len(spot) - 1))] = data.draw(JSON)
    found = WheelPlan.load(json.dumps(stored).encode())
    if found is not None:
        assert WheelPlan.load(found.dump()) == found
        assert all(type(text) is str for text in (found.lock, *found.scheme, *found.why, *found.why.values()))
        for wheel in found.wheels:
            assert all(type(text) is str for text in (*wheel[:6], *wheel.hashes))
            assert wheel.size is None or type(wheel.size) is int
