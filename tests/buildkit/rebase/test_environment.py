"""Variables over two bases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.rebase.environment import Environment, merge

NAMES = st.sampled_from(["LANG", "HOME", "PATH", "PYTHONPATH", "EMPTY", "Ünicode"])
VALUES = st.sampled_from(["", "C", "/usr/bin", "/app:/usr/bin", "/opt/bin:/usr/bin", "a=b"])


def items(variables: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in variables.items()]


ENVIRONMENTS = st.dictionaries(NAMES, VALUES).map(items)


@given(base=ENVIRONMENTS, own=ENVIRONMENTS)
def test_over_the_same_base_nothing_changes(base: list[str], own: list[str]) -> None:
    assert merge(base, base, own) == Environment(tuple(own), ())


@given(old=ENVIRONMENTS, new=ENVIRONMENTS)
def test_an_image_that_changed_nothing_has_what_the_new_base_has(old: list[str], new: list[str]) -> None:
    assert merge(old, new, old) == Environment(tuple(new), ())


@given(old=ENVIRONMENTS, new=ENVIRONMENTS, own=ENVIRONMENTS)
def test_a_variable_is_somebodys_and_the_image_wins(old: list[str], new: list[str], own: list[str]) -> None:
    merged = merge(old, new, own)
    was, there, ours, found = (
        dict(each.split("=", 1) for each in side) for side in (old, new, own, merged.items)
    )
    for name in {*was, *there, *ours, *found}:
        if ours.get(name) == was.get(name):
            assert found.get(name) == there.get(name)
        elif there.get(name) in (was.get(name), ours.get(name)) and not name.endswith("PATH"):
            assert found.get(name) == ours.get(name)
        if name in merged.conflicts:
            assert found.get(name) == ours.get(name)


@pytest.mark.parametrize(
    ("old", "new", "own", "merged"),
    [
        ("PATH=/usr/bin", "PATH=/opt:/bin", "PATH=/app:/usr/bin", "PATH=/app:/opt:/bin"),
        ("PATH=/usr/bin", "PATH=/opt", "PATH=/usr/bin:/late", "PATH=/opt:/late"),
        ("PATH=/a:/b", "PATH=/c", "PATH=/x:/a:/b:/y", "PATH=/x:/c:/y"),
        ("PATH=/a", "PATH=/b", "PATH=/a:/x:/a", "PATH=/a:/x:/b"),
        ("LD_LIBRARY_PATH=/cuda-12.1", "LD_LIBRARY_PATH=/cuda-12.4", "LD_LIBRARY_PATH=/mine:/cuda-12.1",
         "LD_LIBRARY_PATH=/mine:/cuda-12.4"),
        ("PATH=/usr/bin", "PATH=", "PATH=/app:/usr/bin", "PATH=/app"),
    ],
)  # fmt: skip
def test_folders_around_the_bases_stay_around_the_new_ones(old: str, new: str, own: str, merged: str) -> None:
    assert merge([old], [new], [own]) == Environment((merged,), ())


def test_a_base_without_a_path_is_taken_to_have_the_usual_one() -> None:
    """As a build takes it."""
    usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert merge([], ["PATH=/new"], [f"PATH=/app:{usual}"]).items == ("PATH=/app:/new",)
    assert merge(["PATH=/old"], [], ["PATH=/app:/old"]).items == (f"PATH=/app:{usual}",)


def test_folders_that_are_no_longer_together_are_a_conflict() -> None:
    assert merge(["PATH=/a:/b"], ["PATH=/c"], ["PATH=/b:/a"]) == Environment(("PATH=/b:/a",), ("PATH",))
    assert merge(["PYTHONPATH=/a"], ["PYTHONPATH=/b"], ["PYTHONPATH=/app"]).conflicts == ("PYTHONPATH",)


def test_what_the_image_took_out_stays_out() -> None:
    assert merge(["A=1", "B=1"], ["A=1", "C=1"], ["B=1"]) == Environment(("C=1",), ())
    assert merge(["A=1"], ["A=2"], []) == Environment((), ("A",))


def test_the_order_is_a_builds_and_items_without_a_value_are_carried() -> None:
    merged = merge(["A=1", "B=1"], ["B=2", "Z", "A=1"], ["A=1", "B=1", "MINE=1", "B2"])
    assert merged.items == ("B=2", "Z", "A=1", "MINE=1", "B2")


def test_a_million_folders_take_no_time() -> None:
    many = ":".join(["/a"] * 500_000)
    assert merge([f"PATH={many}:/b"], ["PATH=/c"], [f"PATH=/x:{many}:{many}"]).conflicts == ("PATH",)
