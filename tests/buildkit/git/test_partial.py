"""Partial clones: blobs that are not here come in one fetch, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildkit.ancestors import lineage
from buildkit.errors import TreeshipError
from buildkit.git.repository import Repository
from buildkit.testing.repositories import ThrowAwayRepository


def blobless(origin: ThrowAwayRepository, directory: Path, *options: str) -> Path:
    origin.git(
        "clone", "-q", "--bare", "--filter=blob:none", "--depth=1", *options, origin.url, str(directory)
    )
    return directory


def packs(clone: Path) -> set[str]:
    return {path.name for path in (clone / "objects/pack").glob("*.pack")}


def test_all_missing_blobs_come_in_one_fetch(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    origin.commit({f"d{number % 7}/{number}": b"content %d" % number for number in range(300)})
    clone = blobless(origin, tmp_path / "clone")
    before = packs(clone)
    with Repository(clone) as repository:
        commit = repository.commit("HEAD")
        entries = repository.listing(commit.tree)
        oids = [entry.oid for entry in entries]
        assert repository.promisor_remote() == "origin"
        assert repository.hydrate(commit.tree, oids) == 300
        assert len(packs(clone) - before) == 1
        found = {
            entry.path: b"".join(part)
            for entry, (_, part) in zip(entries, repository.blobs(oids), strict=True)
        }
        assert found == {b"d%d/%d" % (number % 7, number): b"content %d" % number for number in range(300)}
        assert repository.hydrate(commit.tree, oids) == 0
        assert len(packs(clone) - before) == 1


def test_only_what_is_asked_for_is_fetched(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    origin.commit({"small": b"1", "large": bytes(100_000)})
    clone = blobless(origin, tmp_path / "clone")
    with Repository(clone) as repository:
        commit = repository.commit("HEAD")
        small = next(entry.oid for entry in repository.listing(commit.tree) if entry.path == b"small")
        assert repository.hydrate(commit.tree, [small]) == 1
        listed = repository.run(["rev-list", "--objects", "--missing=print", "--no-walk", commit.tree])
        assert listed.count(b"?") == 1


def test_a_full_clone_has_nothing_to_fetch_and_starts_no_process(
    origin: ThrowAwayRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.commit({"a": b"1"})
    with Repository(origin.directory) as repository:
        commit = repository.commit("HEAD")
        oids = [entry.oid for entry in repository.listing(commit.tree)]
        monkeypatch.setenv("PATH", "/nowhere")
        assert repository.hydrate(commit.tree, oids) == 0
        assert repository.promisor_remote() == ""


def test_a_file_named_config_in_the_work_tree_hides_no_promise(
    origin: ThrowAwayRepository, tmp_path: Path
) -> None:
    origin.commit({"config": b"[core]\n", "a": b"1"})
    origin.git("clone", "-q", "--filter=blob:none", "--depth=1", origin.url, str(tmp_path / "clone"))
    assert (tmp_path / "clone/config").read_bytes() == b"[core]\n"
    with Repository(tmp_path / "clone") as repository:
        assert repository.promisor_remote() == "origin"


def test_a_remote_that_is_gone_is_an_error_not_a_hang(origin: ThrowAwayRepository, tmp_path: Path) -> None:
    origin.commit({"a": b"1"})
    clone = blobless(origin, tmp_path / "clone")
    origin.directory.rename(tmp_path / "moved")
    with Repository(clone) as repository:
        commit = repository.commit("HEAD")
        oids = [entry.oid for entry in repository.listing(commit.tree)]
        with pytest.raises(TreeshipError):
            repository.hydrate(commit.tree, oids)
        with pytest.raises(TreeshipError, match=str(origin.directory)):
            list(repository.blobs(oids))


@pytest.mark.parametrize("partial", [True, False])
def test_the_edge_of_a_shallow_clone_is_named_and_not_crossed(
    origin: ThrowAwayRepository, tmp_path: Path, partial: bool
) -> None:
    """Asking a partial clone for the parent would fetch it, with all the history behind."""
    commits = [origin.commit({"a": b"%d" % number}) for number in range(5)]
    side = origin.commit({"a": b"side"}, parents=[commits[0]], branch="side")
    tip = origin.commit({"a": b"merged"}, parents=[commits[-1], side])
    clone = tmp_path / "clone"
    kind = ["--filter=blob:none"] if partial else []
    origin.git("clone", "-q", "--bare", *kind, "--depth=1", origin.url, str(clone))
    before = packs(clone)
    with Repository(clone) as repository:
        commit = repository.commit("HEAD")
        assert commit.oid == tip
        assert list(lineage(repository, commit)) == [commits[-1], side]
    assert packs(clone) == before


def test_a_blobless_clone_with_history_finds_all_ancestors(
    origin: ThrowAwayRepository, tmp_path: Path
) -> None:
    commits = [origin.commit({"a": b"%d" % number}) for number in range(5)]
    clone = tmp_path / "clone"
    origin.git("clone", "-q", "--bare", "--filter=blob:none", origin.url, str(clone))
    with Repository(clone) as repository:
        assert list(lineage(repository, repository.commit("HEAD"))) == commits[3::-1]
