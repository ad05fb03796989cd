"""Which wheels share a layer: one that changes takes no other with it, and there are never too many layers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit.dependencies.partition import MOST_LAYERS, SMALLEST_BIG, Scheme, Sized

MIB = 1 << 20
SCHEMES = st.sampled_from([Scheme(1), Scheme(2), Scheme(4)])
NAMES = st.integers(0, 5000).map("w{}".format)
FEWER = settings(max_examples=150, deadline=None)
SMALL = st.integers(0, SMALLEST_BIG - 1)
SIZES = SMALL | st.integers(SMALLEST_BIG, 4 << 30)


def sets(sizes: st.SearchStrategy[int] = SIZES, *, most: int = 60) -> st.SearchStrategy[list[Sized]]:
    """Wheels of distinct names."""
    wheel = st.builds(Sized, NAMES, sizes, st.booleans())
    return st.lists(wheel, max_size=most, unique_by=lambda each: each.name)


def layers(scheme: Scheme, wheels: Sequence[Sized]) -> dict[str, list[Sized]]:
    """By name."""
    return dict(scheme.groups(wheels))


def differing(one: dict[str, list[Sized]], other: dict[str, list[Sized]]) -> set[str]:
    """The layers that are not the same in both."""
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


@FEWER
@given(SCHEMES, sets())
def test_every_wheel_is_in_one_layer_and_no_layer_is_empty_or_one_too_many(
    scheme: Scheme, wheels: list[Sized]
) -> None:
    groups = scheme.groups(wheels)
    assert sorted(wheel for _, group in groups for wheel in group) == sorted(wheels)
    assert all(group for _, group in groups)
    assert len({name for name, _ in groups}) == len(groups) <= scheme.most_layers


@FEWER
@given(SCHEMES, sets(st.integers(SMALLEST_BIG, 1 << 40), most=200))
def test_there_are_not_too_many_layers_where_every_wheel_is_big(scheme: Scheme, wheels: list[Sized]) -> None:
    assert len(scheme.groups(wheels)) <= scheme.most_layers <= MOST_LAYERS


@FEWER
@given(SCHEMES, sets(), st.randoms())
def test_the_order_of_the_wheels_does_not_matter(scheme: Scheme, wheels: list[Sized], dice: object) -> None:
    shuffled = list(wheels)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert scheme.groups(shuffled) == scheme.groups(wheels)


@FEWER
@given(SCHEMES, sets(), st.data())
def test_another_version_of_about_the_same_size_changes_one_layer(
    scheme: Scheme, wheels: list[Sized], data: st.DataObject
) -> None:
    """Its size stays between the same powers of two; which layers there are, and their order, stays as well."""
    if not wheels:
        return
    at = data.draw(st.integers(0, len(wheels) - 1))
    before = wheels[at]
    low = 1 << before.size.bit_length() - 1 if before.size else 0
    after = before._replace(size=data.draw(st.integers(low, max(2 * low - 1, 0))))
    one, other = scheme.groups(wheels), scheme.groups([*wheels[:at], after, *wheels[at + 1 :]])
    assert [name for name, _ in one] == [name for name, _ in other]
    assert len(differing(dict(one), dict(other))) == (after != before)


@FEWER
@given(SCHEMES, sets(), st.builds(Sized, NAMES, SMALL, st.booleans()))
def test_one_small_wheel_more_or_less_changes_one_layer(
    scheme: Scheme, wheels: list[Sized], small: Sized
) -> None:
    others = [wheel for wheel in wheels if wheel.name != small.name]
    assert len(differing(layers(scheme, others), layers(scheme, [*others, small]))) == 1


@FEWER
@given(SCHEMES, sets())
def test_extras_have_layers_apart_and_change_no_layer_of_the_others(
    scheme: Scheme, wheels: list[Sized]
) -> None:
    """However large they are: variants of one commit share what they have in common."""
    groups = layers(scheme, wheels)
    assert all(len({wheel.extra for wheel in group}) == 1 for group in groups.values())
    own = layers(scheme, [wheel for wheel in wheels if not wheel.extra])
    assert {name: groups.get(name) for name in own} == own


@pytest.mark.parametrize("extra", [False, True])
@FEWER
@given(scheme=SCHEMES, wheels=sets())
def test_what_is_big_stands_alone_and_what_is_small_never_does_so_by_name(
    extra: bool, scheme: Scheme, wheels: list[Sized]
) -> None:
    for name, group in scheme.groups([wheel._replace(extra=extra) for wheel in wheels]):
        if name.startswith("wheel-"):
            assert [f"wheel-{wheel.name}" for wheel in group] == [name]
            assert group[0].size >= SMALLEST_BIG
        else:
            assert name.startswith("extra-" if extra else "wheels-")


def test_few_big_wheels_are_big_from_four_mebibytes_on() -> None:
    wheels = [Sized("torch", 800 * MIB), Sized("numpy", 4 * MIB), Sized("six", 4 * MIB - 1)]
    assert [name for name, _ in Scheme().groups(wheels)][:2] == ["wheel-torch", "wheel-numpy"]
    assert len(Scheme().groups(wheels)) == 3


def test_the_size_from_which_a_wheel_is_big_doubles_until_few_are() -> None:
    wheels = [Sized(f"a{number}", 4 * MIB) for number in range(20)]
    assert all(name.startswith("wheel-") for name, _ in Scheme().groups(wheels))
    more = [*wheels, Sized("b", 8 * MIB - 1), Sized("c", 8 * MIB)]
    assert [name for name, _ in Scheme().groups(more) if name.startswith("wheel-")] == ["wheel-c"]
    # With eleven that have eight, half as many layers need the next power.
    many = [*more, *(Sized(f"d{number}", 8 * MIB) for number in range(10)), Sized("e", 16 * MIB)]
    assert sum(name.startswith("wheel-") for name, _ in Scheme(1).groups(many)) == 12
    assert [name for name, _ in Scheme(2).groups(many) if name.startswith("wheel-")] == ["wheel-e"]


def test_the_largest_lie_lowest_then_the_small_then_the_extras() -> None:
    wheels = [
        Sized("extra", 10, extra=True), Sized("six", 10), Sized("numpy", 20 * MIB), Sized("torch", 800 * MIB),
        Sized("triton", 150 * MIB), Sized("nccl", 200 * MIB), Sized("pandas", 17 * MIB),
    ]  # fmt: skip
    names = [name for name, _ in Scheme().groups(wheels)]
    # 150 and 200 MiB are of one class, as are 20 and 17: a few bytes more move nothing.
    assert names[:5] == ["wheel-torch", "wheel-nccl", "wheel-triton", "wheel-numpy", "wheel-pandas"]
    assert [name.partition("-")[0] for name in names[5:]] == ["wheels", "extra"]


def test_a_base_with_many_layers_gets_fewer_of_wheels() -> None:
    assert [Scheme.for_room(room).fold for room in (1000, MOST_LAYERS, MOST_LAYERS - 1)] == [1, 1, 2]
    assert [Scheme.for_room(room).fold for room in (MOST_LAYERS // 2, MOST_LAYERS // 2 - 1)] == [2, 4]
    assert Scheme.for_room(-5).fold == 4
    assert [Scheme(fold).most_layers for fold in (1, 2, 4)] == [
        MOST_LAYERS,
        MOST_LAYERS // 2,
        MOST_LAYERS // 4,
    ]


def test_the_names_of_layers_are_for_ever() -> None:
    """They decide what shares a layer: where one moves, every image of everybody is made anew."""
    wheels = [Sized(name, 1000) for name in ("six", "idna", "requests", "urllib3", "certifi")]
    assert {wheel.name: name for name, group in Scheme().groups(wheels) for wheel in group} == {
        "certifi": "wheels-01", "requests": "wheels-01", "six": "wheels-03", "urllib3": "wheels-03",
        "idna": "wheels-06",
    }  # fmt: skip
