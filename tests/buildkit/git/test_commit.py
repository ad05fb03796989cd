"""Commit objects, well-formed and not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit.errors import CorruptContent
from buildkit.git.commit import Commit, parse_commit

TREE, ONE, TWO = "a" * 40, "b" * 40, "c" * 40


def raw(*lines: str, message: str = "words\n\ntree not-a-header\n") -> bytes:
    return "\n".join([*lines, "", message]).encode()


def test_a_merge_keeps_its_parents_in_order() -> None:
    text = raw(
        f"tree {TREE}", f"parent {TWO}", f"parent {ONE}",
        "author A <a@b> 1 +0000", "committer C D <c@d> 1700000000 -0730",
    )  # fmt: skip
    assert parse_commit("x", text) == Commit("x", TREE, (TWO, ONE), 1700000000)


def test_lines_of_a_signature_or_of_the_message_are_no_headers() -> None:
    text = raw(
        f"tree {TREE}", "author A <a@b> 1 +0000", "committer C <c@d> 5 +0000",
        "gpgsig -----BEGIN", f" tree {ONE}", f" parent {ONE}", " -----END",
    )  # fmt: skip
    assert parse_commit("x", text) == Commit("x", TREE, (), 5)


@pytest.mark.parametrize(
    ("committer", "seconds"),
    [
        ("C <c@d> 12 +0000", 12),
        ("C <c@d> -12 +0000", -12),
        ("C <> 7 >> 12 +0000", 12),
        ("C <c@d>", 0),
        ("C <c@d> soon +0000", 0),
        ("C <c@d> --5 +0000", 0),
        ("C <c@d> 99999999999999999999999 +0000", 0),
        ("", 0),
    ],
)
def test_the_time_of_a_commit_is_read_as_git_does(committer: str, seconds: int) -> None:
    assert parse_commit("x", raw(f"tree {TREE}", f"committer {committer}")).seconds == seconds


@pytest.mark.parametrize(
    ("seconds", "created"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_700_000_000, "2023-11-14T22:13:20Z"),
        (-1, "1970-01-01T00:00:00Z"),
        (10**17, "9999-12-31T23:59:59Z"),
    ],
)
def test_created_is_utc_and_always_a_date(seconds: int, created: str) -> None:
    assert Commit("x", TREE, (), seconds).created == created


@pytest.mark.parametrize("lines", [[], [f"tree {TREE}"], ["committer C <c@d> 5 +0000"]])
def test_a_commit_without_tree_or_committer_is_corrupt(lines: list[str]) -> None:
    with pytest.raises(CorruptContent, match="malformed"):
        parse_commit("x", raw(*lines))


@given(st.binary(max_size=300) | st.binary(max_size=99).map(lambda end: b"tree a\ncommitter <> " + end))
def test_any_bytes_are_a_commit_or_corrupt(data: bytes) -> None:
    try:
        assert len(parse_commit("x", data).created) == 20
    except CorruptContent:
        pass
