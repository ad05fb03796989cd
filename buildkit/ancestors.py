"""Layers of earlier images, by key: hints that save reading and compressing what was built before.

Whoever may push to a repository can write any annotation there, so a hint counts only where the user named the
repository as trusted (`--reuse-from`), never because the image lies where this one goes. What a manifest at the
destination *is* trusted for is that the blobs it names are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from buildkit.endpoints import Source
from buildkit.errors import InvalidInput, NotFound
from buildkit.git.commit import Commit
from buildkit.git.repository import Repository
from buildkit.image.annotations import LAYER_DIFF_ID, LAYER_KEY, LAYER_NAME
from buildkit.image.digest import Digest
from buildkit.image.manifest import Document, Index, Manifest
from buildkit.image.reference import Reference, RegistryReference
from buildkit.layers.layer import Written

# First parents first: on main they are what CI has built. Merged branches may have been built too.
_FIRST_PARENTS = 16
_OTHERS = 16


class Hint(NamedTuple):
    """A layer as an earlier image describes it; `origin` is (host, repository) to mount it from, and `beside` are the
    keys of all layers of that image."""

    name: str
    written: Written
    origin: tuple[str, str] | None
    annotations: Mapping[str, str] = {}
    beside: frozenset[Digest] = frozenset()


def lineage(repository: Repository, commit: Commit, most: int = _FIRST_PARENTS + _OTHERS) -> Iterator[str]:
    """Ids of ancestors, nearest first along first parents, then the others by breadth; ends where a clone does."""
    first: list[Commit] = []
    current: Commit | None = commit
    while current is not None and current.parents and len(first) < min(most, _FIRST_PARENTS):
        yield current.parents[0]
        first.append(current)
        current = _parent(repository, current, current.parents[0])
    yield from _merged(repository, first, most - len(first))


def _merged(repository: Repository, first: list[Commit], most: int) -> Iterator[str]:
    seen = {oid for commit in first for oid in (commit.oid, commit.parents[0])}
    queue = [(commit, parent) for commit in first for parent in commit.parents[1:]]
    while queue and most > 0:
        child, oid = queue.pop(0)
        if oid in seen:
            continue
        seen.add(oid)
        most -= 1
        yield oid
        found = _parent(repository, child, oid)
        queue += [(found, parent) for parent in found.parents] if found else []


def _parent(repository: Repository, child: Commit, oid: str) -> Commit | None:
    return None if repository.is_cut_off(child) else repository.find_commit(oid)


def hints_of(source: Source, reference: Reference, candidates: Iterable[str]) -> dict[Digest, Hint]:
    """The layers of one trusted image: the one that is named, else the first of the candidate tags that exists."""
    named = getattr(reference, "tag", "") or getattr(reference, "digest", None)
    for tag in [""] if named else candidates:
        try:
            document = source.document(tag)
        except NotFound:
            if named:
                raise
            continue
        return read_hints(_manifests(source, document), reference)
    return {}


def read_hints(manifests: Iterable[Manifest], reference: Reference) -> dict[Digest, Hint]:
    """The layers that say a key and a diff id; malformed ones are passed over, they are only hints."""
    origin = (reference.host, reference.repository) if isinstance(reference, RegistryReference) else None
    found: dict[Digest, Hint] = {}
    for manifest in manifests:
        described: dict[Digest, Hint] = {}
        for layer in manifest.layers:
            try:
                key, diff_id = Digest(layer.annotations[LAYER_KEY]), Digest(layer.annotations[LAYER_DIFF_ID])
            except (KeyError, InvalidInput):
                continue
            written = Written(layer.digest, diff_id, layer.size)
            described[key] = Hint(layer.annotations.get(LAYER_NAME, ""), written, origin, layer.annotations)
        beside = frozenset(described)
        found.update((key, hint._replace(beside=beside)) for key, hint in described.items())
    return found


def _manifests(source: Source, document: Document) -> list[Manifest]:
    if isinstance(document, Manifest):
        return [document]
    assert isinstance(document, Index)
    children = [source.document(entry.digest) for _, entry in document.images()]
    return [child for child in children if isinstance(child, Manifest)]
