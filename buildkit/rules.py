"""The selection rules of one commit: its settings, and what its own `.gitattributes` say of LFS.

Attributes outside of the tree (the repository's info/attributes, the user's, the system's) are not asked: the image
must not depend on who built it.
"""

from __future__ import annotations

from collections.abc import Iterable

from buildkit.config.values import Holds
from buildkit.git import tree
from buildkit.git.repository import Repository
from buildkit.git.tree import Entry
from buildkit.selection import PointerFile, Predicate, Rules

_ATTRIBUTES_LIMIT = 1 << 20
_POINTER_LIMIT = 1024  # git-lfs' own cut-off (spec.md)

AttributeFiles = tuple[tuple[bytes, str], ...]


def attributes_in(repository: Repository, tree_id: str, entries: Iterable[Entry]) -> AttributeFiles:
    """Paths and ids of the `.gitattributes` files; none where none of them speaks of LFS.

    Those that do not speak of it count beside one that does: they may take a file's filter away again.
    """
    named = [entry for entry in entries if entry.path.rpartition(b"/")[2] == b".gitattributes"]
    regular = [entry for entry in named if entry.mode in (tree.REGULAR, tree.EXECUTABLE)]  # as git does
    repository.hydrate(tree_id, [entry.oid for entry in regular])
    found, lfs = [], False
    for entry, (header, chunks) in zip(
        regular, repository.blobs([entry.oid for entry in regular]), strict=True
    ):
        if header.size <= _ATTRIBUTES_LIMIT:
            lfs = b"lfs" in b"".join(chunks) or lfs
            found.append((entry.path, entry.oid))
    return tuple(found) if lfs else ()


def rules_of(repository: Repository, holds: Holds, attributes: AttributeFiles) -> Rules:
    """The settings as predicates."""
    keep = lfs_include = lfs_tracked = None
    if holds.include or holds.exclude:
        from buildkit.config.patterns import select

        keep = select(holds.include, holds.exclude)
    if holds.lfs_include:
        from buildkit.config.patterns import select

        lfs_include = select(holds.lfs_include, ())
    if attributes:
        from buildkit.lfs.attributes import LfsAttributes

        contents = repository.blobs([oid for _, oid in attributes])
        files = {
            path.rpartition(b"/")[0]: b"".join(chunks)
            for (path, _), (_, chunks) in zip(attributes, contents, strict=True)
        }
        lfs_tracked = LfsAttributes(files).tracked
    return Rules(
        keep=keep,
        lfs_tracked=lfs_tracked,
        lfs_include=lfs_include,
        drop_pointers=holds.lfs_pointers == "drop",
        skip_submodules=holds.submodules == "skip",
        case_collisions=holds.case_collisions == "refuse",
        prefix=holds.prefix,
    )


def find_pointers(
    repository: Repository, tree_id: str, candidates: list[Entry], included: Predicate | None
) -> dict[bytes, PointerFile]:
    """Which of these files are LFS pointers, by content; only files small enough to be one are read.

    Raises InvalidInput for one that is `included` but whose content another program has to undo.
    """
    if not candidates:
        return {}
    from buildkit.lfs.pointer import parse_pointer, refuse_extensions

    repository.hydrate(tree_id, [entry.oid for entry in candidates])
    small = _small(repository, candidates)
    found = {}
    for entry, (_, chunks) in zip(small, repository.blobs([entry.oid for entry in small]), strict=True):
        pointer = parse_pointer(b"".join(chunks))
        if pointer is not None:
            if included and included(entry.path):
                refuse_extensions(pointer, entry.path)
            found[entry.path] = PointerFile(entry.path, pointer.oid, pointer.size)
    return found


def _small(repository: Repository, candidates: list[Entry]) -> list[Entry]:
    """Those below the size of a pointer; their headers are asked for alone, so no large blob is inflated."""
    request = "".join(f"{entry.oid}\n" for entry in candidates).encode()
    answer = repository.run(["cat-file", "--batch-check=%(objectsize)", "--buffer"], request)
    sizes = answer.splitlines()
    return [
        entry
        for entry, size in zip(candidates, sizes, strict=True)
        if size.isdigit() and int(size) < _POINTER_LIMIT
    ]
