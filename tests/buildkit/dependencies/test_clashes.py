"""Wheels that would write one path: refused, whoever comes first, unless the bytes are the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit.dependencies.clashes import Holding, refuse_clashes
from buildkit.errors import InvalidInput
from tests.buildkit.wheels.support import SITE, planned, wheel_bytes

PATHS = st.lists(st.sampled_from([b"a", b"b", b"a\nb", b"a.b", b"a-"]), min_size=1, max_size=3).map(b"/".join)
FILES = st.dictionaries(PATHS, st.sampled_from([b"one", b"two"]), max_size=4)


def holding(name: str, **files: str) -> Holding:
    """A wheel of these files; `__` stands for '/'."""
    return Holding(name, {path.replace("__", "/").encode(): text.encode() for path, text in files.items()})


def model(files: list[dict[bytes, bytes]]) -> bool:
    """Whether they can be unpacked over each other in any order, to the same tree."""
    contents: dict[bytes, set[bytes]] = {}
    for each in files:
        for path, content in each.items():
            contents.setdefault(path, set()).add(content)
    alone = all(len(found) == 1 for found in contents.values())
    return alone and not any(b.startswith(a + b"/") for a in contents for b in contents)


@settings(max_examples=300, deadline=None)
@given(st.lists(FILES, max_size=4))
def test_as_a_simple_model_says(files: list[dict[bytes, bytes]]) -> None:
    holdings = [Holding(f"w{number}", each) for number, each in enumerate(files)]
    try:
        refuse_clashes(holdings)
        refused = ""
    except InvalidInput as error:
        refused = str(error)
    assert bool(refused) is not model(files)
    try:
        refuse_clashes(reversed(holdings))
        backwards = ""
    except InvalidInput as error:
        backwards = str(error)
    assert backwards == refused, "the order of the wheels has no say"


def test_both_wheels_and_the_path_are_named() -> None:
    with pytest.raises(InvalidInput, match=r"a\.whl and b\.whl both write /x/y\.py, and not the same"):
        refuse_clashes([holding("b.whl", **{"x__y.py": "1"}), holding("a.whl", **{"x__y.py": "2"})])


def test_equal_files_are_allowed() -> None:
    refuse_clashes(
        [holding("a.whl", google____init__="1", google__a="2"), holding("b.whl", google____init__="1")]
    )


def test_a_file_of_one_that_is_a_folder_of_another() -> None:
    with pytest.raises(InvalidInput, match=r"a\.whl and b\.whl both write /x, and not the same"):
        refuse_clashes([holding("a.whl", x="1"), holding("b.whl", x__y__z="1")])


def test_two_wheels_of_one_name_are_compared_as_well() -> None:
    refuse_clashes([holding("a.whl", x="1"), holding("a.whl", y="1")])
    with pytest.raises(InvalidInput):
        refuse_clashes([holding("a.whl", x="1"), holding("a.whl", x="2")])


def test_a_path_with_a_line_feed_is_shown_on_one_line() -> None:
    with pytest.raises(InvalidInput) as caught:
        refuse_clashes([Holding("a", {b"x\n\x1b[2J": b"1"}), Holding("b", {b"x\n\x1b[2J": b"2"})])
    assert "\n" not in caught.value.what
    assert "\x1b" not in caught.value.what


def test_what_a_wheel_holds_is_what_it_would_install() -> None:
    plan = planned(wheel_bytes({"pkg/__init__.py": b"x", "pkg-1.0.data/scripts/run": b"#!python\n"}))
    found = Holding.of(plan)
    assert found.wheel == "pkg-1.0-py3-none-any.whl"
    assert set(found.files) == {file.path for file in plan.files}
    assert f"{SITE}/pkg/__init__.py".encode() in found.files
    other = Holding.of(planned(wheel_bytes({"pkg/__init__.py": b"y"})))
    same = Holding.of(planned(wheel_bytes({"pkg/__init__.py": b"x", "pkg/more.py": b""})))
    init = f"{SITE}/pkg/__init__.py".encode()
    assert found.files[init] == same.files[init] != other.files[init]


ANY_PATHS = st.binary(max_size=20).map(lambda path: path.replace(b"\0", b"\n"))
CONTENTS = st.binary(max_size=20).map(lambda content: content.replace(b"\0", b"\n"))


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=9, alphabet="abc-.\nä"), st.dictionaries(ANY_PATHS, CONTENTS, max_size=5))
def test_a_holding_comes_back_from_the_cache(wheel: str, files: dict[bytes, bytes]) -> None:
    made = Holding(wheel, files)
    assert Holding.load(made.dump()) == made


@settings(max_examples=200, deadline=None)
@given(st.binary())
def test_other_bytes_do_not_raise(data: bytes) -> None:
    found = Holding.load(data)
    assert found is None or found.wheel


@pytest.mark.parametrize("data", [b"", b"\0", b"\0a\0b", b"w\0a", b"w\0a\0b\0c"])
def test_damaged_ones_are_none(data: bytes) -> None:
    assert Holding.load(data) is None
