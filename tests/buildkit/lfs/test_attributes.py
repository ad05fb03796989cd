"""A path is LFS's exactly where git reads `filter=lfs` out of the tree's own attributes; git itself is asked."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildkit.errors import InvalidInput
from buildkit.lfs.attributes import LfsAttributes

PATTERNS = [
    *(
        "*.bin",
        "*",
        "a",
        "b",
        "/a",
        "a/*",
        "**/b",
        "a/**",
        "*.b?n",
        "[ab]",
        '"a b"',
        '"a\\142"',
        '"\\141*"',
        '"a"',
    ),
    *('"a', "!a", "a/", "d/a", "é", "\\a", "#a", "[attr]m", "[attr]n", "[attr]", "[attr]-q", "d/**/x.bin"),
]
STATES = [
    *(
        "filter=lfs",
        "filter=lfs",
        "-filter",
        "!filter",
        "filter",
        "filter=x",
        "filter=",
        "filter=lfs=x",
        "text",
    ),
    *("-text", "m", "-m", "!m", "n", "-n", "m=1", "-filter=lfs", "bad/name", "binary", "--x", "!", "é"),
]
DIRECTORIES = [b"", b"d", b"d/d", b"a"]
lines = st.tuples(
    st.sampled_from(["", "", "", " "]),
    st.sampled_from(PATTERNS),
    st.sampled_from([" ", "\t", "  ", ""]),
    st.lists(st.sampled_from(STATES), max_size=3).map(" ".join),
    st.sampled_from(["", "", "", " ", "\r", "\0", " " * 2100]),
).map("".join)
trees = st.dictionaries(
    st.sampled_from(DIRECTORIES),
    st.lists(lines, min_size=1, max_size=6).map(lambda found: "\n".join(found).encode()),
)
paths = st.lists(
    st.tuples(
        st.lists(st.sampled_from([b"d", b"a", b"b"]), max_size=3),
        st.sampled_from([b"a", b"b", b"x.bin", b"a b", b"ab", b"m", "é".encode(), b"\xff.bin"]),
    ).map(lambda parts: b"/".join([*parts[0], parts[1]])),
    min_size=1,
    max_size=20,
)


class Git:
    """A bare repository; trees of attributes are put into its index."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._run("init", "-q", "--bare", ".")

    def tracked(self, files: Mapping[bytes, bytes], asked: Sequence[bytes]) -> set[bytes]:
        """The paths with filter=lfs."""
        (self._directory / "index").unlink(missing_ok=True)
        entries = b""
        for folder, content in files.items():
            oid = self._run("hash-object", "-w", "--stdin", stdin=content).strip()
            entries += b"100644 " + oid + b"\t" + (folder + b"/" if folder else b"") + b".gitattributes\0"
        self._run("update-index", "-z", "--index-info", stdin=entries)
        answer = self._run(
            "check-attr", "--cached", "--stdin", "-z", "filter", stdin=b"\0".join(asked)
        ).split(b"\0")
        return {path for path, value in zip(answer[::3], answer[2::3], strict=False) if value == b"lfs"}

    def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        command = ["git", "-C", str(self._directory), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Git:
    """The reference."""
    return Git(tmp_path_factory.mktemp("reference"))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=trees, asked=paths)
def test_as_git(git: Git, files: dict[bytes, bytes], asked: list[bytes]) -> None:
    attributes = LfsAttributes(files)
    assert {path for path in asked if attributes.tracked(path)} == git.tracked(files, asked)


@pytest.mark.parametrize(
    ("files", "tracked", "others"),
    [
        ({b"": b"*.bin filter=lfs diff=lfs merge=lfs -text"}, [b"a.bin", b"d/a.bin"], [b"a.txt", b"a.bin/x"]),
        ({b"": b"*.bin filter=lfs\nvendor/** -filter"}, [b"a.bin"], [b"vendor/a.bin", b"vendor/d/a.bin"]),
        ({b"": b"*.bin filter=lfs", b"d": b"*.bin !filter"}, [b"a.bin"], [b"d/a.bin", b"d/d/a.bin"]),
        ({b"": b"*.bin -filter", b"d": b"/a.bin filter=lfs"}, [b"d/a.bin"], [b"a.bin", b"d/d/a.bin"]),
        ({b"": b"[attr]big filter=lfs -text\n*.bin big"}, [b"a.bin"], [b"a.txt"]),
        (
            {b"": b"[attr]big filter=lfs", b"d": b"*.bin big\nb.bin -big"},
            [b"d/a.bin"],
            [b"d/b.bin", b"a.bin"],
        ),
        ({b"d": b"[attr]big filter=lfs\n*.bin big"}, [], [b"d/a.bin"]),
        ({b"": b'"a b.bin" filter=lfs'}, [b"a b.bin"], [b"a", b"b.bin"]),
        ({b"": b"!*.txt filter=lfs\nd/ filter=lfs"}, [], [b"a.bin", b"d/a.bin"]),
        ({b"": b"\xef\xbb\xbf*.bin filter=lfs"}, [b"a.bin"], []),
        ({}, [], [b"a.bin"]),
    ],
)
def test_what_people_write(files: dict[bytes, bytes], tracked: list[bytes], others: list[bytes]) -> None:
    attributes = LfsAttributes(files)
    assert [path for path in (*tracked, *others) if attributes.tracked(path)] == tracked


def test_thousands_of_files_by_name_cost_little() -> None:
    listed = b"".join(b"data/%d.parquet filter=lfs diff=lfs merge=lfs -text\n" % i for i in range(20_000))
    began = time.process_time()
    attributes = LfsAttributes({b"": listed})
    assert all(attributes.tracked(b"data/%d.parquet" % i) for i in range(20_000))
    assert time.process_time() - began < 4


@pytest.mark.parametrize(
    "content",
    [
        b"".join(b"*a*b%d* filter=lfs\n" % i for i in range(60_000)),
        b"".join(b"a%d filter=lfs\nb -filter\n" % i for i in range(30_000)),
        b"".join(b"[attr]m%d m%d\n" % (i, i + 1) for i in range(60_000)) + b"[attr]m60000 filter=lfs\n* m0",
    ],
    ids=["wildcards", "changes", "macros"],
)
def test_a_hostile_file_costs_little_or_is_refused(content: bytes) -> None:
    began = time.process_time()
    with suppress(InvalidInput):
        assert LfsAttributes({b"": content}).tracked(b"x")
    assert time.process_time() - began < 6
