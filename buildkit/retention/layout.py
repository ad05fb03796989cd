"""An OCI layout on disk: its index is its list, and what no entry leads to any more is taken off the disk.

All under the layout's lock, which those who publish there hold when they add an entry. The order is index, layers,
manifests: who dies between these leaves files that nothing names, and the same plan removes them later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from buildkit import files
from buildkit.errors import CorruptContent, NotFound
from buildkit.image import canonical
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.image.reference import LayoutReference
from buildkit.layout import LOCK, Layout
from buildkit.layoutindex import REF_NAME
from buildkit.retention.applying import Rest
from buildkit.retention.documents import Read, made, read
from buildkit.retention.plan import Removal
from buildkit.retention.shelf import Done
from buildkit.retention.stock import Node, Stock
from buildkit.verify import check_digest


class _Listed(NamedTuple):
    """An entry of `index.json`, of whatever kind, and its bytes as JSON."""

    tag: str
    descriptor: Descriptor
    entry: Any


class LayoutShelf:
    """One layout. Raises NotFound where there is none."""

    def __init__(self, reference: LayoutReference) -> None:
        self._layout = Layout(reference)
        if not self._layout.exists():
            raise NotFound(
                f"no OCI layout in {reference.directory}", "check the path; a layout has a file 'oci-layout'"
            )

    def stock(self, dated: Callable[[str], bool]) -> Stock:
        """What `index.json` lists. A name that several images have decides nothing: these all stay."""
        listed = _listed(self._layout.index(), self._layout.inside("index.json"))
        nodes = self.nodes(one.descriptor.digest for one in listed)
        tags: dict[str, set[Digest]] = {}
        for one in listed:
            tags.setdefault(one.tag, set()).add(one.descriptor.digest)
        bare = tags.pop("", set()).union(*(several for several in tags.values() if len(several) > 1))
        named = {tag: next(iter(only)) for tag, only in tags.items() if len(only) == 1}
        for tag, digest in named.items():
            if dated(tag) and (found := self._read(digest)) is not None:
                nodes[digest] = nodes[digest]._replace(created=made(found, self._read, self._config))
        return Stock(named, nodes, frozenset(bare))

    def nodes(self, digests: Iterable[Digest]) -> dict[Digest, Node]:
        """These manifests and all below them, as far as they are there."""
        return {digest: found.node for digest, found in self._below(digests).items()}

    def extend(self, stock: Stock, digests: Sequence[Digest]) -> Stock:
        """Nothing more: a layout lists its referrers beside its images."""
        return stock._replace(referrers={**stock.referrers, **dict.fromkeys(digests, ())})

    def remove(self, rest: Rest) -> Done:
        """All at once. What another entry needs by now stays on the disk, whoever made that entry and when."""
        going = {removal.digest: removal for wave in rest.waves for removal in wave}
        with (
            files.explained(f"write the OCI layout {self._layout.root}"),
            files.locked(self._layout.inside(LOCK)),
        ):
            fields = self._layout.index()
            listed = _listed(fields, self._layout.inside("index.json"))
            left = [one for one in listed if not _goes(one, going)]
            needed = self._below(one.descriptor.digest for one in left)
            doomed = {d: found for d, found in self._below(going).items() if d in going and d not in needed}
            if len(left) < len(listed):
                self._layout.write_index(fields, [one.entry for one in left])
            self._sweep(doomed, needed)
        return Done(len(doomed), len(going) - len(doomed))

    def _sweep(self, doomed: Mapping[Digest, Read], needed: Mapping[Digest, Read]) -> None:
        kept = {part.digest for found in needed.values() for part in found.parts} | needed.keys()
        for digest, found in doomed.items():
            for part in found.parts:
                if part.digest not in kept:
                    files.remove(self._layout.path(part.digest))
            files.remove(self._layout.path(digest))
        if doomed:
            files.sync_directory(self._layout.blobs)

    def _below(self, digests: Iterable[Digest]) -> dict[Digest, Read]:
        """Every manifest that is reached from these. Raises CorruptContent for one that cannot be followed."""
        found: dict[Digest, Read] = {}
        waiting = list(digests)
        while waiting:
            digest = waiting.pop()
            if digest in found or (one := self._read(digest)) is None:
                continue
            found[digest] = one
            waiting += one.node.children
        return found

    def _read(self, digest: Digest) -> Read | None:
        path = self._layout.path(digest)
        try:
            raw = files.read_small(path, canonical.DOCUMENT_LIMIT)
        except NotFound:
            return None
        return read(check_digest(raw, digest, path), digest)

    def _config(self, descriptor: Descriptor) -> bytes:
        return files.read_small(self._layout.path(descriptor.digest), canonical.DOCUMENT_LIMIT)


def _listed(fields: Mapping[str, Any], what: str) -> list[_Listed]:
    """Every entry, those of unknown kinds too: what they lead to is somebody's."""
    found = []
    for entry in fields["manifests"]:
        try:
            descriptor = Descriptor.from_json(entry, what)
        except CorruptContent as error:
            raise CorruptContent(error.what, "nothing is removed from a layout with such an entry") from None
        found.append(_Listed(descriptor.annotations.get(REF_NAME, ""), descriptor, entry))
    return found


def _goes(one: _Listed, going: Mapping[Digest, Removal]) -> bool:
    removal = going.get(one.descriptor.digest)
    return removal is not None and (not one.tag or one.tag in removal.tags)
