"""A uv.lock is the lock of the pyproject.toml beside it, or the build is refused."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from buildkit.errors import InvalidInput
from buildkit.wheels.locks.instep import check_in_step

ROOT = Path(__file__).parents[3]
# The words are uv's own (0.9 to 0.13): it sorts, and writes markers and some specifiers in another way.
PROJECT = """
[project]
name = "My.Proj"
requires-python = "~=3.11"
dependencies = [
    "idna>=3, <4; python_version >= '3.9' and sys_platform != 'win32'",
    "idna>=3.1; sys_platform == 'win32'",
    "Attrs", "b", "six",
]
[project.optional-dependencies]
x = ["Typing_Extensions==4.*"]
"Y.z" = ["my-proj[x]", "pluggy >=1.0.0,!=1.1; python_version < '3.13'"]
[dependency-groups]
dev = ["attrs~=23.0", {include-group = "Test"}]
test = ["pytest"]
[tool.uv]
dev-dependencies = ["iniconfig===2.0.0"]
[tool.uv.sources]
b = { workspace = true }
"""
LOCK = """
requires-python = ">=3.11, <4"
[[package]]
name = "my-proj"
source = { virtual = "." }
dependencies = [{ name = "attrs" }]
[package.metadata]
requires-dist = [
    { name = "attrs" },
    { name = "b", editable = "packages/b" },
    { name = "idna", marker = "sys_platform == 'win32'", specifier = ">=3.1" },
    { name = "idna", marker = "python_full_version >= '3.9' and sys_platform != 'win32'", specifier = ">=3,<4" },
    { name = "my-proj", extras = ["x"], marker = "extra == 'y-z'" },
    { name = "pluggy", marker = "python_full_version < '3.13' and extra == 'y-z'", specifier = ">=1.0.0,!=1.1" },
    { name = "six", path = "six-1.17.0-py2.py3-none-any.whl" },
    { name = "typing-extensions", marker = "extra == 'x'", specifier = "==4.*" },
]
provides-extras = ["x", "y-z"]
[package.metadata.requires-dev]
dev = [
    { name = "attrs", specifier = "~=23.0" },
    { name = "iniconfig", specifier = "===2.0.0" },
    { name = "pytest" },
]
test = [{ name = "pytest" }]
"""

# As uv wrote it before it kept what the project had required.
OLD = '[[package]]\nname = "a"\nsource = { virtual = "." }\ndependencies = [{ name = "b" }]\n'


def check(project: str, lock: str = LOCK) -> None:
    """As a build does."""
    check_in_step(tomllib.loads(project), tomllib.loads(lock), "uv.lock")


def test_what_uv_writes_of_a_project_is_in_step_with_it() -> None:
    check(PROJECT)


@pytest.mark.parametrize("folder", [".", "tests/end_to_end/locks/small"])
def test_locks_that_uv_made(folder: str) -> None:
    texts = [(ROOT / folder / name).read_text() for name in ("pyproject.toml", "uv.lock")]
    check(*texts)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('"Attrs", ', '"Attrs", "numpy>=2", ', "'numpy>=2', and was locked without it"),
        ('"Attrs", ', "", "'attrs', which the project does not require now"),
        ('"Attrs", ', '"Attrs>=23", ', "'Attrs>=23'"),
        ('"Attrs", ', '"Attrs[tests]", ', "'Attrs[tests]'"),
        (", <4;", ", <3.5;", "idna>=3, <3.5"),
        ("sys_platform != 'win32'", "sys_platform == 'linux'", "idna>=3, <4; python_version"),
        ("python_version < '3.13'", "python_version < '3.12'", "pluggy"),
        ("==4.*", "==4.1.*", "'Typing_Extensions==4.1.*'"),
        ("x = [", "w = [", "'Typing_Extensions==4.*'"),
        ("attrs~=23.0", "attrs~=23.1", "(group dev)"),
        ('{include-group = "Test"}', '"pytest>=8"', "(group dev)"),
        ('test = ["pytest"]', 'test = ["pytest"]\nmore = ["mypy"]', "(group more)"),
        ("iniconfig===2.0.0", "iniconfig", "(group dev)"),
        ("~=3.11", ">=3.12", "Python >=3.12, and was locked for >=3.11, <4"),
    ],
)
def test_what_is_required_otherwise_is_named_with_what_to_do(before: str, after: str, says: str) -> None:
    assert PROJECT.count(before) == 1
    with pytest.raises(InvalidInput) as caught:
        check(PROJECT.replace(before, after))
    assert "uv.lock is not in step with its pyproject.toml" in caught.value.what
    assert says in caught.value.what
    assert "uv lock" in caught.value.remedy


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"Attrs", ', '"attrs",'),
        (">=3, <4", "<4,>=3"),
        ("~=3.11", ">=3.11,<4"),
        ("Typing_Extensions", "typing.extensions"),
        ('"b",', '"b>=2",'),  # it comes from a workspace: its versions are that one's
        ("[tool.uv.sources]", "[tool.other]\nx = 1\n[tool.uv.sources]"),
    ],
)
def test_what_means_the_same_is_in_step(before: str, after: str) -> None:
    assert PROJECT.count(before) == 1
    check(PROJECT.replace(before, after))


@pytest.mark.parametrize(
    ("project", "lock"),
    [
        ('[project]\nname = "a"\ndynamic = ["dependencies"]\n', LOCK.replace("requires-dev", "other")),
        ('[tool.uv]\nworkspace = { members = ["b"] }\n', LOCK),
        (PROJECT.replace("~=3.11", ">=3.13"), LOCK + '[manifest]\nmembers = ["b", "my-proj"]\n'),
        (PROJECT, "version = 1\n"),
        ('[project]\nname = "a"\n', OLD),
    ],
    ids=["dynamic", "no project", "a workspace's Python", "an empty lock", "no metadata"],
)
def test_what_cannot_be_known_is_not_refused(project: str, lock: str) -> None:
    check(project, lock)


@pytest.mark.parametrize(
    "value", [3, "text", [1, None], {"a": 1}, [["x"]], ["not a requirement @@", "a" * 5000, "a; " + "(" * 3000]],
    ids=str,
)  # fmt: skip
def test_any_value_anywhere_ends_in_an_error_of_ours_or_in_none(value: Any) -> None:
    sound: list[Mapping[str, Any]] = [tomllib.loads(PROJECT), tomllib.loads(LOCK)]
    for at, keys in [
        (0, ("project",)), (0, ("project", "dependencies")), (0, ("project", "optional-dependencies")),
        (0, ("project", "requires-python")), (0, ("project", "dynamic")), (0, ("dependency-groups",)),
        (0, ("dependency-groups", "dev")), (0, ("tool", "uv")), (1, ("package",)), (1, ("requires-python",)),
        (1, ("manifest",)),
    ]:  # fmt: skip
        changed = [tomllib.loads(PROJECT), tomllib.loads(LOCK)]
        table = changed[at]
        for key in keys[:-1]:
            table = table[key]
        table[keys[-1]] = value
        try:
            check_in_step(changed[0], changed[1], "uv.lock")
        except InvalidInput:
            continue
    assert sound[0]["project"]["name"] == "My.Proj"


def test_groups_that_include_each_other_end() -> None:
    groups = '[dependency-groups]\na = [{include-group = "b"}]\nb = [{include-group = "a"}, "idna"]\n'
    with pytest.raises(InvalidInput):
        check('[project]\nname = "x"\n' + groups)
