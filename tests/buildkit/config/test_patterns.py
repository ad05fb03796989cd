"""Patterns mean what git takes them to mean; git itself is asked."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildkit.config.patterns import PatternSet, select

PIECES = ["a", "b", "ab", "*", "**", "***", "?", "/", "/", "[ab]", "[!a]", "[^-a]", "[]a]", "[a-c]", "[[:alpha:]]",
          "[[:x:]]", "[", "]", "-", "!", "#", ".", " ", "\\a", "\\*", "\\ ", "\\/", "\\", "*a", "é", "x"]  # fmt: skip
NAMES = [b"a", b"b", b"ab", b"ba", b"abc", b"a\xc3\xa9", b"\xe9", b"*", b"[a]", b" a", b"a ", b"-", b"]", b"!a", b"#a",
         b"a\\", b"x.y", b"a\nb"]  # fmt: skip
patterns = st.lists(
    st.tuples(st.sampled_from(["", "", "", "!"]), st.lists(st.sampled_from(PIECES), min_size=1, max_size=6))
    .map(lambda parts: parts[0] + "".join(parts[1]))
    .filter(lambda text: bool(text.strip()) and not text.startswith("#")),
    min_size=1,
    max_size=4,
)
paths = st.lists(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(b"/".join), min_size=1, max_size=30
)


class Git:
    """An empty repository whose exclude file can be set."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        subprocess.run(["git", "init", "-q", str(directory)], check=True)

    def ignored(self, lines: Iterable[str], asked: Iterable[bytes]) -> set[bytes]:
        """The paths that git takes to be ignored."""
        exclude = self._directory / ".git" / "info" / "exclude"
        exclude.write_bytes("".join(f"{line}\n" for line in lines).encode())
        answer = subprocess.run(
            ["git", "-C", str(self._directory), "check-ignore", "--no-index", "--stdin", "-z"],
            input=b"\0".join(asked),
            stdout=subprocess.PIPE,
            check=False,
        )
        assert answer.returncode in (0, 1)
        return set(answer.stdout.split(b"\0")) - {b""}


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Git:
    """The reference."""
    return Git(tmp_path_factory.mktemp("reference"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=patterns, asked=paths)
def test_files_match_exactly_where_git_ignores_them(git: Git, lines: list[str], asked: list[bytes]) -> None:
    matching = PatternSet(lines)
    assert {path for path in asked if matching.matches(path)} == git.ignored(lines, asked)


@pytest.mark.parametrize(
    ("lines", "matching", "others"),
    [
        (["*.md"], ["a.md", "docs/a.md"], ["a.mdx"]),
        (["/*.md"], ["a.md"], ["docs/a.md"]),
        (["docs/"], ["docs/a", "x/docs/a/b"], ["docs"]),
        (["docs/*", "!docs/keep"], ["docs/a"], ["docs/keep", "docs/keep/b"]),
        (["docs/", "!docs/keep"], ["docs/a", "docs/keep"], ["keep"]),
        (["a/**/b"], ["a/b", "a/x/b", "a/x/y/b"], ["b", "x/a/b"]),
        (["**/tests/**"], ["tests/a", "x/tests/a/b"], ["tests", "x/test/a"]),
        (["!a"], [], ["a", "b"]),
        (["foo**"], ["foo", "foobar", "x/foob/c"], ["fo"]),
        (["a b ", "c\\ "], ["a b", "c "], ["a b ", "c"]),
    ],
)
def test_what_people_write(
    lines: Sequence[str], matching: Sequence[str], others: Sequence[str], git: Git
) -> None:
    found = PatternSet(lines)
    every = [path.encode() for path in (*matching, *others)]
    assert {path for path in every if found.matches(path)} == {path.encode() for path in matching}
    assert git.ignored(lines, every) == {path.encode() for path in matching}


def test_one_character_is_one_byte_as_for_git() -> None:
    assert PatternSet(["?"]).matches(b"\xe9")
    assert not PatternSet(["?"]).matches("é".encode())


def test_selection_is_what_is_included_without_what_is_excluded() -> None:
    files = [b"src/a.py", b"src/a.pyc", b"docs/a.md", b"README.md"]
    assert [path for path in files if select((), ())(path)] == files
    assert [path for path in files if select((), ["*.md"])(path)] == [b"src/a.py", b"src/a.pyc"]
    assert [path for path in files if select(["src/"], ())(path)] == [b"src/a.py", b"src/a.pyc"]
    assert [path for path in files if select(["src/"], ["*.pyc"])(path)] == [b"src/a.py"]


@given(asked=paths)
def test_the_order_of_questions_does_not_matter(asked: list[bytes]) -> None:
    lines = ["a/", "!a/b", "*b", "!/ab"]
    one, other = PatternSet(lines), PatternSet(lines)
    assert {p for p in asked if one.matches(p)} == {p for p in reversed(asked) if other.matches(p)}


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("*a" * 500 + "b", b"a" * 255),
        ("/" + "*a" * 400 + "/b", b"a" * 255),
        ("**/a*" * 100 + "/b", b"/".join([b"a" * 10] * 370)),
        ("a/**/" * 150 + "b", b"a/" * 2000 + b"c"),
        ("x/*a**/" * 100 + "b", b"x/" + b"a" * 4000),
        ("[!b]*" * 200 + "[z]", b"a" * 255),
    ],
)
def test_no_pattern_takes_long(line: str, path: bytes) -> None:
    began = time.process_time()
    assert not PatternSet([line]).matches(path)
    assert time.process_time() - began < 2


def test_a_path_may_be_as_deep_as_the_system_allows() -> None:
    deep = b"/".join([b"d"] * (os.pathconf("/", "PC_PATH_MAX") // 2))
    assert not PatternSet(["x"]).matches(deep)
    assert PatternSet(["/d/d/"]).matches(deep)
