"""The facade: content of LFS files from wherever it is, verified.

1. the repository's own stores, and those it borrows from
2. the cache
3. the remote: a batch server, or a repository on this machine; what it gives goes into the cache
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import BinaryIO, Protocol

from buildkit.errors import CorruptContent, NotFound
from buildkit.lfs.remote import Nowhere
from buildkit.lfs.store import ObjectStore, Wanted, name_of


class Origin(Protocol):
    """A place that objects are fetched from."""

    def fetch(self, wanted: Sequence[Wanted], into: ObjectStore) -> None:
        """Bring all of these. Raises NotFound naming file, oid and remedy for those that are not there."""


class LfsContent:
    """`stores` are read, the first one that has a sound object wins; `cache` is written too.

    `origin` is called when something is nowhere else: a build that needs nothing loads no HTTP client.
    """

    def __init__(
        self, stores: Sequence[ObjectStore], cache: ObjectStore, origin: Callable[[], Origin]
    ) -> None:
        self._stores = tuple(stores)
        self._cache = cache
        self._origin = origin
        self._places: dict[str, ObjectStore] = {}

    def prefetch(self, wanted: Sequence[Wanted]) -> None:
        """Bring what is not here. What is here is read through, and fetched again where it is damaged.

        Raises NotFound naming file, oid and remedy for an object that is nowhere.
        """
        unknown = {item.oid: item for item in wanted if item.oid not in self._places}
        absent = [item for item in unknown.values() if not self._is_here(item)]
        if not absent:
            return
        try:
            self._origin().fetch(absent, self._cache)
        except NotFound as error:
            raise self._damage(absent) or error from None
        self._places |= dict.fromkeys((item.oid for item in absent), self._cache)

    def open(self, wanted: Wanted) -> BinaryIO:
        """The content; CorruptContent, at the latest with its last byte, where it changed meanwhile."""
        self.prefetch([wanted])
        return self._places[wanted.oid].open(wanted)

    def _is_here(self, item: Wanted) -> bool:
        for store in (*self._stores, self._cache):
            if not store.has(item):
                continue
            if store.is_sound(item):
                self._places[item.oid] = store
                return True
            if store is self._cache:
                store.discard(item)
        return False

    def _damage(self, absent: Sequence[Wanted]) -> CorruptContent | None:
        """The better explanation where an object is here after all, but damaged."""
        for item in absent:
            for store in self._stores:
                if store.has(item):
                    return CorruptContent(
                        f"{name_of(item)}: {store.file(item)} is damaged, and no other place has the object",
                        "`git lfs fsck` and `git lfs fetch` there, or leave it out of lfs.include",
                    )
        return None


class Directories:
    """The stores of another repository on this machine."""

    def __init__(self, stores: Sequence[ObjectStore], name: str) -> None:
        self._stores = tuple(stores)
        self._name = name

    def fetch(self, wanted: Sequence[Wanted], into: ObjectStore) -> None:
        """Copy, verified: what is there may change under our hands."""
        for item in wanted:
            store = next((store for store in self._stores if store.has(item)), None)
            if store is None:
                remedy = (
                    "`git lfs push --all` to it from a clone that has the object, or drop it from lfs.include"
                )
                raise NotFound(f"{self._name} does not have the content of {name_of(item)}", remedy)
            with store.open(item) as stream:
                into.receive(item, iter(partial(stream.read, 1 << 20), b""))


class NoOrigin:
    """Says why there is nobody to ask."""

    def __init__(self, nowhere: Nowhere) -> None:
        self._nowhere = nowhere

    def fetch(self, wanted: Sequence[Wanted], into: ObjectStore) -> None:
        """Always NotFound."""
        del into
        more = f" (and {len(wanted) - 1} more)" if len(wanted) > 1 else ""
        fault = f"the content of {name_of(wanted[0])}{more} is not here, and {self._nowhere.why}"
        raise NotFound(fault, f"`git lfs fetch` it; {self._nowhere.remedy}; or drop it from lfs.include")
