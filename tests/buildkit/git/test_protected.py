"""The protected branch: what the remote says it is now, not what was fetched once."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit.errors import TreeshipError, Unavailable
from buildkit.git.protected import protected_tip
from buildkit.git.repository import Repository
from buildkit.testing.repositories import ThrowAwayRepository


def clone_of(origin: ThrowAwayRepository, directory: Path, *options: str) -> Repository:
    origin.git("clone", "-q", *options, origin.url, str(directory))
    return Repository(directory)


def tip_of(repository: Repository) -> str:
    with repository:
        found = protected_tip(repository)
    assert found is not None
    assert found.commit.oid[:12] in found.origin
    return found.commit.oid


def test_it_is_the_head_of_origin(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    commit = origin.commit({"a": b"1"})
    assert tip_of(clone_of(origin, tmp_path / "clone")) == commit


def test_the_branch_may_have_any_name(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    origin.commit({"a": b"1"})
    trunk = origin.commit({"a": b"2"}, branch="trunk")
    origin.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    assert tip_of(clone_of(origin, tmp_path / "clone")) == trunk


def test_a_stale_or_forged_tracking_ref_is_not_believed(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    origin.commit({"a": b"1"})
    clone = clone_of(origin, tmp_path / "clone")
    evil = origin.commit({"a": b"evil"}, branch="evil")
    merged = origin.commit({"a": b"2"})
    clone.run(["fetch", "-q", "origin", "evil"])
    clone.run(["update-ref", "refs/remotes/origin/main", evil])
    clone.run(["update-ref", "refs/remotes/origin/HEAD", evil])
    clone.run(["update-ref", "refs/heads/main", evil])
    assert tip_of(clone) == merged


def test_asking_changes_no_ref_of_the_user(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    origin.commit({"a": b"1"})
    clone = clone_of(origin, tmp_path / "clone", "--depth=1")
    before = clone.run(["for-each-ref"])
    merged = origin.commit({"a": b"2"})
    assert tip_of(clone) == merged
    assert clone.run(["for-each-ref"]) == before
    assert not (tmp_path / "clone/.git/FETCH_HEAD").exists()


def test_a_shallow_clone_of_another_branch_gets_the_tip(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    tip = origin.commit({"a": b"1"})
    origin.commit({"a": b"2"}, branch="topic", parents=[tip])
    clone = clone_of(origin, tmp_path / "clone", "--depth=1", "--single-branch", "--branch=topic")
    assert tip_of(clone) == tip


def test_a_branch_whose_name_ends_in_head_is_not_taken_for_it(
    origin: ThrowAwayRepository, tmp_path: Path
) -> None:
    """`ls-remote origin HEAD` names it too, and first where the remote's own HEAD leads nowhere."""
    evil = origin.commit({"a": b"evil"}, branch="x/HEAD")
    origin.git("symbolic-ref", "HEAD", "refs/heads/gone")
    with clone_of(origin, tmp_path / "clone") as repository:
        assert protected_tip(repository) is None
        assert repository.find_commit(evil) is not None


def test_without_a_remote_it_is_the_local_main(origin: ThrowAwayRepository) -> None:
    commit = origin.commit({"a": b"1"})
    origin.commit({"a": b"2"}, branch="topic")
    origin.git("symbolic-ref", "HEAD", "refs/heads/topic")
    with Repository(origin.directory) as repository:
        found = protected_tip(repository)
    assert found is not None
    assert (found.commit.oid, found.origin) == (commit, f"main ({commit[:12]})")


def test_a_tag_named_main_is_not_the_branch(origin: ThrowAwayRepository) -> None:
    origin.git("update-ref", "refs/tags/main", origin.commit({"a": b"1"}, branch="topic"))
    with Repository(origin.directory) as repository:
        assert protected_tip(repository) is None


def test_an_empty_remote_has_none(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    with clone_of(origin, tmp_path / "clone") as repository:
        assert protected_tip(repository) is None


def test_a_remote_that_cannot_be_asked_is_an_error_and_not_a_guess(
    origin: ThrowAwayRepository, tmp_path: Path
) -> None:
    origin.commit({"a": b"1"})
    with clone_of(origin, tmp_path / "clone") as repository:
        origin.directory.rename(tmp_path / "moved")
        with pytest.raises(TreeshipError):
            protected_tip(repository)
        repository.run(["config", "remote.origin.url", "http://127.0.0.1:1/r"])
        with pytest.raises(Unavailable):
            protected_tip(repository)
