"""Slim rules: what each removes and leaves, that RECORD stays true, and that what is left can be imported."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.errors import InvalidInput
from buildkit.wheels.scheme import Scheme
from buildkit.wheels.slim import Removed, Slimmed, identity, slim, summary
from buildkit.wheels.slim_rules import RULES
from tests.buildkit.wheels.support import (
    DEBIAN,
    SITE,
    SPLIT,
    Part,
    layer,
    planned,
    unpacked,
    wheel_bytes,
)  # fmt: skip

INFO = "pkg-1.0.dist-info"
# Each rule: what it removes of a wheel, and what looks like it and stays.
CASES: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "tests": (
        ["pkg/tests/__init__.py", "pkg/tests/data/x.csv", "pkg/sub/tests/test_a.py", "pkg/conftest.py",
         "pkg/test/test_b.py", "pkg/test/__init__.py"],
        ["tests/__init__.py", "django/test/client.py", "pkg/testing/a.py", "pkg/tests.py", "conftest.py",
         "numpy/_core/tests/_natype.py", "astropy/tests/runner.py", "torch/a/tests/x.py"],
    ),
    "docs": (
        ["pkg/doc/a.rst", "pkg/sub/docs/b/c.html", "pkg-1.0.data/data/share/man/man1/p.1",
         "pkg-1.0.data/data/share/doc/pkg/x"],
        ["botocore/docs/a.txt", "botocore/docs/deep/b.py", "docs/a.rst", "pkg/docs.txt", f"{INFO}/docs/x"],
    ),
    "examples": (
        ["pkg/examples/a.py", "pkg/sub/example/b.txt"],
        ["pkg/taken/examples/__init__.py", "pkg/taken/examples/a.py", "examples/a.py"],
    ),
    "headers": (
        ["pkg/include/a.h", "pkg/include/thrust/vector", "pkg/b.cuh", "pkg-1.0.data/headers/c.hpp"],
        ["pkg/include/__init__.py", "pkg/include/x.so.1", "torch/include/a.h", "triton/backends/nvidia/include/cuda.h",
         "nvidia/cuda_runtime/include/cuda_fp16.h", "pkg/a.html"],
    ),
    "sources": (
        ["pkg/a.c", "pkg/b.pyx", "pkg/c.pxd", "pkg/d.cu", "pkg/e.f90"],
        ["pkg/a.css", "pkg/a.py", "triton/backends/nvidia/driver.c"],
    ),
    "static-libraries": (
        ["pkg/lib/liba.a", "pkg/b.lib"],
        ["pkg/lib/liba.so", "nvidia/cuda_runtime/lib/libcudadevrt.a"],
    ),
    "bytecode": (["pkg/a.pyc"], ["pkg/a.py", "pkg/only.pyc"]),
    "stubs": (["pkg/a.pyi"], ["pkg/__init__.pyi", "pkg/py.typed"]),
    "debug": (["pkg/x.so.debug", "pkg/x.dSYM/Contents/y"], ["pkg/1abc.pdb"]),
}  # fmt: skip


def wheel(*paths: str, **options: str) -> bytes:
    return wheel_bytes({path: Part(path.encode(), method=0) for path in paths}, **options)  # type: ignore[arg-type]


def inner(slimmed: Slimmed) -> set[str]:
    """What was removed, below site-packages or by its path in the image."""
    return {path.decode().removeprefix(SITE + "/") for each in slimmed.removed for path in each.paths}


@pytest.mark.parametrize("rule", RULES)
def test_what_a_rule_removes_and_what_it_leaves(rule: str) -> None:
    goes, stays = CASES[rule]
    found = slim(planned(wheel(*goes, *stays)), [rule])
    moved = {"pkg-1.0.data/data/": "usr/local/", "pkg-1.0.data/headers/": "usr/local/include/python3.11/pkg/"}
    expected = set(goes)
    for start, place in moved.items():
        expected = {place + path.removeprefix(start) if path.startswith(start) else path for path in expected}
    assert inner(found) == expected
    assert [each.rule for each in found.removed] == [rule]
    assert found.removed[0].size == sum(map(len, goes))


def test_every_rule_says_what_and_why() -> None:
    assert all(rule.removes and rule.why and all(rule.left.values()) for rule in RULES.values())
    assert list(CASES) == list(RULES)


@pytest.mark.parametrize("scheme", [DEBIAN, SPLIT])
def test_record_lists_what_is_installed(scheme: Scheme) -> None:
    paths = [path for goes, stays in CASES.values() for path in (*goes, *stays)]
    found = slim(planned(wheel(*paths, "pkg-1.0.data/purelib/pure/tests/x"), scheme), RULES)
    files = unpacked(layer(found.plan)[1])
    record = next(path for path in files if path.endswith(f"{INFO}/RECORD"))
    site = record.removesuffix(f"{INFO}/RECORD")
    rows = {row[0] for row in csv.reader(io.StringIO(files[record].content.decode()))}
    # As installers write them: what is elsewhere is relative to the folder of the .dist-info.
    assert {path.removeprefix(site) for path in files if path.startswith(site)} == {
        row for row in rows if not row.startswith("..")
    }
    assert len(rows) == len(files)


def test_record_is_what_a_plan_without_the_files_has() -> None:
    data = wheel("pkg/__init__.py", "pkg/tests/a.py", "pkg/b,c.h")
    kept = planned(data, keep=lambda _, path: not path.startswith("pkg/tests/") and not path.endswith(".h"))
    assert slim(planned(data), ["tests", "headers"]).plan.files == kept.files


def test_nothing_to_remove_leaves_the_plan_as_it_is() -> None:
    plan = planned(wheel("pkg/__init__.py"))
    assert slim(plan, RULES) == (plan, ())
    assert slim(plan, []) == (plan, ())


folders = st.lists(
    st.sampled_from(["pkg", "tests", "test", "docs", "include", "examples", "share", INFO]),
    min_size=1,
    max_size=4,
).map("/".join)
names = st.sampled_from(
    ["__init__.py", "a.py", "a.pyc", "b.h", "test_x.py", "c.a", "d.pyi", "METADATA", "x.so"]
)


@given(st.sets(st.tuples(folders, names), max_size=12), st.sets(st.sampled_from(sorted(RULES))))
def test_no_rule_removes_metadata_or_what_is_at_the_top(found: set[tuple[str, str]], rules: set[str]) -> None:
    members = {f"{folder}/{name}" for folder, name in found} | {"pkg/__init__.py"}
    members -= {f"{INFO}/METADATA"}
    plan = planned(wheel(*members))
    try:
        slimmed = slim(plan, rules)
    except InvalidInput:
        return
    gone = inner(slimmed)
    assert not [path for path in gone if path.startswith(f"{INFO}/") or path.count("/") == 0]
    assert not [path for path in gone if path.count("/") == 1 and path.endswith("/__init__.py")]
    left = {file.path for file in slimmed.plan.files}
    assert left.isdisjoint(path for each in slimmed.removed for path in each.paths)
    assert len(left) + len(gone) == len(plan.files)
    layer(slimmed.plan)


def test_patterns_keep_files() -> None:
    plan = planned(wheel("pkg/tests/a.txt", "pkg/tests/b.txt", "pkg/sub/tests/a.txt"))
    assert inner(slim(plan, ["tests"], ["/pkg/tests/"])) == {"pkg/sub/tests/a.txt"}
    assert inner(slim(plan, ["tests"], ["a.txt"])) == {"pkg/tests/b.txt"}


@pytest.mark.parametrize(
    ("members", "entry_points", "keep", "what"),
    [
        (
            ["pkg/tests/__init__.py", "pkg/tests/a.py"],
            None,
            ["a.py"],
            r"rule tests .* module pkg\.tests; other modules",
        ),
        (["pkg/tests/__init__.py", "pkg/tests/s/b.so"], None, ["b.so"], r"pkg\.tests; other"),
        (
            ["pkg/__init__.py", "pkg/tests/a.py"],
            "[console_scripts]\nrun = pkg.tests.a:main\n",
            [],
            r"pkg\.tests\.a; an entry point",
        ),
        (
            ["pkg/a.py", "pkg/tests/__init__.py"],
            "[pytest11]\nx = pkg.tests [extra]\n",
            [],
            r"pkg\.tests; an entry point",
        ),
        (["pkg/tests/a.py"], None, [], r"the module pkg; it is at the top"),
    ],
)
def test_what_would_break_imports_is_refused(
    members: list[str], entry_points: str | None, keep: list[str], what: str
) -> None:
    options = {} if entry_points is None else {"entry_points": entry_points}
    with pytest.raises(InvalidInput, match=what) as caught:
        slim(planned(wheel(*members, **options)), ["tests"], keep)
    assert caught.value.what.startswith("pkg-1.0-py3-none-any.whl: the slim rule tests")
    assert "keeps all of it" in caught.value.remedy


def test_entry_points_that_nothing_can_be_made_of_do_not_matter() -> None:
    plan = planned(wheel("pkg/__init__.py", "pkg/tests/a.py", entry_points="[x]\na = : []\nc=\n"))
    assert inner(slim(plan, ["tests"])) == {"pkg/tests/a.py"}


def test_folders_without_modules_may_go_altogether() -> None:
    found = slim(planned(wheel("cccl/include/cuda/std/atomic", "pkg/__init__.py")), ["headers"])
    assert inner(found) == {"cccl/include/cuda/std/atomic"}
    assert found.plan.top_level == ("pkg",)


def test_a_rule_that_is_none() -> None:
    with pytest.raises(InvalidInput, match="no slim rule 'test'") as caught:
        slim(planned(wheel()), ["headers", "test"])
    assert caught.value.remedy == "did you mean 'tests'?"
    with pytest.raises(InvalidInput, match="no slim rule 'zzzz'") as caught:
        identity(["zzzz"])
    assert "static-libraries" in caught.value.remedy


def test_the_identity_covers_rules_patterns_and_version() -> None:
    assert identity([]) == identity([], ["x"]) == ""
    assert (
        identity(["headers", "tests", "tests"])
        == identity(["tests", "headers"])
        == '[1,["tests","headers"],[]]'
    )
    assert identity(["tests"], ["a", "!b"]) == '[1,["tests"],["a","!b"]]'


def test_the_summary_is_bounded_and_adds_wheels_up() -> None:
    assert summary([]) == ""
    paths = tuple(b"%d" % number for number in range(2000))
    many = [Removed(rule, 10**15, paths) for rule in sorted(RULES)]
    text = summary(many + many)
    assert len(text) < 2048
    assert list(json.loads(text)) == list(RULES)
    one = json.loads(summary([Removed("tests", 1, (b"b",)), Removed("tests", 2, (b"a",))]))
    assert one == json.loads(summary([Removed("tests", 3, (b"a", b"b"))]))
    assert (one["tests"]["files"], one["tests"]["bytes"]) == (2, 3)
