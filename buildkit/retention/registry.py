"""A repository of a registry: reading what it holds, and taking manifests out of it.

A registry lists tags alone: what no tag leads to can be neither found nor kept from losing its parts.
What a registry cannot give right now (401, 5xx, malformed) ends the whole run before anything is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from buildkit.endpoints import Progress
from buildkit.errors import AccessDenied, CorruptContent, InvalidInput, NotFound, Unavailable
from buildkit.image import media
from buildkit.image.descriptor import Descriptor
from buildkit.image.digest import Digest
from buildkit.registry import listing
from buildkit.registry.client import Repository
from buildkit.registry.parallel import each
from buildkit.retention.applying import Rest
from buildkit.retention.documents import Read, made, read
from buildkit.retention.plan import Removal
from buildkit.retention.shelf import DEEPEST, Done
from buildkit.retention.stock import Node, Stock

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Tagged(NamedTuple):
    tag: str
    found: Read | None
    created: str


class RegistryShelf:
    """One repository. `parallel` requests at a time."""

    def __init__(self, repository: Repository, progress: Progress, parallel: int) -> None:
        self._repository = repository
        self._progress = progress
        self._parallel = parallel
        self._place = f"{repository.host}/{repository.name}"

    def stock(self, dated: Callable[[str], bool]) -> Stock:
        """All tags and what they lead to; of those that `dated` is true for, when they were made.

        One request a tag, one for each index below an index, one or two for an image without a date of its own.
        """
        tags = listing.tags(self._repository)
        found = self._each(f"reading tags of {self._place}", tags, lambda tag: self._tagged(tag, dated))
        self._refuse_dangling([one.tag for one in found if one.found is None])
        there = {one.tag: one.found for one in found if one.found is not None}
        nodes = {one.found.node.digest: one.found.node for one in found if one.found is not None}
        for one in found:
            if one.found is not None and one.created:
                nodes[one.found.node.digest] = one.found.node._replace(created=one.created)
        below = [digest for one in there.values() for digest in one.below]
        return Stock(
            {tag: one.node.digest for tag, one in there.items()},
            {**self._nodes(below, need=True), **nodes},
        )

    def nodes(self, digests: Iterable[Digest]) -> dict[Digest, Node]:
        """These manifests and the indexes below them, as far as they are there."""
        return self._nodes(digests, need=False)

    def _nodes(self, digests: Iterable[Digest], *, need: bool) -> dict[Digest, Node]:
        """`need`: whether all of these have to be there, as everything below them has."""
        found: dict[Digest, Node] = {}
        wanted = list(dict.fromkeys(digests))
        for _ in range(DEEPEST):
            if not wanted:
                return found
            read_now = self._each(f"reading manifests of {self._place}", wanted, self._read)
            if need and None in read_now:
                raise Unavailable(
                    f"{self._place} lacks {wanted[read_now.index(None)]}, which an index names: what it stands for "
                    "cannot be kept",
                    "try again; if it stays so, push that index again",
                )
            need = True
            found |= {one.node.digest: one.node for one in read_now if one}
            below = dict.fromkeys(digest for one in read_now if one for digest in one.below)
            wanted = [digest for digest in below if digest not in found]
        raise CorruptContent(f"indexes in {self._place} are nested without end", "look at who pushed them")

    def extend(self, stock: Stock, digests: Sequence[Digest]) -> Stock:
        """With the referrers of these digests: as the registry lists them, or none where it lists none."""
        if not digests:
            return stock
        referrers: dict[Digest, tuple[Digest, ...]] = dict.fromkeys(digests, ())
        below: list[Digest] = []
        # The first answer says whether this registry can be asked at all.
        if listing.referrers(self._repository, digests[0]) is not None:
            label = f"looking for signatures in {self._place}"
            answers = self._each(label, digests, lambda one: listing.referrers(self._repository, one) or [])
            for digest, found in zip(digests, answers, strict=True):
                referrers[digest] = tuple(one.digest for one in found)
                below += [one.digest for one in found if one.media_type not in media.MANIFESTS]
        stock = stock._replace(referrers={**stock.referrers, **referrers})
        return stock.with_nodes(self.nodes(digest for digest in below if digest not in stock.nodes))

    def remove(self, rest: Rest) -> Done:
        """Wave by wave. After each one, what it should have taken away is looked at before the next begins."""
        removed, gone = 0, 0
        for wave in rest.waves:
            done = self._each(f"removing from {self._place}", wave, self._remove)
            removed, gone = removed + sum(done), gone + len(done) - sum(done)
            self._untag(wave)
        return Done(removed, gone)

    def _refuse_dangling(self, missing: Sequence[str]) -> None:
        """Tags may go while we read. One that stays, and cannot be read, may hold anything."""
        left = set(missing).intersection(listing.tags(self._repository)) if missing else ()
        if left:
            raise Unavailable(
                f"{self._place} lists the tag {min(left)}, but has nothing there: what it stands for cannot be kept",
                "try again; if it stays so, push an image to that tag, or have the registry's storage repaired",
            )

    def _remove(self, removal: Removal) -> bool:
        """By digest, which takes the tags with it. Some registries want the tags to go first (Google's)."""
        try:
            return listing.delete(self._repository, removal.digest)
        except InvalidInput as error:
            if isinstance(error, AccessDenied) or not removal.tags:
                raise
            if not sum(self._delete_tag(tag, removal.digest) for tag in removal.tags):
                raise
        return listing.delete(self._repository, removal.digest)

    def _untag(self, wave: Sequence[Removal]) -> None:
        """Some registries (go-containerregistry's) leave the tags, and what is behind them, when the digest goes."""
        planned = {tag: removal.digest for removal in wave for tag in removal.tags}
        if not planned:
            return
        try:
            left = planned.keys() & set(listing.tags(self._repository))
        except NotFound:  # the last tag was among them
            return
        self._each("removing tags", sorted(left), lambda tag: self._delete_tag(tag, planned[tag]))

    def _delete_tag(self, tag: str, digest: Digest) -> bool:
        """Unless it names something else by now, or nothing."""
        try:
            raw, _ = self._repository.fetch_manifest(tag)
        except NotFound:
            return False
        return Digest.of(raw) == digest and listing.delete(self._repository, tag)

    def _tagged(self, tag: str, dated: Callable[[str], bool]) -> _Tagged:
        found = self._read(tag)
        created = found.node.created if found else ""
        if found and not created and dated(tag):
            created = made(found, self._read, self._config)
        return _Tagged(tag, found, created)

    def _read(self, wanted: str | Digest) -> Read | None:
        try:
            raw, _ = self._repository.fetch_manifest(wanted)
        except NotFound:
            return None
        return read(raw, Digest.of(raw))

    def _config(self, descriptor: Descriptor) -> bytes:
        with self._repository.open_blob(descriptor) as stream:
            return stream.read()

    def _each(self, label: str, items: Sequence[Item], act: Callable[[Item], Result]) -> list[Result]:
        def one(item: Item, _stop: Callable[[], None]) -> Result:
            result = act(item)
            self._progress.advance(label, 1)
            return result

        if not items:
            return []
        self._progress.start(label, len(items))
        try:
            return each(items, one, self._parallel)
        finally:
            self._progress.finish(label)
