"""What git says is still named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit.errors import InvalidInput, TreeshipError
from buildkit.git.repository import Repository
from buildkit.retention.keep import Refs
from buildkit.retention.refs import read_refs
from buildkit.testing.repositories import ThrowAwayRepository


@pytest.fixture
def made(tmp_path: Path) -> ThrowAwayRepository:
    made = ThrowAwayRepository(tmp_path / "repository")
    made.git("config", "user.name", "A Tester")
    made.git("config", "user.email", "tester@treeship.example")
    return made


def refs(made: ThrowAwayRepository | Path, *commits: str) -> Refs:
    with Repository(made if isinstance(made, Path) else made.directory) as repository:
        return read_refs(repository, commits)


def clone(made: ThrowAwayRepository, folder: Path, *words: str) -> Path:
    made.git("clone", "-q", *words, made.url, str(folder))
    return folder


def test_tips_are_named_and_what_is_behind_them_is_known(made: ThrowAwayRepository) -> None:
    first = made.commit({"a": b"1"})
    second = made.commit({"a": b"2"})

    found = refs(made, first, second, "f" * 40)

    assert found.tips == {second: "refs/heads/main"}
    assert found.known == {first, second}
    assert found.names == {"main": "refs/heads/main"}
    assert not found.shallow


def test_every_kind_of_ref_names_its_commit(made: ThrowAwayRepository) -> None:
    """Branches, tags of all sorts, notes, a stash, what other tools keep in refs of their own."""
    oids = [made.commit({"a": b"%d" % number}) for number in range(7)]
    made.git("tag", "light", oids[0])
    made.git("tag", "-a", "-m", "x", "annotated", oids[1])
    made.git("tag", "-a", "-m", "x", "inner", oids[2])
    made.git("tag", "-a", "-m", "x", "outer", "inner")
    made.git("tag", "-d", "inner")
    made.git("update-ref", "refs/pull/7/head", oids[3])
    made.git("branch", "feature/Deep", oids[4])

    found = refs(made, *oids)

    assert {oids[number] for number in (0, 1, 2, 3, 4, 6)} == found.tips.keys() & set(oids)
    assert found.names.keys() == {"main", "light", "annotated", "outer", "feature-deep"}


def test_what_work_trees_have_checked_out_is_named(made: ThrowAwayRepository, tmp_path: Path) -> None:
    first, second = made.commit({"a": b"1"}), made.commit({"a": b"2"})
    made.git("worktree", "add", "-q", "--detach", str(tmp_path / "elsewhere"), first)

    assert refs(made, first).tips == {first: f"HEAD of {tmp_path / 'elsewhere'}", second: "refs/heads/main"}


def test_the_reflog_names_nothing(made: ThrowAwayRepository) -> None:
    first = made.commit({"a": b"1"})
    made.git("checkout", "-q", "-f", "main")
    made.git("commit", "-q", "--amend", "-m", "other")

    found = refs(made, first)

    assert first in made.git("reflog", "--format=%H").decode()
    assert first not in found.tips
    assert first not in found.known


def test_origin_is_asked_for_what_the_clone_lacks(made: ThrowAwayRepository, tmp_path: Path) -> None:
    made.commit({"a": b"1"})
    folder = clone(made, tmp_path / "clone", "--single-branch")
    pushed = made.commit({"a": b"2"}, branch="feature/x")
    tagged = made.commit({"a": b"3"}, branch="gone")
    made.git("tag", "-a", "-m", "x", "v1", tagged)
    made.git("branch", "-D", "gone")
    hidden = made.commit({"a": b"4"}, branch="moved")
    made.git("update-ref", "refs/pull/1/head", hidden)
    made.git("branch", "-D", "moved")

    found = refs(folder, pushed)

    assert pushed in found.tips
    assert tagged in found.tips
    assert hidden not in found.tips, "hosting services name every commit for ever"
    assert found.names.keys() == {"main", "feature-x", "v1"}
    assert found.known == frozenset()


def test_an_origin_that_cannot_be_asked_is_no_answer(made: ThrowAwayRepository, tmp_path: Path) -> None:
    made.commit({"a": b"1"})
    folder = clone(made, tmp_path / "clone")
    made.directory.rename(tmp_path / "away")

    with pytest.raises(TreeshipError):
        refs(folder)


def test_a_shallow_clone_says_so(made: ThrowAwayRepository, tmp_path: Path) -> None:
    first, second = made.commit({"a": b"1"}), made.commit({"a": b"2"})
    folder = clone(made, tmp_path / "clone", "--depth=1")

    found = refs(folder, first, second)

    assert found.shallow
    assert found.known == {second}


def test_a_partial_clone_knows_its_commits_and_fetches_nothing(
    made: ThrowAwayRepository, tmp_path: Path
) -> None:
    made.git("config", "uploadpack.allowFilter", "true")
    first, second = made.commit({"a": b"1"}), made.commit({"a": b"2"})
    folder = clone(made, tmp_path / "clone", "--filter=blob:none", "--bare")

    assert refs(folder, first, second, "e" * 40).known == {first, second}


def _cut(made: ThrowAwayRepository) -> None:
    (made.directory / ".git/refs/heads/broken").write_text("f" * 40 + "\n")


def _garble(made: ThrowAwayRepository) -> None:
    (made.directory / ".git/refs/heads/broken").write_text("not an id\n")


@pytest.mark.parametrize("damage", [_cut, _garble])
def test_a_damaged_repository_is_no_answer(
    made: ThrowAwayRepository, damage: Callable[[ThrowAwayRepository], None]
) -> None:
    made.commit({"a": b"1"})
    damage(made)

    with pytest.raises(InvalidInput):
        refs(made)


def test_an_empty_repository_names_nothing(made: ThrowAwayRepository) -> None:
    assert refs(made, "f" * 40) == Refs()


def test_long_commit_ids(tmp_path: Path) -> None:
    made = ThrowAwayRepository(tmp_path / "repository", object_format="sha256")
    first = made.commit({"a": b"1"})

    assert refs(made, first).tips.keys() == {first}
