"""Trees that no git client would write, objects that are damaged or absent: named, and nothing is built of them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from buildkit.testing.repositories import ThrowAwayRepository, TreeItem
from tests.end_to_end.complaints import FILES, complains
from tests.end_to_end.helpers import Treeship


@pytest.fixture
def made(repository: ThrowAwayRepository) -> ThrowAwayRepository:
    """A repository with one plain commit."""
    repository.commit(FILES)
    return repository


def _tree(repository: ThrowAwayRepository, *names: bytes, mode: bytes = b"100644") -> str:
    blob = repository.blob(b"x")
    return repository.tree([TreeItem(mode, name, blob) for name in names])


TREES: dict[str, tuple[Callable[[ThrowAwayRepository], str], tuple[str, ...]]] = {
    ".git": (lambda r: _tree(r, b".git"), ("malformed", ".git")),
    ".GIT": (lambda r: _tree(r, b".GIT"), ("malformed", ".GIT")),
    "..": (lambda r: _tree(r, b".."), ("malformed", "..")),
    ".": (lambda r: _tree(r, b"."), ("malformed",)),
    "a slash": (lambda r: _tree(r, b"a/../../b"), ("malformed",)),
    "an absolute name": (lambda r: _tree(r, b"/etc/passwd"), ("malformed",)),
    "twice": (lambda r: _tree(r, b"a", b"a"), ("malformed", "twice")),
    "out of order": (lambda r: _tree(r, b"b", b"a"), ("malformed",)),
    "a long name": (lambda r: _tree(r, b"n" * 300), ("malformed", "overlong")),
    "a whiteout": (lambda r: _tree(r, b".wh.passwd"), (".wh.",)),
    "an opaque whiteout": (lambda r: _tree(r, b".wh..wh..opq"), (".wh.",)),
    "a device": (lambda r: _tree(r, b"a", mode=b"020000"), ("submodule",)),  # as git itself reads it
    "a submodule": (lambda r: r.tree([TreeItem(b"160000", b"sub", "1" * 40)]), ("sub is a submodule", "skip")),
    "a blob for a tree": (lambda r: r.tree([TreeItem(b"40000", b"sub", r.blob(b"x"))]), ("git",)),
    "a tree for a blob": (lambda r: r.tree([TreeItem(b"100644", b"a", _tree(r, b"b"))]), ("a is a tree",)),
    "a missing blob": (lambda r: r.tree([TreeItem(b"100644", b"a", "1" * 40)]), ("missing", "fsck")),
    "a missing tree": (lambda r: r.tree([TreeItem(b"40000", b"a", "1" * 40)]), ("fsck",)),
    "no tree at all": (lambda _: "1" * 40, ("fsck",)),
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_a_hostile_tree_is_refused_before_anything_is_written(
    name: str, treeship: Treeship, repository: ThrowAwayRepository
) -> None:
    """Names that leave the tree, hide files of the base, or confuse who unpacks them; and trees with holes."""
    make, says = TREES[name]
    commit = repository.commit_tree(make(repository))
    complains(treeship("build", commit, "--repo", repository.directory, "--json", code=None), 2, *says)
    assert not (treeship.home / ".treeship").exists()


def _damage_loose(repository: ThrowAwayRepository, oid: str) -> None:
    file = repository.directory / ".git" / "objects" / oid[:2] / oid[2:]
    data = bytearray(file.read_bytes())
    file.chmod(0o600)
    for at in range(len(data) // 2, min(len(data) // 2 + 4, len(data))):
        data[at] ^= 0xFF
    file.write_bytes(data)


def _damage_pack(repository: ThrowAwayRepository, _oid: str) -> None:
    repository.git("repack", "-adq")
    (pack,) = (repository.directory / ".git" / "objects" / "pack").glob("*.pack")
    data = bytearray(pack.read_bytes())
    pack.chmod(0o600)
    for at in range(len(data) // 3, 2 * len(data) // 3):
        data[at] ^= 0xFF
    pack.write_bytes(data)


# One pack holds all three, and is damaged where the blob is.
@pytest.mark.parametrize(
    ("kind", "object_"), [("loose", "blob"), ("loose", "tree"), ("loose", "commit"), ("packed", "blob")]
)
def test_a_corrupt_object_is_named_and_nothing_is_built_of_it(
    kind: str, object_: str, treeship: Treeship, repository: ThrowAwayRepository
) -> None:
    """Whether git finds it by its checksum or we do by its size."""
    noise = random.Random(3).randbytes(100_000)
    blob = repository.blob(noise)
    tree = repository.tree([TreeItem(b"100644", b"noise", blob)])
    commit = repository.commit_tree(tree)
    damage = _damage_loose if kind == "loose" else _damage_pack
    damage(repository, {"blob": blob, "tree": tree, "commit": commit}[object_])
    ran = treeship("build", "--repo", repository.directory, "--json", code=None)
    complains(ran, 2, "git fsck")
    assert not (treeship.home / ".treeship" / "oci" / "index.json").exists()


def test_history_that_a_shallow_clone_lacks_is_explained(
    treeship: Treeship, repository: ThrowAwayRepository, tmp_path: Path
) -> None:
    """The remedy is git's, and named."""
    for number in range(7):
        repository.commit({"n": b"%d" % number})
    shallow = tmp_path / "shallow"
    repository.git("clone", "-q", "--depth=1", repository.url, str(shallow))
    ran = treeship("build", "HEAD~5", "--repo", shallow, "--json", code=None)
    complains(ran, 2, "no commit 'HEAD~5'", "git fetch --unshallow")


def test_a_repository_of_another_user_is_explained(treeship: Treeship, made: ThrowAwayRepository) -> None:
    """git refuses it, and the hint is the command that allows it."""
    for path in (made.directory, made.directory / ".git"):
        os.chown(path, 12345, 12345)
    ran = treeship("build", "--repo", made.directory, "--json", code=None)
    complains(ran, 2, "belongs to another user", "safe.directory")
